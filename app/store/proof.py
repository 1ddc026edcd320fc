"""The proof that the store answers and takes writes, for the probes that ask every few seconds.

Only a commit proves it: a disk without room is noticed by nothing less, and by a small write late.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from app import errors
from app.store import reads, writes

_HOLDS_S: Final = 1.0  # so that whoever asks all the time does not write all the time


class Proof:
    """Proves it anew where the last proof is more than a second old.

    Args:
        read: runs in the thread that reads.
        write: runs in the thread that writes, and commits.
        patience: seconds until there is no proof.
    """

    def __init__(
        self,
        read: Callable[..., Awaitable[Any]],
        write: Callable[..., Awaitable[Any]],
        *,
        patience: float,
    ) -> None:
        self._read = read
        self._write = write
        self._patience = patience
        self._one_asks = asyncio.Lock()
        self._holds_until = 0.0

    async def given(self) -> None:
        """Return if it is.

        Raises:
            StoreUnavailable: it cannot be given, or not within the patience.
        """
        clock = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(self._patience), self._one_asks:
                if clock() < self._holds_until:
                    return
                await self._read(reads.ping)
                await self._write(writes.touch)
                self._holds_until = clock() + _HOLDS_S
        except TimeoutError as late:
            raise errors.StoreUnavailable from late
