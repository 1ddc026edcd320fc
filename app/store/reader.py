"""One thread that reads, over a connection of its own, so that lists hold up nobody."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from app import errors
from app.store.connection import FAULTS, Connection, Readable

T = TypeVar("T")


class Reader:
    """The reader thread.

    Args:
        connection: its own from now on, and closed by it at the end.
        patience: seconds that one question may take, and its wait for its turn another.
    """

    def __init__(self, connection: Connection, *, patience: float) -> None:
        self._connection = connection
        self._limit_s = 2 * patience
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-reader")

    async def run(self, work: Callable[[Readable], T]) -> T:
        """What *work* reads.

        Raises:
            StoreUnavailable: the database failed, or was silent; or what *work* raised.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._limit_s):  # what waits for its turn is taken back
                return await loop.run_in_executor(self._thread, work, self._connection)
        except (*FAULTS, TimeoutError) as fault:
            raise errors.StoreUnavailable from fault

    async def aclose(self) -> None:
        """Finish what is being read, close the connection and end the thread."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()
