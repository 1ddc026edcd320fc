"""The schema of the queue: Procrastinate's, which does not say its own version.

So a comment on its table does: the name of the last of Procrastinate's migrations that was
applied. Tables without our comment belong to somebody else, and are left alone.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import psycopg
from procrastinate.schema import SchemaManager
from psycopg import sql

from app.errors import StoreUnavailable
from app.store import Address

_LOCK: Final = 0x71756575  # of PostgreSQL's advisory locks, the one of who migrates
_THERE: Final = "SELECT to_regclass('procrastinate_jobs')::oid::bigint"
_COMMENT: Final = "SELECT obj_description(%s::oid, 'pg_class')"
_MARK: Final = "certctl-connectors: "


async def check(address: Address) -> None:
    """See whether the queue's schema is the one that this version needs.

    Raises:
        StoreUnavailable: it is older, or newer, or cannot be read in time; the text says which.
    """
    try:
        async with asyncio.timeout(address.patience), _connected(address) as connection:
            found = await _version(connection)
    except TimeoutError as silence:
        raise StoreUnavailable from silence
    if found != _newest():
        raise StoreUnavailable(
            "The queue's schema is older than this version needs. Run `python -m app migrate`."
        )


async def migrate(address: Address) -> tuple[str | None, str]:
    """Bring the queue's schema to this version's, in one transaction; two at once are fine.

    Returns the last of Procrastinate's migrations that there was, if any, and that there is now.

    Raises:
        StoreUnavailable: it cannot be done, it is newer, or the tables are somebody else's.
    """
    async with _connected(address) as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        found = await _version(connection)
        if found is None:
            await connection.execute(SchemaManager.get_schema().encode())
        else:
            for migration in _migrations():
                if migration.name > found:
                    await connection.execute(migration.read_bytes())
        mark = sql.Literal(_MARK + _newest())
        await connection.execute(sql.SQL("COMMENT ON TABLE procrastinate_jobs IS {}").format(mark))
    return found, _newest()


async def _version(connection: psycopg.AsyncConnection) -> str | None:
    """The last migration that was applied; `None` where there are no tables yet.

    Raises:
        StoreUnavailable: it is none of this version's, or the tables are somebody else's.
    """
    there = await (await connection.execute(_THERE)).fetchone()
    if there is None or there[0] is None:
        return None
    told = await (await connection.execute(_COMMENT, there)).fetchone()
    comment = "" if told is None or told[0] is None else str(told[0])
    if not comment.startswith(_MARK):
        raise StoreUnavailable(
            "This database holds another application's Procrastinate. Use one of its own."
        )
    found = comment.removeprefix(_MARK)
    if found > _newest():
        raise StoreUnavailable(
            "The queue's schema is newer than this version knows. Start the newer version."
        )
    return found


def _migrations() -> list[Path]:
    return sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))


def _newest() -> str:
    return _migrations()[-1].name


@asynccontextmanager
async def _connected(address: Address) -> AsyncIterator[psycopg.AsyncConnection]:
    """A connection, and a transaction that ends with the block."""
    try:
        async with await address.connect_async() as connection, connection.transaction():
            yield connection
    except psycopg.Error as fault:
        raise StoreUnavailable from fault
