"""A loop's clock that leaps, so that a deadline passes and nobody waits for it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.connectors.azure_key_vault.playground import LIMITS


class Leap:
    """The clock of a loop, which may be ahead of the real one."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._real = loop.time
        self._ahead = 0.0

    def __call__(self) -> float:
        return self._real() + self._ahead

    def over(self, seconds: float) -> None:
        self._ahead += seconds


@contextmanager
def leaping() -> Iterator[Leap]:
    """Let the running loop's clock leap until the block ends."""
    loop = asyncio.get_running_loop()
    leap = Leap(loop)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "time", leap)
        yield leap


def past_the_deadline(_: object = None) -> None:
    """Whatever step the deployment is in takes too long."""
    leap: object = asyncio.get_running_loop().time
    assert isinstance(leap, Leap)
    leap.over(LIMITS.deadline_s + 1)
