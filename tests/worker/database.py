"""What tests say to PostgreSQL past the store and the queue."""

from collections.abc import Sequence
from typing import Any

import psycopg


async def told(url: str, statement: str, values: Sequence[Any] = ()) -> list[Any]:
    """What PostgreSQL answers to a statement, which is done and committed."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(statement.encode(), values or None)
        return await cursor.fetchall() if cursor.description else []


async def silent_for_40_s(url: str) -> None:
    """No worker has been heard for so long."""
    await told(url, "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '40 s'")
