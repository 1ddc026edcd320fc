"""One emulator for all clients, and each client ready to use. Who is missing fails by name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.emulator import Emulator
from tests.clients import programs
from tests.clients.az import Az
from tests.clients.node import JavaScript


@pytest.fixture(scope="session", name="running")
def _running() -> Iterator[Emulator]:
    with Emulator().running() as emulator:
        yield emulator


@pytest.fixture(name="emulator")
def _emulator(running: Emulator) -> Emulator:
    running.reset()
    return running


@pytest.fixture(scope="session", name="az_program")
def _az_program() -> Path:
    try:
        return programs.az()
    except programs.Missing as missing:
        pytest.fail(str(missing), pytrace=False)


@pytest.fixture(scope="session", name="logged_in")
def _logged_in(az_program: Path, running: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Az:
    """One login for all tests: the emulator keeps its tokens, whatever else it forgets."""
    az = Az(az_program, tmp_path_factory.mktemp("az") / "home", running)
    az.know_the_emulator()
    done = az.log_in(running.client_secret)
    assert done.returncode == 0, done.stderr
    return az


@pytest.fixture(name="az")
def _az(emulator: Emulator, logged_in: Az) -> Az:
    return logged_in


@pytest.fixture(name="javascript")
def _javascript(emulator: Emulator, tmp_path: Path) -> JavaScript:
    try:
        node, act = programs.node(), programs.act()
    except programs.Missing as missing:
        pytest.fail(str(missing), pytrace=False)
    return JavaScript(node=node, act=act, home=tmp_path, emulator=emulator)
