"""One thread that writes, and commits for all who wait at once.

It takes every queued operation, commits once, and only then answers all of them, by one call
into the event loop. Where one fails, it begins again with each under its own savepoint, so that
no neighbour is harmed: an operation may run twice, and does nothing but SQL. The queue outlives
its callers: an operation whose caller was cancelled is done.
"""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from app import errors
from app.store import queries

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

_AT_MOST = 512  # operations in one commit: bounds how long the first of them waits
_ITS_OWN = (sqlite3.Error, errors.Trouble, ValueError, OverflowError)


class _Operation(Generic[T]):
    __slots__ = ("future", "then", "work")

    def __init__(
        self, work: Work[T], future: asyncio.Future[T], then: Callable[[T], object] | None
    ) -> None:
        self.work = work
        self.future = future
        self.then = then

    def resolve(self, outcome: T | BaseException) -> None:
        """Tell the watchers, then the caller, unless it has gone."""
        if isinstance(outcome, BaseException):
            if not self.future.done():
                self.future.set_exception(outcome)
            return
        if self.then is not None:
            self.then(outcome)
        if not self.future.done():
            self.future.set_result(outcome)


class Writer:
    """The writer thread. *connection* is its own from now on, and closed by it at the end."""

    def __init__(self, connection: sqlite3.Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection
        self._loop = loop
        self._queue: SimpleQueue[_Operation[Any] | None] = SimpleQueue()
        self._batch: list[_Operation[Any]] = []
        self._last = self._ended = False
        self._end: asyncio.Future[None] = loop.create_future()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(
        self, work: Work[T], *, then: Callable[[T], object] | None = None
    ) -> asyncio.Future[T]:
        """Queue *work*; the future is done after its commit.

        Args:
            work: runs in the thread, inside the transaction.
            then: called on the event loop with the result, before anyone who waits, even if
                the caller was cancelled.

        Raises:
            StoreUnavailable: the thread has ended. The future raises it where SQLite failed,
                and passes on what *work* raised.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Operation(work, future, then))
        if self._ended:  # looked at after the put, so that nothing is left behind unseen
            raise errors.StoreUnavailable
        return future

    async def aclose(self) -> None:
        """Finish what is queued, move the log into the file, and end the thread."""
        self._queue.put(None)
        await asyncio.shield(self._end)
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._last:
                self._take()
                self._settle(self._outcomes())
        finally:
            self._ended = True
            self._leave()

    def _take(self) -> None:
        """Wait for an operation and take all there are, up to the end where that is among them."""
        while len(self._batch) < _AT_MOST:
            waiting = self._queue.get()
            if waiting is None:
                self._last = True
                return
            self._batch.append(waiting)
            if self._queue.empty():
                return

    def _outcomes(self) -> list[object]:
        """What became of each operation, after one commit for all."""
        connection = self._connection
        try:
            connection.execute(queries.BEGIN)
            try:
                outcomes = [operation.work(connection) for operation in self._batch]
            except _ITS_OWN:
                outcomes = self._one_by_one()
            connection.execute(queries.COMMIT)
        except sqlite3.Error as fault:
            self._give_up()
            return [_unavailable(fault) for _ in self._batch]
        return outcomes

    def _one_by_one(self) -> list[object]:
        """The batch again, each operation harmed by its own failure only."""
        if self._connection.in_transaction:  # not after a full disk: SQLite has undone it all
            self._connection.execute(queries.ROLLBACK)
        self._connection.execute(queries.BEGIN)
        return [self._apart(operation) for operation in self._batch]

    def _apart(self, operation: _Operation[Any]) -> object:
        connection = self._connection
        connection.execute(queries.SAVEPOINT)
        try:
            outcome = operation.work(connection)
        except _ITS_OWN as fault:
            if not connection.in_transaction:  # nor are its neighbours there any more
                raise
            connection.execute(queries.ROLLBACK_TO)
            outcome = _unavailable(fault) if isinstance(fault, sqlite3.Error) else fault
        connection.execute(queries.RELEASE)
        return outcome

    def _give_up(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # the first error is the one that is told
            if self._connection.in_transaction:
                self._connection.execute(queries.ROLLBACK)

    def _settle(self, outcomes: list[object]) -> None:
        self._loop.call_soon_threadsafe(_resolve, self._batch, outcomes)
        self._batch = []

    def _leave(self) -> None:
        """Close the file, and leave nobody waiting, not even after a fault of our own."""
        self._give_up()
        with contextlib.suppress(sqlite3.Error):  # the log is read at the next start
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self._connection.close()
        while not self._queue.empty():
            waiting = self._queue.get()
            if waiting is not None:
                self._batch.append(waiting)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self._settle([errors.StoreUnavailable() for _ in self._batch])
            self._loop.call_soon_threadsafe(self._end.set_result, None)


def _resolve(batch: list[_Operation[Any]], outcomes: list[object]) -> None:
    for operation, outcome in zip(batch, outcomes, strict=True):
        operation.resolve(outcome)


def _unavailable(fault: sqlite3.Error) -> errors.StoreUnavailable:
    trouble = errors.StoreUnavailable()
    trouble.__cause__ = fault
    return trouble
