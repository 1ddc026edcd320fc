"""The writer thread, where the store's own operations do not reach."""

import asyncio
import threading
from pathlib import Path

import psycopg
import pytest

from app import errors
from app.store import files
from app.store.transaction import Transaction
from app.store.writer import Writer


@pytest.fixture
def connection(tmp_path: Path) -> files.Connection:
    made = files.writing(tmp_path / "writer.db", patience=0.1)
    made.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY)")
    return made


@pytest.fixture
async def writer(connection: files.Connection) -> Writer:
    return Writer(connection, asyncio.get_running_loop())


class Insert:
    """Writes one number."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __call__(self, transaction: Transaction) -> int:
        transaction.execute("INSERT INTO numbers VALUES (?)", (self._number,))
        return self._number


async def test_what_waits_together_is_committed_together(
    writer: Writer, connection: files.Connection
) -> None:
    gate, commits = threading.Event(), list[str]()

    def hold(_: Transaction) -> None:
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

    def hold(_: Transaction) -> None:
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
    def broken(_: Transaction) -> None:
        raise LookupError("a bug")

    waiting = [writer.submit(broken), writer.submit(broken)]

    for each in waiting:
        with pytest.raises(errors.StoreUnavailable):
            await each
    await writer.aclose()


async def test_an_operation_that_others_always_get_in_between_is_given_up(writer: Writer) -> None:
    tries = []

    def beaten(_: Transaction) -> None:
        tries.append(1)
        raise psycopg.errors.SerializationFailure

    told = await asyncio.gather(writer.submit(beaten), return_exceptions=True)
    after = await writer.submit(Insert(1))

    assert isinstance(told[0], errors.StoreUnavailable)
    assert (len(tries), after) == (4, 1)  # once together with others, then three times alone
    await writer.aclose()
