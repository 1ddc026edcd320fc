import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, closing
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


@pytest.fixture(name="closed_port")
def _closed_port() -> Iterator[int]:
    """A port that is bound, so that nobody takes it, and does not listen."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture(name="silent_port")
async def _silent_port() -> AsyncIterator[int]:
    """A port that takes connections and never says a word."""
    served: list[asyncio.StreamWriter] = []

    async def listen(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(writer)

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for writer in served:
            writer.transport.abort()
        server.close()
        await server.wait_closed()
