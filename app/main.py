"""The wiring: the only module that knows everyone.

`create_app` opens the store, builds the connectors, starts the worker pool, and hands each room
what it needs; leaving it drains and closes them in the other order.
"""

import asyncio
import contextlib
import ctypes
import os
import resource
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

import orjson
from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from app import __version__, api, connectors, logs
from app.api.access import NAME, Access, AccessFile, Open, hash_token, new_token
from app.api.rooms import Rooms
from app.deployment.connector import Connector
from app.deployment.model import new_id
from app.deployment.saga import Limits
from app.metrics import Metrics
from app.settings import PREFIX, Settings, environment_of_process, read
from app.store import Keep, Store
from app.worker import Outside, Pool, Worker

_PR_SET_DUMPABLE: Final = 4  # Linux, prctl(2)
_RANDOM_BYTES: Final = 6
_IDS_AT_ONCE: Final = 128
_TIDY_S: Final = 3600  # between two prunings of the store
# What FastAPI can tell an OpenTelemetry provider includes what was wrong with a body.
_NO_TELEMETRY: Final[TelemetryConfig] = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
}


@dataclass(frozen=True, kw_only=True)
class Service:
    """A running service: the app to serve, and the worker to drain before it is left."""

    app: FastAPI
    worker: Worker
    metrics: Metrics


def now() -> datetime:
    """The clock: now, in UTC."""
    return datetime.now(UTC)


def ids() -> Callable[[str], str]:
    """What makes a new id of a prefix: ids sort by time."""
    randomness = _randomness()
    return lambda prefix: new_id(prefix, now(), next(randomness))


def _randomness() -> Iterator[bytes]:
    """The random part of ids, fetched for many at once: each question to the system costs."""
    while True:
        block = secrets.token_bytes(_RANDOM_BYTES * _IDS_AT_ONCE)
        yield from (block[at : at + _RANDOM_BYTES] for at in range(0, len(block), _RANDOM_BYTES))


def no_core_dumps() -> None:
    """See to it that no core dump can hold a key (Linux; elsewhere only the limit is set)."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None and prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError("Core dumps could not be switched off: prctl(PR_SET_DUMPABLE) failed.")


def read_settings() -> Settings:
    """The settings, with the groups that the connectors bring; the log is set up by them."""
    groups = {kind.settings: kind.options for kind in connectors.REGISTRY.values()}
    settings = read(groups)
    logs.configure(style=settings.log.format, level=settings.log.level)
    return settings


def inherited() -> dict[str, str]:
    """The process environment without our settings and identities, for a child process."""
    ours = (PREFIX, "AZURE_", "IDENTITY_", "MSI_")
    found = environment_of_process().items()
    return {name: value for name, value in found if not name.startswith(ours)}


async def migrate(settings: Settings) -> tuple[int, int]:
    """Bring the store to this version's schema; the versions before and after."""
    return await Store.migrate(settings.store.url)


def openapi() -> str:
    """The OpenAPI document, as JSON with a line end. Nothing is opened for it."""
    document = api.described(connectors.REGISTRY, version=__version__)
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(document, option=options).decode()


def new_caller(name: str, file: Path | None) -> tuple[str, str]:
    """A new caller's token, which is kept nowhere, and its entry for the access file.

    Args:
        name: the caller's name.
        file: where the entry is added, made for its owner alone if it is new.
    """
    token = new_token()
    entry = f'[[callers]]\nname = "{name}"\ntoken_sha256 = "{hash_token(token)}"\n'
    if not NAME.fullmatch(name):
        raise ValueError("A caller's name is 1-128 letters, digits and ._@:/-")
    if file is not None:
        opened = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(opened, "a") as there:
            there.write(entry if there.tell() == 0 else f"\n{entry}")
    return token, entry


@asynccontextmanager
async def create_app(
    settings: Settings, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Service]:
    """Open everything and yield the service; close it on the way out.

    Whoever serves it drains the worker first: on the way out nothing is waited for.

    Args:
        settings: what was configured.
        environment: the process environment, for the identity variables of the clouds' SDKs.

    Raises:
        ValueError: the access file cannot be used.
        StoreUnavailable: the store cannot be opened.
    """
    kinds = connectors.REGISTRY
    metrics = Metrics(version=__version__, build=settings.build, kinds=kinds)
    access = _access(settings)
    surroundings = environment_of_process() if environment is None else environment
    async with AsyncExitStack() as stack:
        store = await Store.open(settings.store.url, keep=_keep(settings), now=now)
        stack.push_async_callback(store.aclose)
        tidying = asyncio.create_task(store.keep_tidy(every_s=_TIDY_S), name="store-tidying")
        stack.push_async_callback(_stopped, tidying)
        made = _connectors(settings, surroundings, metrics)
        for connector in made.values():
            stack.push_async_callback(connector.aclose)
        fresh_id = ids()
        outside = Outside(now=now, new_id=fresh_id, told=logs.told)
        worker = Worker(store, made, metrics, _pool(settings), outside)
        await worker.start()
        stack.push_async_callback(worker.drain, within=0)
        rooms = Rooms(
            store=store,
            queue=worker,
            connectors=made,
            kinds=kinds,
            access=access,
            metrics=metrics,
            now=now,
            new_id=fresh_id,
            version=__version__,
            build=settings.build,
        )
        app = FastAPI(openapi_url=None, telemetry=_NO_TELEMETRY)
        here = settings.http.metrics_port is None
        api.install(app, rooms, metrics_here=here, docs=settings.http.docs)
        yield Service(app=app, worker=worker, metrics=metrics)


def _access(settings: Settings) -> Access:
    if settings.access.mode == "disabled" or settings.access.file is None:
        return Open()
    return AccessFile(Path(settings.access.file))


async def _stopped(task: asyncio.Task[NoReturn]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _keep(settings: Settings) -> Keep:
    store = settings.store
    return Keep(
        idempotency_days=store.idempotency_days,
        deployment_days=store.deployment_days,
        audit_days=store.audit_days,
    )


def _pool(settings: Settings) -> Pool:
    worker = settings.worker
    return Pool(
        concurrency=worker.concurrency,
        queue_limit=worker.queue_limit,
        limits=Limits(deadline_s=worker.deadline_s, rollback_s=worker.rollback_s),
    )


def _connectors(
    settings: Settings, environment: Mapping[str, str], metrics: Metrics
) -> dict[str, Connector]:
    return {
        kind.type: kind.build(
            settings.group(kind.settings),
            environment=environment,
            counted=partial(metrics.answered, kind.type),
            waited=partial(metrics.waited, kind.type),
            now=now,
        )
        for kind in connectors.REGISTRY.values()
    }
