"""One thread that reads, over a connection of its own, so that lists hold up nobody."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from app import errors
from app.store.connection import FAULTS, Connection, Readable

T = TypeVar("T")


class Reader:
    """The reader thread. *connection* is its own from now on, and closed by it at the end."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-reader")

    async def run(self, work: Callable[[Readable], T]) -> T:
        """What *work* reads.

        Raises:
            StoreUnavailable: the database failed; or what *work* raised.
        """
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, work, self._connection)
        except FAULTS as fault:
            raise errors.StoreUnavailable from fault

    async def aclose(self) -> None:
        """Finish what is being read, close the connection and end the thread."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()
