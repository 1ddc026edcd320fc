"""One thread that reads, over a connection that cannot write, so that lists hold up nobody."""

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from app import errors
from app.store.writer import Work

T = TypeVar("T")


class Reader:
    """The reader thread. *connection* is its own from now on, and closed by it at the end."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-reader")

    async def run(self, work: Work[T]) -> T:
        """What *work* reads.

        Raises:
            StoreUnavailable: SQLite failed; or what *work* raised.
        """
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, work, self._connection)
        except sqlite3.Error as fault:
            raise errors.StoreUnavailable from fault

    async def aclose(self) -> None:
        """Finish what is being read, close the connection and end the thread."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()
