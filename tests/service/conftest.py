from collections.abc import Iterator
from pathlib import Path

import pytest

from app.emulator import Emulator
from tests.service.processes import Home


@pytest.fixture(name="emulator", scope="module")
def _emulator() -> Iterator[Emulator]:
    with Emulator().running() as emulator:
        yield emulator


@pytest.fixture(name="home")
def _home(emulator: Emulator, tmp_path: Path) -> Home:
    emulator.reset()
    return Home(tmp_path, emulator)
