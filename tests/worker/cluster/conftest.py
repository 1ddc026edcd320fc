"""Two replicas on one PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from tests.certificates import Authority
from tests.conftest import Clock
from tests.worker.conftest import Start, starting
from tests.worker.place import Place, on_postgres


@pytest.fixture(name="place")
async def _place(postgres_url: str, ca: Authority, now: Clock) -> AsyncIterator[Place]:
    async with on_postgres(postgres_url, ca, now) as place:
        yield place


@pytest.fixture(name="other")
async def _other(
    place: Place, postgres_url: str, ca: Authority, now: Clock
) -> AsyncIterator[Place]:
    """Another replica, before the same gate."""
    async with on_postgres(postgres_url, ca, now, beside=place) as other:
        yield other


@pytest.fixture(name="start_other")
async def _start_other(other: Place) -> AsyncIterator[Start]:
    async with starting(other) as start:
        yield start
