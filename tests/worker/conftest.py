from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.conftest import Clock
from tests.worker.place import AnyWorker, Place, in_memory, on_postgres

Start = Callable[..., Awaitable[AnyWorker]]


@pytest.fixture(name="place", params=["memory", "postgres"])
async def _place(
    request: pytest.FixtureRequest, tmp_path: Path, ca: Authority, now: Clock
) -> AsyncIterator[Place]:
    """A place for what every worker does alike, with each of them."""
    if request.param == "memory":
        opened = in_memory(tmp_path, ca, now)
    else:
        opened = on_postgres(request.getfixturevalue("postgres_url"), ca, now)
    async with opened as place:
        yield place


@asynccontextmanager
async def starting(place: Place) -> AsyncIterator[Start]:
    """What starts workers at *place*; they are drained in the end."""
    started: list[AnyWorker] = []

    async def start(**bounds: int) -> AnyWorker:
        worker = place.worker(**bounds)
        await worker.start()
        started.append(worker)
        return worker

    yield start
    for worker in started:
        await worker.drain(within=0)


@pytest.fixture(name="start")
async def _start(place: Place) -> AsyncIterator[Start]:
    async with starting(place) as start:
        yield start
