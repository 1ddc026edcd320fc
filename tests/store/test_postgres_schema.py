"""The schema in PostgreSQL: changed by `migrate` alone, and refused where it does not fit."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest

from app import errors
from app.store import Store, tables
from app.store.address import Address
from tests.store.builders import accepted, at
from tests.store.test_schema import COLUMNS

NEWEST = len(tables.POSTGRES)


@contextmanager
def _aside(url: str) -> Iterator[psycopg.Connection[Any]]:
    """Another connection to the same database."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        yield connection


async def _opened(url: str) -> Store:
    return await Store.open(url, now=lambda: at(0))


def _columns(url: str) -> dict[str, str]:
    asked = """SELECT table_name, string_agg(column_name, ' ' ORDER BY ordinal_position)
        FROM information_schema.columns WHERE table_schema = 'public' GROUP BY table_name"""
    with _aside(url) as connection:
        return dict(connection.execute(asked).fetchall())


async def test_no_column_could_hold_a_key(database_url: str) -> None:
    asked = (
        "SELECT DISTINCT data_type FROM information_schema.columns WHERE table_schema = 'public'"
    )
    with _aside(database_url) as connection:
        types = {kind for (kind,) in connection.execute(asked).fetchall()}

    assert _columns(database_url) == COLUMNS
    assert types == {"text", "json", "integer", "smallint"}


async def test_it_is_migrated_once_even_by_two_at_once(postgres_url: str) -> None:
    moved = await asyncio.gather(Store.migrate(postgres_url), Store.migrate(postgres_url))

    assert sorted(moved) == [(0, NEWEST), (NEWEST, NEWEST)]
    store = await _opened(postgres_url)
    made = await accepted(store, 1)
    assert await store.get(made.id) == made
    await store.aclose()


async def test_an_empty_database_is_refused_with_what_to_do_and_left_alone(
    postgres_url: str,
) -> None:
    with pytest.raises(errors.StoreUnavailable, match="python -m app migrate") as refusal:
        await _opened(postgres_url)

    assert "has schema version 0" in refusal.value.message
    assert _columns(postgres_url) == {}


@pytest.mark.parametrize(("version", "advice"), [("1", "app migrate"), ("999", "newer release")])
async def test_a_schema_that_does_not_fit_is_refused_with_a_sentence(
    database_url: str, version: str, advice: str
) -> None:
    with _aside(database_url) as connection:
        connection.execute("UPDATE meta SET value = %s WHERE name = 'schema_version'", (version,))

    with pytest.raises(errors.StoreUnavailable, match=f"version {version}.*{advice}"):
        await _opened(database_url)


async def test_migrate_leaves_the_schema_of_a_newer_release_alone(database_url: str) -> None:
    with _aside(database_url) as connection:
        connection.execute("UPDATE meta SET value = '999' WHERE name = 'schema_version'")

        with pytest.raises(errors.StoreUnavailable, match="999"):
            await Store.migrate(database_url)

        found = connection.execute("SELECT value FROM meta WHERE name = 'schema_version'")
        assert found.fetchone() == ("999",)


async def test_a_migration_that_fails_leaves_the_schema_as_it_was(postgres_url: str) -> None:
    with _aside(postgres_url) as connection:
        connection.execute("CREATE TABLE audit_events (id TEXT)")

    with pytest.raises(errors.StoreUnavailable) as refusal:
        await Store.migrate(postgres_url)

    assert isinstance(refusal.value.__cause__, psycopg.errors.DuplicateTable)
    assert _columns(postgres_url) == {"audit_events": "id"}


@pytest.mark.parametrize(
    "password",
    ["hunter2", "hun%ter2", "/hunter2", "hunter2/x", "12/hunter2", "@hunter2", "?hunter2"],
)
@pytest.mark.parametrize("begin", [_opened, Store.migrate], ids=["open", "migrate"])
async def test_a_database_that_is_not_there_is_refused_without_repeating_the_password(
    password: str, begin: Callable[[str], Awaitable[object]]
) -> None:
    with pytest.raises(errors.StoreUnavailable) as refusal:
        await begin(f"postgresql://user:{password}@127.0.0.1:1/certctl")

    told = f"{refusal.value} {refusal.value.__cause__} {refusal.value.__context__}"
    assert "ter2" not in told
    assert "12" not in told.replace("127.0.0.1", "")


def test_an_address_shows_no_password() -> None:
    address = Address.of("postgres://user:hunter2@db/certctl", patience=1)

    assert address.parameters["password"] == "hunter2"
    assert "hunter2" not in repr(address)
