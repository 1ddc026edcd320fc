"""A store in a SQLite file, or in memory: for one process, which brings the schema up to date."""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from app import errors
from app.store import files, tables
from app.store.connection import Opened


def opened(url: str, *, patience: float) -> Opened:
    """The store at *url*, made and brought up to date where need be.

    Raises:
        StoreUnavailable: another scheme, a newer schema, or no such file to be made.
    """
    file = files.path(url)
    with _translated(), contextlib.ExitStack() as undo:
        leave = _held(file)
        undo.callback(leave)
        writing = files.writing(file, patience=patience)
        undo.callback(writing.close)
        _migrate(writing)
        secret = tables.fingerprint_secret(writing)
        reading = None if file is None else files.reading(file, patience=patience)
        undo.pop_all()
        return Opened(writing=writing, reading=reading, secret=secret, listen=None, leave=leave)


def migrate(url: str) -> tuple[int, int]:
    """Bring the schema at *url* up to date; say from which version to which.

    Raises:
        StoreUnavailable: as `opened`.
    """
    file = files.path(url)
    with _translated(), contextlib.ExitStack() as stack:
        stack.callback(_held(file))
        connection = stack.enter_context(contextlib.closing(files.writing(file, patience=5.0)))
        return _migrate(connection)


def _migrate(connection: files.Connection) -> tuple[int, int]:
    connection.begin()
    try:
        moved = tables.migrate(connection, tables.SQLITE)
        connection.commit()
    finally:
        connection.rollback()
    return moved


def _held(file: Path | None) -> Callable[[], None]:
    """Hold the file for this process; what is returned lets it go."""
    lock = files.locked(file)
    return lambda: None if lock is None else os.close(lock)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as fault:
        raise errors.StoreUnavailable from fault
