"""From settings to parts: each room's share of what was configured, for `main` to put together.

What cannot work together is refused here, before anything is opened.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Final

from app import connectors
from app.api.access import Access, AccessFile, Open
from app.connectors import OpenWrapping
from app.deployment.connector import Connector
from app.deployment.saga import Limits
from app.metrics import Metrics
from app.sealing import Sealer, SealingKeys
from app.settings import PREFIX, Settings
from app.store import Keep
from app.worker import Beats, ClusterWorker, Jobs, Pool, Runner, Worker

AnyWorker = Worker | ClusterWorker
_NO_CALLERS: Final = (
    f"{PREFIX}ACCESS__FILE is not set. Make a caller with `python -m app token new --name NAME "
    "--file callers.toml` and name that file."
)
_NO_SEALING_KEY: Final = (
    f"{PREFIX}QUEUE__MODE=postgres needs a key that seals what waits: make one with `python -m app "
    f"sealing-key` and set {PREFIX}QUEUE__SEALING_KEYS, or name a key in a vault."
)
_TWO_PLACES: Final = (
    f"Sealing keys are set in {PREFIX}QUEUE__SEALING_KEYS* and in a vault too. Keep one of them."
)
_NO_SEALING_FILE: Final = (
    f"{PREFIX}QUEUE__SEALING_KEYS_FILE names no file that can be read as text. Write one with "
    "`python -m app sealing-key`, and let the service read it."
)
_ALL_IN_ONE: Final = (
    f"The API and the workers can only be apart with {PREFIX}QUEUE__MODE=postgres; a queue in "
    "memory is one process's own."
)


class Part(Enum):
    """What of the service a process is."""

    BOTH = "both"
    API = "api"
    WORKER = "worker"


def access(settings: Settings, part: Part) -> Access:
    """Who may call.

    Raises:
        ValueError: there is no access file, or it cannot be used.
    """
    if settings.access.mode == "disabled" or part is Part.WORKER:
        return Open()
    if not settings.access.file:
        raise ValueError(_NO_CALLERS)
    return AccessFile(Path(settings.access.file))


def keep(settings: Settings) -> Keep:
    """How long the record is kept."""
    store = settings.store
    return Keep(
        idempotency_days=store.idempotency_days,
        deployment_days=store.deployment_days,
        audit_days=store.audit_days,
    )


def pool(settings: Settings) -> Pool:
    """The bounds of the worker."""
    worker = settings.worker
    return Pool(
        concurrency=worker.concurrency,
        queue_limit=worker.queue_limit,
        limits=Limits(deadline_s=worker.deadline_s, rollback_s=worker.rollback_s),
    )


def targets(
    settings: Settings,
    environment: Mapping[str, str],
    metrics: Metrics,
    *,
    share: Callable[[], float],
    now: Callable[[], datetime],
) -> dict[str, Connector]:
    """The connectors, by the type of their targets."""
    return {
        kind.type: kind.build(
            settings.group(kind.settings),
            environment=environment,
            counted=partial(metrics.answered, kind.type),
            waited=partial(metrics.waited, kind.type),
            share=share,
            now=now,
        )
        for kind in connectors.REGISTRY.values()
    }


@asynccontextmanager
async def sealer(
    settings: Settings, environment: Mapping[str, str], metrics: Metrics
) -> AsyncIterator[Sealer | None]:
    """What seals the queue; `None` where it is in memory.

    Raises:
        ValueError: there is no sealing key, or it cannot be read.
    """
    if settings.queue.mode == "memory":
        yield None
        return
    keys, vaults = _sealing_keys(settings), _in_vaults(settings, environment, metrics)
    if not keys and not vaults:
        raise ValueError(_NO_SEALING_KEY)
    if len(vaults) + bool(keys) > 1:
        raise ValueError(_TWO_PLACES)
    async with contextlib.AsyncExitStack() as stack:
        for vault in vaults:
            stack.push_async_callback(vault.aclose)
        yield Sealer(vaults[0] if vaults else SealingKeys.read(keys))


@asynccontextmanager
async def jobs(settings: Settings) -> AsyncIterator[Jobs | None]:
    """The queue in PostgreSQL; `None` where it is in memory.

    Raises:
        StoreUnavailable: it cannot be opened.
    """
    if settings.queue.mode == "memory":
        yield None
        return
    async with Jobs.opened(settings.store.url.get_secret_value()) as opened:
        yield opened


def worker(
    settings: Settings, runner: Runner, sealer: Sealer | None, jobs: Jobs | None, part: Part
) -> AnyWorker:
    """The worker that goes with the queue.

    Raises:
        ValueError: a part was asked for that cannot be alone.
    """
    if jobs is not None and sealer is not None:
        queue = settings.queue
        beats = Beats(heartbeat_s=queue.heartbeat_s, takeover_s=queue.takeover_s)
        return ClusterWorker(runner, sealer, jobs, beats=beats, carries=part is not Part.API)
    if part is not Part.BOTH:
        raise ValueError(_ALL_IN_ONE)
    return Worker(runner)


def _sealing_keys(settings: Settings) -> str:
    queue = settings.queue
    if queue.sealing_keys_file is not None:
        try:
            return Path(queue.sealing_keys_file).read_text()
        except (OSError, UnicodeDecodeError):  # what is not text may be a key: none of it is told
            raise ValueError(_NO_SEALING_FILE) from None
    return "" if queue.sealing_keys is None else queue.sealing_keys.get_secret_value()


def _in_vaults(
    settings: Settings, environment: Mapping[str, str], metrics: Metrics
) -> list[OpenWrapping]:
    built = (
        kind.build_wrapping(
            settings.group(kind.settings),
            environment=environment,
            counted=partial(metrics.answered, kind.type),
            waited=partial(metrics.waited, kind.type),
        )
        for kind in connectors.REGISTRY.values()
    )
    return [one for one in built if one is not None]
