from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest

from app.emulator import Emulator
from tests.certificates import Authority, Issued
from tests.conftest import Clock
from tests.connectors.azure_key_vault.playground import Playground, opened

Open = Callable[..., AbstractAsyncContextManager[Playground]]


@pytest.fixture(name="open_playground")
def _open_playground(emulator: Emulator, ca_bundle: str, now: Clock) -> Open:
    return partial(opened, emulator, ca_bundle, now)


@pytest.fixture(name="play")
async def _play(open_playground: Open) -> AsyncIterator[Playground]:
    async with open_playground() as playground:
        yield playground


@pytest.fixture(name="old")
def _old(ca: Authority) -> Issued:
    return ca.issue()


@pytest.fixture(name="new")
def _new(ca: Authority) -> Issued:
    return ca.issue()
