"""The targets that connectors are tried on: an embedded Key Vault, started once."""

from collections.abc import Iterator
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
    running.reset()
    return running
