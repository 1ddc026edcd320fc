"""What a file has acknowledged is on the disk, and what goes wrong there harms nothing else."""

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from app import errors
from app.store import DeploymentFilter, Store
from tests.store.builders import WAY, accepted, advanced, at, deployment, event
from tests.store.running import run

FULL = """
import asyncio, resource, sys
from app import errors
from app.store import Store
from tests.store.running import run
from tests.store.builders import accepted, at

async def main():
    store = await Store.open(sys.argv[1], now=lambda: at(0))
    await accepted(store, 1)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        await accepted(store, 2)
    except errors.StoreUnavailable as trouble:
        print(type(trouble.__cause__).__name__)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await accepted(store, 3)
    print(len(await store.unfinished()))
    await store.aclose()

asyncio.run(main())
"""

NARROW = """
import asyncio, os, resource, sys
from pathlib import Path
from app import errors
from app.store import Store
from tests.store.builders import accepted, at

async def refused(work):
    try:
        await work
    except errors.StoreUnavailable as trouble:
        print(type(trouble.__cause__).__name__)

async def main():
    store = await Store.open(sys.argv[1], now=lambda: at(0))
    await accepted(store, 1)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    log = Path(sys.argv[1].removeprefix("sqlite:///") + "-wal")
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 16_384, hard))
    await refused(accepted(store, 2))
    await refused(store.check())
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await store.check()
    await store.aclose()

asyncio.run(main())
"""


@pytest.fixture(name="url")
def _url(file_url: str) -> str:
    return file_url


@pytest.fixture(name="store")
async def _store(url: str) -> AsyncIterator[Store]:
    """A store that does not wait long for a lock."""
    opened = await Store.open(url, now=lambda: at(0), patience=0.1)
    yield opened
    await opened.aclose()


def _within(folder: Path) -> list[Path]:
    return [*folder.iterdir()]


