"""A store in a file of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.store import Store
from tests.conftest import Clock
from tests.store.builders import START


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
async def store(url: str, clock: Clock) -> AsyncIterator[Store]:
    opened = await Store.open(url, now=clock, patience=0.1)
    yield opened
    await opened.aclose()


@pytest.fixture(params=["file", "memory"])
async def either(request: pytest.FixtureRequest, url: str, clock: Clock) -> AsyncIterator[Store]:
    """A store in a file, and one in memory."""
    opened = await Store.open(url if request.param == "file" else "sqlite:///:memory:", now=clock)
    yield opened
    await opened.aclose()
