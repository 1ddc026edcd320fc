"""Hears what other processes write, by PostgreSQL's LISTEN, over a connection of its own.

What was told while the connection was away is lost, so everyone who waits then looks again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

import psycopg
import structlog

from app.store.live import Live

_AGAIN_S: Final = 1.0  # between two attempts to listen again


async def listen(
    connect: Callable[[], Awaitable[psycopg.AsyncConnection]], ours: Callable[[], int], live: Live
) -> NoReturn:
    """Stir who waits for what others have written, until cancelled.

    Args:
        connect: makes the connection.
        ours: the server's process that writes for us: what it tells is known already.
        live: who waits.
    """
    told_of = False
    while True:
        try:
            async with await connect() as connection:
                await connection.execute("LISTEN deployments")
                live.stir_all()
                told_of = False
                async for told in connection.notifies():
                    if told.pid != ours():
                        live.stir(told.payload)
        except psycopg.Error as fault:
            if not told_of:  # once in each outage, which this one only finds out again
                structlog.get_logger().warning("store.not_listening", reason=type(fault).__name__)
            told_of = True
        await asyncio.sleep(_AGAIN_S)