@contextmanager
def _aside(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Another connection to the same file."""
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as connection:
        yield connection


async def test_a_full_disk_is_told_and_forgiven(url: str) -> None:
    done = run(FULL, url)

    assert (done.stdout.split(), done.returncode) == (["OperationalError", "2"], 0), done.stderr


async def test_a_disk_with_room_for_little_but_no_deployment_is_told_by_a_check(url: str) -> None:
    done = run(NARROW, url)

    assert (done.stdout.split(), done.returncode) == (["OperationalError"] * 2, 0), done.stderr


async def test_checks_all_the_time_do_not_write_all_the_time(store: Store, tmp_path: Path) -> None:
    await store.check()
    with _aside(tmp_path) as other:
        other.execute("BEGIN IMMEDIATE")
        await store.check()
        other.execute("ROLLBACK")


async def test_a_locked_file_is_unavailable_until_it_is_free(store: Store, tmp_path: Path) -> None:
    with _aside(tmp_path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(errors.StoreUnavailable) as refusal:
            await accepted(store, 1)
        with pytest.raises(errors.StoreUnavailable):
            await store.check()
        other.execute("ROLLBACK")

    made = await accepted(store, 2)

    assert "locked" in str(refusal.value.__cause__)
    assert await store.unfinished() == [made]
    await store.check()


async def test_a_store_that_does_not_answer_in_time_is_unavailable(
    store: Store, tmp_path: Path
) -> None:
    with _aside(tmp_path) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(accepted(store, 1))
        await asyncio.sleep(0)
        with pytest.raises(errors.StoreUnavailable) as refusal:
            await store.check()
        with pytest.raises(errors.StoreUnavailable):
            await waiting

    assert isinstance(refusal.value.__cause__, TimeoutError)


async def test_when_sqlite_undoes_a_whole_commit_everyone_in_it_is_told(
    store: Store, tmp_path: Path
) -> None:
    with _aside(tmp_path) as other:
        other.execute(
            "CREATE TRIGGER gone BEFORE INSERT ON audit_events WHEN NEW.resource_type = 'gone'"
            " BEGIN SELECT RAISE(ROLLBACK, 'all of it'); END"
        )
        made = [deployment(number) for number in range(3)]
        events = [event(each) for each in made]
        events[1] = event(made[1], resource_type="gone")
        answers = await asyncio.gather(
            *(store.accept(each, told) for each, told in zip(made, events, strict=True)),
            return_exceptions=True,
        )

    refused = [answer for answer in answers if isinstance(answer, errors.StoreUnavailable)]
    assert len(await store.unfinished()) == 3 - len(refused)
    assert answers[1] in refused
    await accepted(store, 4)


@pytest.mark.parametrize("damaged", ['{"id": 1}', '{"id": 1', "[]"])
async def test_a_deployment_that_is_damaged_is_a_fault_and_never_wrong(
    store: Store, tmp_path: Path, damaged: str
) -> None:
    ended = await advanced(store, await accepted(store, 1), *WAY)
    with _aside(tmp_path) as other:
        other.execute("UPDATE deployments SET record = ?", (damaged,))

    with pytest.raises(errors.InternalError):
        await store.get(ended.id)


async def test_a_list_that_cannot_be_read_is_unavailable(store: Store, tmp_path: Path) -> None:
    with _aside(tmp_path) as other:
        other.execute("DROP TABLE deployment_events")
        other.execute("DROP TABLE idempotency_keys")
        other.execute("DROP TABLE deployments")

    with pytest.raises(errors.StoreUnavailable) as refusal:
        await store.deployments(DeploymentFilter(), page_size=9, cursor=None)

    assert isinstance(refusal.value.__cause__, sqlite3.OperationalError)


async def test_a_file_that_is_gone_is_noticed(store: Store, tmp_path: Path) -> None:
    (tmp_path / "store.db").unlink()

    with pytest.raises(errors.StoreUnavailable):
        await store.check()


async def test_closing_moves_the_log_into_the_file(store: Store, tmp_path: Path) -> None:
    await accepted(store, 1)

    await store.aclose()

    assert not (tmp_path / "store.db-wal").exists()


async def test_only_the_owner_can_read_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = await Store.open("sqlite:///new/store.db", now=lambda: at(0))
    await accepted(store, 1)

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "new").iterdir()}
    folder = stat.S_IMODE((tmp_path / "new").stat().st_mode)
    await store.aclose()

    assert modes.keys() == {"store.db", "store.db.lock", "store.db-shm", "store.db-wal"}
    assert set(modes.values()) == {0o600}
    assert folder == 0o700


@pytest.mark.parametrize("path", ["/nope/store.db", "/nope/dir/store.db"])
async def test_a_mistyped_path_is_refused_and_makes_no_folder(tmp_path: Path, path: str) -> None:
    url = f"sqlite:///{tmp_path}{path}"

    for opening in (Store.open(url, now=lambda: at(0)), Store.migrate(url)):
        with pytest.raises(errors.StoreUnavailable, match="which is no folder"):
            await opening

    assert not _within(tmp_path)


async def test_only_the_folder_itself_is_made_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(errors.StoreUnavailable, match="a file in nope/dir, which is no folder"):
        await Store.open("sqlite:///nope/dir/store.db", now=lambda: at(0))

    assert not _within(tmp_path)


async def test_a_second_process_is_refused_until_the_first_has_closed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    first = await Store.open(url, now=lambda: at(0))

    with pytest.raises(errors.StoreUnavailable, match="Another process uses this store"):
        await Store.open(url, now=lambda: at(0))
    with pytest.raises(errors.StoreUnavailable, match="Another process uses this store"):
        await Store.migrate(url)

    await first.aclose()
    second = await Store.open(url, now=lambda: at(0))
    await second.aclose()


@pytest.mark.parametrize("column", ["deployment_id", "created_at"])
async def test_keys_are_found_by_an_index_so_that_pruning_holds_up_no_write(
    store: Store, tmp_path: Path, column: str
) -> None:
    with _aside(tmp_path) as other:
        asked = f"EXPLAIN QUERY PLAN SELECT 1 FROM idempotency_keys WHERE {column} = '1'"  # noqa: S608 - the names above
        plan = other.execute(asked).fetchall()

    assert "INDEX idempotency_keys_" in plan[0][3]
