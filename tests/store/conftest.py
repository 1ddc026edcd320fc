"""A store of every kind: in a SQLite file, in memory, and in PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from app.store import Store
from app.store.postgres import migrate
from tests.conftest import Clock
from tests.postgres import Postgres
from tests.store.builders import START


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    """A SQLite file that is not there yet."""
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture(scope="session", name="migrated")
def _migrated(postgres: Postgres) -> Iterator[str]:
    """The name of a database that only has our tables."""
    with postgres.database() as url:
        migrate(url)
        yield str(conninfo_to_dict(url)["dbname"])


@pytest.fixture
def database_url(postgres: Postgres, migrated: str) -> Iterator[str]:
    """A PostgreSQL database with our tables, and nothing in them."""
    with postgres.database(like=migrated) as url:
        yield url


@pytest.fixture(params=["file_url", "database_url"], ids=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """Each kind of store that can be opened a second time."""
    address: str = request.getfixturevalue(request.param)
    return address


@pytest.fixture
async def store(url: str, clock: Clock) -> AsyncIterator[Store]:
    opened = await Store.open(url, now=clock)
    yield opened
    await opened.aclose()


@pytest.fixture(params=["file", "memory", "database"])
async def either(request: pytest.FixtureRequest, clock: Clock) -> AsyncIterator[Store]:
    """Each kind of store."""
    kind = request.param
    url = "sqlite:///:memory:" if kind == "memory" else request.getfixturevalue(f"{kind}_url")
    opened = await Store.open(url, now=clock)
    yield opened
    await opened.aclose()
