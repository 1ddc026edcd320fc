"""A store in PostgreSQL, for any number of processes; only `migrate` changes its schema.

A connection that was lost is made anew by the next transaction, so an outage ends by itself.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import psycopg

from app import errors
from app.store import listening, tables
from app.store.address import LIMITS, Address
from app.store.connection import Opened
from app.store.impatient import Silent

# A lost update is refused (40001) instead of made, as SQLite does by letting one write at a time.
_BEGIN: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ"
_PATIENCE_S: Final = 5.0  # to reach what is to be migrated
_MIGRATING: Final = 0x63657274  # "cert": the advisory lock of whoever migrates


class Connection:
    """A connection that is made anew where it was lost, but never within a transaction."""

    def __init__(self, connect: Callable[[], psycopg.Connection]) -> None:
        self._connect = connect
        self._within = False
        self._begin_anew()

    @property
    def pid(self) -> int:
        """The process at the server, by which what was written here is known again."""
        return self._connection.info.backend_pid

    def execute(self, statement: str, values: Sequence[Any] = ()) -> psycopg.Cursor:
        """Run one statement; a NUL, which PostgreSQL cannot hold, is written as U+FFFD."""
        query, bound = _query(statement), _bound(values) or None
        try:
            return self._cursor.execute(query, bound)
        except Silent:  # a new connection would most likely be as silent
            raise
        except psycopg.Error:
            if self._within or not self._connection.closed:
                raise
        self._begin_anew()
        return self._cursor.execute(query, bound)

    def executemany(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement for each of *rows*, in one journey; within a transaction."""
        self._cursor.executemany(_query(statement), [_bound(values) for values in rows])

    def begin(self) -> None:
        """Begin a transaction."""
        self.execute(_BEGIN)
        self._within = True

    def commit(self) -> None:
        """Make all since `begin` durable. Where the connection is lost, it may be or not."""
        self.execute("COMMIT")
        self._within = False

    def rollback(self) -> None:
        """Undo all since `begin`."""
        if self._within:
            self._within = False
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Let go of it."""
        self._connection.close()

    def _begin_anew(self) -> None:
        self._connection = self._connect()
        self._cursor = self._connection.cursor()  # one for all: each costs as much as a statement


def opened(url: str, *, patience: float) -> Opened:
    """The store at *url*, as it is.

    Raises:
        StoreUnavailable: it cannot be reached, or its schema is older or newer than this release.
    """
    address = Address.of(url, patience=patience)
    with _translated(), contextlib.ExitStack() as undo:
        writing = Connection(address.connect)
        undo.callback(writing.close)
        _check(writing)
        secret = tables.fingerprint_secret(writing)
        reading = Connection(address.connect)
        undo.pop_all()
    return Opened(
        writing=writing,
        reading=reading,
        secret=secret,
        listen=partial(listening.listen, address.connect_async, lambda: writing.pid),
        leave=lambda: None,
    )


def migrate(url: str) -> tuple[int, int]:
    """Bring the schema up to date in one transaction; say from which version to which.

    Raises:
        StoreUnavailable: it cannot be reached, or was written by a newer release.
    """
    address = Address.of(url, patience=_PATIENCE_S)
    with _translated(), contextlib.closing(address.connect()) as connection:
        for name in LIMITS:
            connection.execute("SELECT set_config(%s, '0', false)", (name,))
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED  # sees who went before
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATING,))
            return tables.migrate(Connection(lambda: connection), tables.POSTGRES)


def _check(connection: Connection) -> None:
    newest = len(tables.POSTGRES)
    try:
        known = tables.version(connection)
    except psycopg.errors.UndefinedTable:
        known = 0
    if known > newest:
        raise tables.too_new(known, newest)
    if known < newest:
        raise errors.StoreUnavailable(
            f"The store has schema version {known}, and this release needs {newest}. Bring it up"
            " to date first: python -m app migrate"
        )


def _query(statement: str) -> bytes:
    return statement.replace("?", "%s").encode()


def _bound(values: Sequence[Any]) -> list[Any]:
    return [_without_nul(value) for value in values]


def _without_nul(value: object) -> object:
    return value.replace("\0", "\ufffd") if isinstance(value, str) and "\0" in value else value


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as fault:
        raise errors.StoreUnavailable from fault
