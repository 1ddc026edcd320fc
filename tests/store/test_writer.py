"""The writer thread, where the store's own operations do not reach."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from app import errors
from app.store import files
from app.store.writer import Writer


@pytest.fixture
async def writer(tmp_path: Path) -> Writer:
    connection = files.writing(tmp_path / "writer.db", patience=0.1)
    connection.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY)")
    return Writer(connection, asyncio.get_running_loop())


class Insert:
    """Writes one number."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __call__(self, connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO numbers VALUES (?)", (self._number,))
        return self._number


async def test_what_waits_together_is_committed_together(writer: Writer) -> None:
    gate, commits = threading.Event(), list[str]()

    def hold(connection: sqlite3.Connection) -> None:
        gate.wait(timeout=10)
        connection.set_trace_callback(commits.append)

    held = writer.submit(hold)
    waiting = [writer.submit(Insert(number)) for number in range(600)]
    gate.set()

    assert await asyncio.gather(*waiting) == list(range(600))
    await held
    assert 1 <= commits.count("COMMIT") <= 4
    await writer.aclose()


async def test_what_is_queued_before_the_end_is_done_and_after_it_refused(writer: Writer) -> None:
    begun, gate = threading.Event(), threading.Event()

    def hold(connection: sqlite3.Connection) -> None:
        begun.set()
        gate.wait(timeout=10)

    held = writer.submit(hold)
    await asyncio.to_thread(begun.wait)
    before = [writer.submit(Insert(number)) for number in range(2)]
    closing = asyncio.create_task(writer.aclose())
    await asyncio.sleep(0)
    after = writer.submit(Insert(2))
    gate.set()
    await closing

    await held
    assert await asyncio.gather(*before) == [0, 1]
    with pytest.raises(errors.StoreUnavailable):
        await after
    with pytest.raises(errors.StoreUnavailable):
        writer.submit(Insert(3))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_fault_of_our_own_leaves_nobody_waiting(writer: Writer) -> None:
    def broken(connection: sqlite3.Connection) -> None:
        raise LookupError("a bug")

    waiting = [writer.submit(broken), writer.submit(broken)]

    for each in waiting:
        with pytest.raises(errors.StoreUnavailable):
            await each
    await writer.aclose()
