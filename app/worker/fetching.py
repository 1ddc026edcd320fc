"""Fetches jobs over a connection of its own, in a thread, which is cheaper than psycopg's asyncio.

A fetch is never repeated by itself: an answer that was lost may have handed out a job. Whoever
takes a job over leaves in it when the one before was last heard (`HEARD`), by PostgreSQL's clock.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import psycopg

QUEUE: Final = "deployments"
HEARD: Final = "heard"
_FETCH: Final = """
    SELECT id, args ->> 'id', args ->> 'sealed', args ->> %s, now()
    FROM procrastinate_fetch_job_v2(ARRAY[%s], %s)
"""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A deployment whose turn it is; `sealed` is what was held of it, and may be empty.

    `silent_s` is for how many seconds the worker that it was taken over from has not been heard.
    """

    number: int
    deployment_id: str
    sealed: str = field(repr=False)
    silent_s: float = 0.0


class Fetching:
    """The thread. What fails in PostgreSQL is passed on, and the next fetch connects anew."""

    def __init__(self, connect: Callable[[], psycopg.Connection]) -> None:
        self._connect = connect
        self._connection: psycopg.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="job-fetcher")

    async def next(self, worker: int) -> Job | None:
        """The next job that may run, which is then the *worker*'s; `None` where there is none."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._next, worker)

    async def aclose(self) -> None:
        """Finish what is being fetched, close the connection and end the thread."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _next(self, worker: int) -> Job | None:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        row = self._connection.execute(_FETCH, (HEARD, QUEUE, worker)).fetchone()
        if row is None or row[0] is None:
            return None
        silent_s = _silent_s(heard=row[3], now=row[4])
        return Job(number=row[0], deployment_id=row[1], sealed=row[2], silent_s=silent_s)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()


def _silent_s(*, heard: str | None, now: datetime) -> float:
    """Read here, as a row that somebody spoiled would fail every fetch there, before all others."""
    try:
        return max(0.0, (now - datetime.fromisoformat(heard or "")).total_seconds())
    except (ValueError, TypeError):
        return 0.0
