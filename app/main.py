"""The wiring: the only module that knows everyone.

`create_app` opens the store, builds the connectors, starts the worker pool, and hands each room
what it needs; leaving it drains and closes them in the other order.
"""

import ctypes
import resource
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from fastapi import FastAPI

from app import __version__, api, connectors, logs
from app.api.access import Access, AccessFile, Open
from app.api.rooms import Rooms
from app.deployment.connector import Connector
from app.deployment.model import new_id
from app.deployment.saga import Limits
from app.metrics import Metrics
from app.settings import Settings, environment_of_process
from app.store import Store
from app.worker import Outside, Pool, Worker

_PR_SET_DUMPABLE: Final = 4  # Linux, prctl(2)
_RANDOM_BYTES: Final = 6


@dataclass(frozen=True, kw_only=True)
class Service:
    """A running service: the app to serve, and the worker to drain before it is left."""

    app: FastAPI
    worker: Worker
    metrics: Metrics


def now() -> datetime:
    """The clock: now, in UTC."""
    return datetime.now(UTC)


def fresh_id(prefix: str) -> str:
    """A new id that sorts by time."""
    return new_id(prefix, now(), secrets.token_bytes(_RANDOM_BYTES))


def no_core_dumps() -> None:
    """See to it that no core dump can hold a key (Linux; elsewhere only the limit is set)."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


@asynccontextmanager
async def create_app(
    settings: Settings, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Service]:
    """Open everything and yield the service; drain and close it on the way out.

    Args:
        settings: what was configured.
        environment: the process environment, for the identity variables of the clouds' SDKs.

    Raises:
        ValueError: the access file cannot be used.
        StoreUnavailable: the store cannot be opened.
    """
    metrics = Metrics(version=__version__, build=settings.build)
    access = _access(settings)
    surroundings = environment_of_process() if environment is None else environment
    async with AsyncExitStack() as stack:
        store = await Store.open(
            settings.store.url, idempotency_days=settings.store.idempotency_days, now=now
        )
        stack.push_async_callback(store.aclose)
        made = _connectors(settings, surroundings, metrics)
        for connector in made.values():
            stack.push_async_callback(connector.aclose)
        outside = Outside(now=now, new_id=fresh_id, told=logs.told)
        worker = Worker(store, made, metrics, _pool(settings), outside)
        await worker.start()
        stack.push_async_callback(worker.drain)
        rooms = Rooms(
            store=store,
            queue=worker,
            connectors=made,
            kinds=connectors.REGISTRY,
            access=access,
            metrics=metrics,
            now=now,
            new_id=fresh_id,
            version=__version__,
            build=settings.build,
        )
        app = bare_app()
        here = settings.http.metrics_port is None
        api.install(app, rooms, metrics_here=here, docs=settings.http.docs)
        yield Service(app=app, worker=worker, metrics=metrics)


def _access(settings: Settings) -> Access:
    if settings.access.mode == "disabled" or settings.access.file is None:
        return Open()
    return AccessFile(settings.access.file)


def _pool(settings: Settings) -> Pool:
    worker = settings.worker
    return Pool(
        concurrency=worker.concurrency,
        queue_limit=worker.queue_limit,
        limits=Limits(deadline_s=worker.deadline_s, rollback_s=worker.rollback_s),
        drain_s=worker.drain_s,
    )


def _connectors(
    settings: Settings, environment: Mapping[str, str], metrics: Metrics
) -> dict[str, Connector]:
    return {
        kind.type: kind.build(
            settings.group(kind.settings),
            environment=environment,
            counted=partial(metrics.answered, kind.type),
            now=now,
        )
        for kind in connectors.REGISTRY.values()
    }
