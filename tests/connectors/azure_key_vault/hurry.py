"""A loop whose clock leaps over every wait for a budget, and the vault's with it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from app.connectors.azure_key_vault.turns import Turns
from tests.connectors.azure_key_vault.rollback.leap import Leap, leaping


def _stands(_: float) -> None:
    """There is no other clock."""


@contextmanager
def hurrying(also: Callable[[float], object] = _stands) -> Iterator[Leap]:
    """Leap over each wait for a budget until the block ends; *also* is told how far.

    Other timers, such as those of connections, are left alone.
    """
    loop = asyncio.get_running_loop()
    usual = loop.call_later

    def call_later(
        delay: float,
        callback: Callable[..., Any],
        *args: Any,  # noqa: ANN401 - as the loop takes them
        **options: Any,  # noqa: ANN401 - likewise
    ) -> asyncio.Handle:
        if not isinstance(getattr(callback, "__self__", None), Turns):
            return usual(delay, callback, *args, **options)
        leap.over(delay)
        also(delay)
        return loop.call_soon(callback, *args, **options)

    with leaping() as leap, pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "call_later", call_later)
        yield leap
