"""What SQLite and PostgreSQL have in common: a connection, its faults, and a store once it is open.

Statements are written once, with `?` for each value. Between `begin` and `commit` nobody else is
seen to write; where PostgreSQL cannot keep that up it raises one of `CONFLICTS`, and the work is to
be done again.
"""

import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Protocol

import psycopg

from app.store.live import Live

FAULTS: Final = (sqlite3.Error, psycopg.Error)
CONFLICTS: Final = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)


class Cursor(Protocol):
    """What a statement answers."""

    @property
    def rowcount(self) -> int:
        """How many rows were written."""
        ...

    def fetchone(self) -> Any:  # noqa: ANN401 - a row, or none
        """The next row."""
        ...

    def fetchall(self) -> list[Any]:
        """All rows."""
        ...


class Readable(Protocol):
    """What a read asks; its answer is taken before the next one is asked."""

    def execute(self, statement: str, values: Sequence[Any] = ..., /) -> Cursor:
        """Run one statement; outside of a transaction it is durable by itself."""
        ...


class Connection(Readable, Protocol):
    """One connection, used by one thread. Each method raises one of `FAULTS`."""

    def executemany(self, statement: str, rows: Sequence[Sequence[Any]], /) -> object:
        """Run one statement for each of *rows*."""
        ...

    def begin(self) -> None:
        """Begin a transaction that sees what was committed up to here."""
        ...

    def commit(self) -> None:
        """Make all since `begin` durable."""
        ...

    def rollback(self) -> None:
        """Undo all since `begin`."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A store that is open.

    Args:
        writing: the writer's connection.
        reading: the reader's, `None` where nobody else can see what is written.
        secret: the secret of fingerprints.
        listen: hears what other processes write, `None` where there are no others.
        leave: lets go of what else is held, at the very end.
    """

    writing: Connection
    reading: Connection | None
    secret: bytes
    listen: Callable[[Live], Coroutine[Any, Any, NoReturn]] | None
    leave: Callable[[], None]


class Engine(Protocol):
    """A kind of database, which the scheme of the address names."""

    def opened(self, url: str, *, patience: float) -> Opened:
        """The store at *url*."""
        ...

    def migrate(self, url: str) -> tuple[int, int]:
        """Bring the schema at *url* up to date; say from which version to which."""
        ...
