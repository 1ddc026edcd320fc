"""Connections that are given up where PostgreSQL has stopped in the middle of an answer.

Its own limits end nothing then, and neither do TCP's: the kernel of a machine whose disk hangs, or
whose server was stopped, goes on to acknowledge what it is sent. What a connection that was given
up would have answered is nobody's, so it is closed, and whoever asks next makes another.
"""

import asyncio
from time import monotonic
from typing import Final, TypeVar

import psycopg
from psycopg import waiting
from psycopg.abc import PQGen

T = TypeVar("T")
_LOOK_S: Final = 0.1  # between two looks for a signal, as in psycopg


class Silent(psycopg.OperationalError):
    """Nothing was answered for so long that it was given up; whether it was done, nobody knows."""


class Connection(psycopg.Connection):
    """One that waits for `limit_s` seconds at most; for ever while that is `None`."""

    limit_s: float | None = None

    def wait(self, gen: PQGen[T], interval: float = _LOOK_S, timeout: float | None = None) -> T:
        """Wait, and close the connection where it was in vain.

        Raises:
            Silent: the limit is over.
            psycopg.OperationalError: the connection was lost.
        """
        limit, began = self.limit_s if timeout is None else timeout, monotonic()
        try:
            return super().wait(gen, interval, limit)
        except psycopg.OperationalError as fault:
            if fault.sqlstate is not None:  # the server's answer
                raise
            self.close()
            if limit is not None and monotonic() - began >= limit:
                raise Silent from fault
            raise


class AsyncConnection(psycopg.AsyncConnection):
    """One that whoever waits for it may leave at any moment."""

    async def wait(
        self,
        gen: PQGen[T],
        interval: float = _LOOK_S,
        timeout: float | None = None,  # noqa: ASYNC109 - psycopg's signature
    ) -> T:
        """Wait, and close the connection where nobody does any more.

        psycopg would ask the server to cancel what it does, and wait for that.
        """
        try:
            return await waiting.wait_async(
                gen, self.pgconn.socket, interval=interval, timeout=timeout
            )
        except asyncio.CancelledError:
            if self.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                await self.close()
            raise
