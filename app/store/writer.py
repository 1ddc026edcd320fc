"""One thread that writes, and commits for all who wait at once.

It takes every queued operation, commits once, and only then answers all of them, by one call
into the event loop. Where one fails, it begins again with a commit for each, so that no neighbour
is harmed: an operation may run twice, and does nothing but SQL. The queue outlives its callers: an
operation whose caller was cancelled is done.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final, Generic, TypeVar

from app import errors
from app.store.connection import CONFLICTS, FAULTS, Connection
from app.store.transaction import Transaction

T = TypeVar("T")
Work = Callable[[Transaction], T]

_AT_MOST: Final = 512  # operations in one commit: bounds how long the first of them waits
_TRIES: Final = 3  # of an operation alone, while other processes write the same
_ITS_OWN: Final = (*FAULTS, ValueError, OverflowError)


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

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
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
            StoreUnavailable: the thread has ended. The future raises it where the database
                failed, and passes on what *work* raised.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Operation(work, future, then))
        if self._ended:  # looked at after the put, so that nothing is left behind unseen
            raise errors.StoreUnavailable
        return future

    async def aclose(self) -> None:
        """Finish what is queued, close the connection, and end the thread."""
        self._queue.put(None)
        await asyncio.shield(self._end)
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._last:
                self._take()
                if self._batch:
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
        """What became of each operation, after one commit for all, or else one for each."""
        connection = self._connection
        try:
            connection.begin()
            try:
                outcomes = self._done(self._batch)
            except _ITS_OWN:
                connection.rollback()
                return [self._alone(operation) for operation in self._batch]
            connection.commit()
        except FAULTS as fault:
            self._give_up()
            return [_unavailable(fault) for _ in self._batch]
        return outcomes

    def _done(self, operations: list[_Operation[Any]]) -> list[object]:
        """What became of each, within the transaction."""
        transaction = Transaction(self._connection)
        outcomes = [_attempt(operation, transaction) for operation in operations]
        transaction.flush()
        return outcomes

    def _alone(self, operation: _Operation[Any]) -> object:
        """What became of it, committed by itself; another process may get in between."""
        failure: object = errors.StoreUnavailable()
        for _ in range(_TRIES):
            try:
                self._connection.begin()
                (outcome,) = self._done([operation])
                self._connection.commit()
            except _ITS_OWN as fault:
                self._give_up()
                failure = _unavailable(fault) if isinstance(fault, FAULTS) else fault
                if not isinstance(fault, CONFLICTS):
                    break
            else:
                return outcome
        return failure

    def _give_up(self) -> None:
        with contextlib.suppress(*FAULTS):  # the first error is the one that is told
            self._connection.rollback()

    def _settle(self, outcomes: list[object]) -> None:
        self._loop.call_soon_threadsafe(_resolve, self._batch, outcomes)
        self._batch = []

    def _leave(self) -> None:
        """Close the connection, and leave nobody waiting, not even after a fault of our own."""
        self._give_up()
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


def _attempt(operation: _Operation[Any], transaction: Transaction) -> object:
    """What became of it; what it refuses leaves nothing to undo (`writes`)."""
    try:
        return operation.work(transaction)
    except errors.Trouble as refusal:
        return refusal


def _unavailable(fault: BaseException) -> errors.StoreUnavailable:
    trouble = errors.StoreUnavailable()
    trouble.__cause__ = fault
    return trouble
