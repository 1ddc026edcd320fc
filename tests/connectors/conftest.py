"""The targets that connectors are tried on: an embedded Key Vault, started once."""

from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from app.emulator import Emulator


@pytest.fixture(scope="session", name="running")
def _running() -> Iterator[Emulator]:
    emulator = Emulator()
    with emulator.running(plain_port=0):
        yield emulator


@pytest.fixture(scope="session", name="ca_bundle")
def _ca_bundle(running: Emulator, tmp_path_factory: pytest.TempPathFactory) -> str:
    file: Path = tmp_path_factory.mktemp("trust") / "ca.pem"
    running.write_ca(file)
    return str(file)


@pytest.fixture(name="emulator")
def _emulator(running: Emulator) -> Emulator:
    running.faults.clear()
    _settle(running)
    running.reset()
    return running


def _settle(emulator: Emulator) -> None:
    """Let it finish what a test before left unread, such as the other half of a failed look."""
    connection = HTTPConnection("127.0.0.1", emulator.plain_port)
    connection.request("GET", "/")
    connection.getresponse().read()
    connection.close()
