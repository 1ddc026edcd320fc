"""A file's schema: how it is brought up to date, what it holds, and which files are refused."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app import errors
from app.store import Store, tables
from tests.store.builders import accepted, at

COLUMNS = {
    "deployments": "id target_type address state final certificate_id created_at config record"
    " runner",
    "deployment_events": "deployment_id seq at state action details",
    "audit_events": "id timestamp actor actor_type action resource_type resource_id"
    " event_category details request_id trace_id",
    "idempotency_keys": "caller key fingerprint deployment_id created_at",
    "meta": "name value",
}


@pytest.fixture(name="url")
def _url(file_url: str) -> str:
    return file_url


async def test_no_column_could_hold_a_key(url: str, store: Store, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        columns = {
            name: connection.execute(f"PRAGMA table_info({name})").fetchall() for (name,) in names
        }

    assert {name: " ".join(row[1] for row in rows) for name, rows in columns.items()} == COLUMNS
    types = {row[2] for rows in columns.values() for row in rows}
    assert types == {"TEXT", "JSON", "INTEGER", "SMALLINT"}


async def test_a_new_store_is_migrated_once(url: str) -> None:
    newest = len(tables.SQLITE)

    assert await Store.migrate(url) == (0, newest)
    assert await Store.migrate(url) == (newest, newest)


async def test_a_store_can_be_opened_without_migrating_it_first(url: str, store: Store) -> None:
    await store.aclose()

    assert await Store.migrate(url) == (len(tables.SQLITE), len(tables.SQLITE))


@pytest.mark.parametrize(
    "begin",
    [lambda url: Store.open(url, now=lambda: at(0)), Store.migrate],
    ids=["open", "migrate"],
)
async def test_a_store_of_a_newer_release_is_refused_and_left_alone(
    url: str, tmp_path: Path, begin: Callable[[str], asyncio.Future[object]]
) -> None:
    await Store.migrate(url)
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as connection:
        connection.execute("UPDATE meta SET value = '999' WHERE name = 'schema_version'")

        with pytest.raises(errors.StoreUnavailable, match="999"):
            await begin(url)

        (version,) = connection.execute("SELECT value FROM meta").fetchone()
    assert version == "999"


async def test_a_migration_that_fails_leaves_the_schema_as_it_was(url: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE audit_events (id TEXT)")

        with pytest.raises(errors.StoreUnavailable):
            await Store.migrate(url)

        names = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert names == [("audit_events",)]


@pytest.mark.parametrize(
    "url",
    ["mysql://user:hunter2@db/certctl", "sqlite://store.db", "sqlite:///", "store.db", ""],
)
async def test_another_kind_of_store_is_refused_without_repeating_its_address(url: str) -> None:
    with pytest.raises(errors.StoreUnavailable, match="sqlite:///") as refusal:
        await Store.open(url, now=lambda: at(0))

    assert "hunter2" not in refusal.value.message


async def test_a_relative_address_is_below_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = await Store.open("sqlite:///data/a b#?.db", now=lambda: at(0))
    made = await accepted(store, 1)

    assert await store.unfinished() == [made]
    assert (tmp_path / "data" / "a b#?.db").exists()
    await store.aclose()


async def test_a_file_that_is_no_database_is_refused(url: str, tmp_path: Path) -> None:
    (tmp_path / "store.db").write_text("These are not the rows you are looking for. " * 100)

    with pytest.raises(errors.StoreUnavailable) as refusal:
        await Store.open(url, now=lambda: at(0))

    assert isinstance(refusal.value.__cause__, sqlite3.DatabaseError)


async def test_a_file_in_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(errors.StoreUnavailable, match="which is no folder"):
        await Store.open(f"sqlite:///{tmp_path}/file/store.db", now=lambda: at(0))
