from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from app.emulator import Emulator
from tests.certificates import Authority, Issued
from tests.conftest import Clock
from tests.connectors.azure_key_vault.middlebox import Middlebox, between
from tests.connectors.azure_key_vault.playground import Playground, opened
from tests.connectors.azure_key_vault.rollback.plans import Issuance, issuance

Open = Callable[..., AbstractAsyncContextManager[Playground]]


@pytest.fixture(name="open_playground")
def _open_playground(emulator: Emulator, ca_bundle: str, now: Clock) -> Open:
    return partial(opened, emulator, ca_bundle=ca_bundle, now=now)


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


@pytest.fixture(scope="module", name="issued")
def _issued(ca: Authority) -> Issuance:
    return issuance(ca)


@pytest.fixture(name="box")
async def _box(emulator: Emulator, tmp_path: Path) -> AsyncIterator[Middlebox]:
    async with between(emulator, tmp_path) as box:
        yield box


@pytest.fixture(name="behind")
async def _behind(open_playground: Open, box: Middlebox) -> AsyncIterator[Playground]:
    """A playground behind the middlebox."""
    where = {"connect_to": f"127.0.0.1:{box.port}", "ca_bundle": box.ca_bundle}
    async with open_playground(**where) as playground:
        yield playground
