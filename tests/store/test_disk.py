"""What is acknowledged is on the disk, and what goes wrong there harms nothing else."""

import asyncio
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from app import errors
from app.deployment.model import State, moved
from app.store import DeploymentFilter, EventFilter, Store
from tests.store.builders import WAY, accepted, advanced, at, deployment, event

ROOT = Path(__file__).parents[2]

KILLED = """
import asyncio, os, signal, sys
from app.store import Store
from tests.store.builders import accepted, advanced, at, WAY

async def lane(store, numbers):
    for number in numbers:
        made = await advanced(store, await accepted(store, number), *WAY[:2])
        print(made.id, flush=True)
        if number == 150:
            os.kill(os.getpid(), signal.SIGKILL)

async def main():
    store = await Store.open(sys.argv[1], now=lambda: at(0))
    numbers = iter(range(1000))
    await asyncio.gather(*(lane(store, numbers) for _ in range(8)))

asyncio.run(main())
"""

FULL = """
import asyncio, resource, sys
from app import errors
from app.store import Store
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


def _run(program: str, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def _aside(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Another connection to the same file."""
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as connection:
        yield connection


async def test_a_killed_process_loses_nothing_it_has_acknowledged(url: str) -> None:
    killed = _run(KILLED, url)
    acknowledged = killed.stdout.split()

    store = await Store.open(url, now=lambda: at(0))

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(acknowledged) > 100
    for name in acknowledged:
        assert (await store.get(name)).state is State.IMPORTING
        assert len(await store.steps(name)) == 3
    await store.aclose()


async def test_a_full_disk_is_told_and_forgiven(url: str) -> None:
    done = _run(FULL, url)

    assert (done.stdout.split(), done.returncode) == (["OperationalError", "2"], 0), done.stderr


async def test_an_accept_that_fails_leaves_nothing_and_harms_no_neighbour(store: Store) -> None:
    made = [deployment(number) for number in range(5)]
    events = [event(each) for each in made]
    events[2] = event(made[2], id=events[0].id)

    answers = await asyncio.gather(
        *(store.accept(each, told) for each, told in zip(made, events, strict=True)),
        return_exceptions=True,
    )

    failure = answers.pop(2)
    assert isinstance(failure, errors.StoreUnavailable)
    assert isinstance(failure.__cause__, sqlite3.IntegrityError)
    assert answers == [each for each in made if each is not made[2]] == await store.unfinished()
    with pytest.raises(errors.DeploymentNotFound):
        await store.steps(made[2].id)
    trail = await store.events(EventFilter(), page_size=9, cursor=None)
    assert len(trail.data) == 4


async def test_a_save_whose_event_fails_changes_nothing(store: Store) -> None:
    made = await accepted(store, 1)
    told = event(made)
    await store.note(told)

    ended = moved(made, State.CANCELLED)
    with pytest.raises(errors.StoreUnavailable):
        await store.save(ended, event(ended, id=told.id))

    assert await store.get(made.id) == made
    assert len(await store.steps(made.id)) == 1


async def test_a_text_that_no_file_can_hold_is_its_callers_fault_alone(store: Store) -> None:
    made = [deployment(number) for number in range(3)]
    events = [event(each) for each in made]
    events[1] = event(made[1], request_id="\ud800")

    answers = await asyncio.gather(
        *(store.accept(each, told) for each, told in zip(made, events, strict=True)),
        return_exceptions=True,
    )

    assert [type(answer).__name__ for answer in answers] == [
        "Deployment",
        "UnicodeEncodeError",
        "Deployment",
    ]


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


async def test_a_deployment_that_cannot_be_read_is_unavailable_not_wrong(
    store: Store, tmp_path: Path
) -> None:
    ended = await advanced(store, await accepted(store, 1), *WAY)
    with _aside(tmp_path) as other:
        other.execute("""UPDATE deployments SET record = '{"id": 1}'""")

    with pytest.raises(errors.StoreUnavailable):
        await store.get(ended.id)


async def test_a_list_that_cannot_be_read_is_unavailable(store: Store, tmp_path: Path) -> None:
    with _aside(tmp_path) as other:
        other.execute("DROP TABLE deployment_events")
        other.execute("DROP TABLE idempotency_keys")
        other.execute("DROP TABLE deployments")

    with pytest.raises(errors.StoreUnavailable) as refusal:
        await store.deployments(DeploymentFilter(), page_size=9, cursor=None)

    assert isinstance(refusal.value.__cause__, sqlite3.OperationalError)


async def test_closing_finishes_what_is_queued(url: str, store: Store, tmp_path: Path) -> None:
    writing = [asyncio.create_task(accepted(store, number)) for number in range(50)]
    await asyncio.sleep(0)

    await store.aclose()

    made = await asyncio.gather(*writing)
    assert not (tmp_path / "store.db-wal").exists()
    again = await Store.open(url, now=lambda: at(0))
    assert await again.unfinished() == made
    await again.aclose()


async def test_a_closed_store_is_unavailable_and_can_be_closed_again(store: Store) -> None:
    await store.aclose()
    await store.aclose()

    with pytest.raises(errors.StoreUnavailable):
        await accepted(store, 1)
    with pytest.raises(errors.StoreUnavailable):
        await store.unfinished()
    with pytest.raises(errors.StoreUnavailable):
        await store.check()


async def test_a_check_leaves_no_trace(either: Store) -> None:
    await either.check()
    await either.check()

    assert (await either.events(EventFilter(), page_size=9, cursor=None)).data == ()


async def test_a_file_that_is_gone_is_noticed(store: Store, tmp_path: Path) -> None:
    (tmp_path / "store.db").unlink()

    with pytest.raises(errors.StoreUnavailable):
        await store.check()


async def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/new/deeper/store.db", now=lambda: at(0))
    await accepted(store, 1)

    files = sorted((tmp_path / "new" / "deeper").iterdir())
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in files}
    folders = [stat.S_IMODE(folder.stat().st_mode) for folder in files[0].parents[:2]]
    await store.aclose()

    assert modes.keys() == {"store.db", "store.db.lock", "store.db-shm", "store.db-wal"}
    assert set(modes.values()) == {0o600}
    assert folders == [0o700, 0o700]


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
