"""How long things are kept, and what lets go of them.

Deployments are as old as their acceptance, which their ids tell; one that has not ended is never
old. Audit events are kept for ever unless somebody asks otherwise.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app.deployment.model import new_id
from app.store import queries, records
from app.store.writes import Prune

_BATCH: Final = 200  # rows in one write, so that nobody waits long behind it


@dataclass(frozen=True, kw_only=True)
class Keep:
    """How long, in days.

    Args:
        idempotency_days: how long an idempotency key is remembered.
        deployment_days: how long a finished deployment is kept, with its steps.
        audit_days: how long an audit event is kept, `None` for ever.
    """

    idempotency_days: float = 7
    deployment_days: float = 365
    audit_days: float | None = None


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """How many were let go."""

    deployments: int
    events: int


async def prune(keep: Keep, now: datetime, write: Callable[[Prune], Awaitable[int]]) -> Pruned:
    """Let go of all that is too old at *now*, in bounded writes."""
    keys = records.stamp(now - timedelta(days=keep.idempotency_days))
    await _all(queries.PRUNE_KEYS, keys, write)
    return Pruned(
        deployments=await _older(
            queries.PRUNE_DEPLOYMENTS, "dep", now, keep.deployment_days, write
        ),
        events=await _older(queries.PRUNE_EVENTS, "evt", now, keep.audit_days, write),
    )


async def _older(
    statement: str,
    prefix: str,
    now: datetime,
    days: float | None,
    write: Callable[[Prune], Awaitable[int]],
) -> int:
    if days is None:
        return 0
    return await _all(statement, new_id(prefix, now - timedelta(days=days), b""), write)


async def _all(statement: str, below: str, write: Callable[[Prune], Awaitable[int]]) -> int:
    total = gone = await write(Prune(statement, below, _BATCH))
    while gone == _BATCH:
        gone = await write(Prune(statement, below, _BATCH))
        total += gone
    return total
