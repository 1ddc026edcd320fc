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
from pathlib import Path
from typing import Final, NoReturn

import orjson
from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from app import __version__, api, connectors, logs, parts
from app.api.access import NAME, hash_token, new_token
from app.api.rooms import Rooms
from app.api.underway import UnderWay
from app.deployment.model import new_id
from app.metrics import Metrics
from app.parts import Part
from app.settings import PREFIX, Settings, environment_of_process, read, read_store
from app.store import Address, Store
from app.worker import Outside, Runner, schema

_PR_SET_DUMPABLE: Final = 4  # Linux, prctl(2)
_RANDOM_BYTES: Final = 6
_IDS_AT_ONCE: Final = 128
_PATIENCE_S: Final = 5.0  # to reach what is to be migrated
_TIDY_S: Final = 3600  # between two prunings of the store
_LAST_MOMENT_S: Final = 2.0  # for a request that the end of a drain finds under way
# What FastAPI can tell an OpenTelemetry provider includes what was wrong with a body.
_NO_TELEMETRY: Final[TelemetryConfig] = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
}


@dataclass(frozen=True, kw_only=True)
class Service:
    """A running service: the app to serve, to be drained before it is left."""

    app: FastAPI
    worker: parts.AnyWorker
    metrics: Metrics
    store: Store
    under_way: UnderWay

    async def drain(self, *, within: float) -> None:
        """Take no more work, and give what was begun and who waits *within* seconds.

        Then nobody is kept: who waits is answered with what is known, anything else as `draining`.
        """
        until, last_s = asyncio.get_running_loop().time() + within, 0.0
        try:
            await self.worker.drain(within=within)
            await self.under_way.finish(until=until)
            last_s = _LAST_MOMENT_S
        finally:  # told to hurry, nobody has even a last moment
            self.store.hurry()
            self.under_way.end(within=last_s)


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


async def migrate() -> AsyncIterator[str]:
    """Bring the store, and a queue beside it, to this version's schema; a sentence for each.

    Raises:
        StoreUnavailable: one of them cannot be reached, is newer, or is somebody else's.
    """
    store = read_store()
    url = store.url.get_secret_value()
    before, after = await Store.migrate(url)
    yield f"The store went from schema {before} to {after}."
    if store.in_postgres:
        had, has = await schema.migrate(Address.of(url, patience=_PATIENCE_S))
        yield _moved(had and Path(had).stem, Path(has).stem)


def _moved(had: str | None, has: str) -> str:
    if had is None:
        return f"The queue was made, with Procrastinate's migrations up to {has}."
    if had == has:
        return f"The queue was up to date, at Procrastinate's migration {has}."
    return f"The queue went from Procrastinate's migration {had} to {has}."


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
    settings: Settings, environment: Mapping[str, str] | None = None, *, part: Part = Part.BOTH
) -> AsyncIterator[Service]:
    """Open everything and yield the service; close it on the way out.

    Whoever serves it drains the worker first: on the way out nothing is waited for.

    Args:
        settings: what was configured.
        environment: the process environment, for the identity variables of the clouds' SDKs.
        part: what of the service this process is.

    Raises:
        ValueError: the access file or the sealing keys cannot be used, or only a part was asked
            for where the queue is in one process's memory.
        StoreUnavailable: the store cannot be opened.
    """
    kinds = connectors.REGISTRY
    metrics = Metrics(version=__version__, build=settings.build, kinds=kinds)
    access = parts.access(settings, part)
    surroundings = environment_of_process() if environment is None else environment
    async with AsyncExitStack() as stack:
        sealer = await stack.enter_async_context(parts.sealer(settings, surroundings, metrics))
        store = await stack.enter_async_context(_store(settings))
        jobs = await stack.enter_async_context(parts.jobs(settings))
        share = _alone if jobs is None else jobs.share
        made = parts.targets(settings, surroundings, metrics, share=share, now=now)
        for connector in made.values():
            stack.push_async_callback(connector.aclose)
        outside = Outside(now=now, new_id=ids(), told=logs.told)
        runner = Runner(store, made, metrics, parts.pool(settings), outside)
        worker = parts.worker(settings, runner, sealer, jobs, part)
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
            new_id=outside.new_id,
            under_way=UnderWay(),
            version=__version__,
            build=settings.build,
        )
        app = FastAPI(openapi_url=None, telemetry=_NO_TELEMETRY)
        here = settings.http.metrics_port is None
        if part is Part.WORKER:
            api.install_probes(app, rooms, metrics_here=here)
        else:
            api.install(app, rooms, metrics_here=here, docs=settings.http.docs)
        yield Service(
            app=app, worker=worker, metrics=metrics, store=store, under_way=rooms.under_way
        )


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[Store]:
    """The store, which is kept tidy while it is open."""
    async with AsyncExitStack() as stack:
        url = settings.store.url.get_secret_value()
        store = await Store.open(url, keep=parts.keep(settings), now=now)
        stack.push_async_callback(store.aclose)
        tidying = asyncio.create_task(store.keep_tidy(every_s=_TIDY_S), name="store-tidying")
        stack.push_async_callback(_stopped, tidying)
        yield store


async def _stopped(task: asyncio.Task[NoReturn]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _alone() -> float:
    return 1.0
