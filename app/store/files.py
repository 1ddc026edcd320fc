"""Where the store is: the address, the file (0600) and its folder (0700), the connections."""

import fcntl
import os
import sqlite3
from pathlib import Path

from app import errors

_SCHEME = "sqlite:///"
_MEMORY = ":memory:"


class Connection(sqlite3.Connection):
    """A connection that begins by taking the one place of a writer."""

    def begin(self) -> None:
        """Begin a transaction."""
        self.execute("BEGIN IMMEDIATE")


def path(url: str) -> Path | None:
    """The file that *url* names, `None` for one in memory.

    Raises:
        StoreUnavailable: it is not the address of a SQLite file. The address is not repeated,
            since one of another store may hold a password.
    """
    name = url.removeprefix(_SCHEME)
    if name == url or not name:
        raise errors.StoreUnavailable(
            "STORE__URL is sqlite:///relative.db, sqlite:////absolute.db, sqlite:///:memory: or"
            " postgresql://user:password@host/database; no other store is built in."
        )
    return None if name == _MEMORY else Path(name)


def locked(file: Path | None) -> int | None:
    """Hold the store for this process alone, for as long as what is returned stays open.

    Two processes on one file would each take up what the other has under way.

    Raises:
        StoreUnavailable: another process holds it.
    """
    if file is None:
        return None
    _make_folder(file)
    lock = os.open(
        file.with_name(f"{file.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
    )
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as held:
        os.close(lock)
        raise errors.StoreUnavailable(
            "Another process uses this store. Stop it first, or name another file in STORE__URL."
        ) from held
    return lock


def writing(file: Path | None, *, patience: float) -> Connection:
    """A connection that writes, to *file* (made where there is none) or to memory.

    Args:
        file: the path.
        patience: seconds to wait for a lock that another process holds.
    """
    if file is not None:
        _make(file)
    connection = _connected(str(file or _MEMORY), patience=patience)
    try:
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "secure_delete = ON",
            "foreign_keys = ON",
            "temp_store = MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def reading(file: Path, *, patience: float) -> Connection:
    """A connection that cannot write; the file is open for writing already."""
    return _connected(f"{file.absolute().as_uri()}?mode=ro", uri=True, patience=patience)


def _connected(name: str, *, uri: bool = False, patience: float) -> Connection:
    return sqlite3.connect(
        name,
        uri=uri,
        timeout=patience,
        isolation_level=None,
        check_same_thread=False,
        factory=Connection,
    )


def _make(file: Path) -> None:
    _make_folder(file)
    os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _make_folder(file: Path) -> None:
    """Make the folder of *file* in the working directory; elsewhere it has to be there.

    In a mistyped path a record would begin anew, and nobody would look for the old one.

    Raises:
        StoreUnavailable: it is not there.
    """
    folder = file.parent
    if folder.is_dir():
        return
    if file.is_absolute() or not folder.parent.is_dir():
        raise errors.StoreUnavailable(
            f"STORE__URL names a file in {folder}, which is no folder. Mend the path, or make the"
            " folder for the service to write to."
        )
    folder.mkdir(mode=0o700, exist_ok=True)
