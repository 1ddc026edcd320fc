"""Carries one deployment through the saga: each step saved, told and counted.

No step begins before the one before it is saved, however long the store is away.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import structlog

from app import errors
from app.audit import Actor, Event
from app.deployment import saga, trail
from app.deployment.connector import Connector, Held
from app.deployment.failing import failed
from app.deployment.model import NEXT, Deployment, State, moved
from app.deployment.saga import Limits
from app.metrics import Metrics
from app.store import Beside, Store
from app.worker.begun import finished
from app.worker.outages import Outages

BEFORE_ANY_CHANGE: Final = frozenset({State.QUEUED, State.SNAPSHOTTING})
SENDING: Final = frozenset({State.IMPORTING, State.ROLLING_BACK})


@dataclass(frozen=True, kw_only=True)
class Pool:
    """The bounds: how many run, how many wait, how long each may take."""

    concurrency: int
    queue_limit: int
    limits: Limits


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What the worker is given: clock, ids, and where audit events are told besides the store."""

    now: Callable[[], datetime]
    new_id: Callable[[str], str]
    told: Callable[[Event], None]


class Runner:
    """What every kind of worker does alike.

    Args:
        store: the record.
        connectors: type → connector.
        metrics: fed from every move.
        pool: the bounds.
        outside: clock, ids, log.
    """

    def __init__(
        self,
        store: Store,
        connectors: Mapping[str, Connector],
        metrics: Metrics,
        pool: Pool,
        outside: Outside,
    ) -> None:
        self.store = store
        self.metrics = metrics
        self.pool = pool
        self.outside = outside
        self.outages = Outages()
        self._connectors = connectors

    def steps(
        self, deployment: Deployment, run: str | None = None, *, at_end: Beside | None = None
    ) -> "Steps":
        """The steps of *deployment* from here on, which *run* has claimed.

        What is written beside the last of them is *at_end*.
        """
        return Steps(self, deployment, run, at_end)

    async def carry(self, steps: "Steps", held: Held) -> None:
        """Run a deployment to its end; a fault of ours ends it the failing way."""
        deployment = steps.last
        self.metrics.started(deployment, at=self.outside.now())
        structlog.contextvars.bind_contextvars(
            deployment_id=deployment.id,
            request_id=deployment.request_id,
            trace_id=deployment.trace_id,
        )
        try:
            await self._run(steps, self._connectors[deployment.target.type], held)
        finally:
            self.metrics.stopped(deployment)
            structlog.contextvars.clear_contextvars()

    def interrupted(self, deployment: Deployment, gone: errors.KeyGone) -> Deployment:
        """The end of a deployment that has changed nothing and whose key is *gone*."""
        return replace(failed(deployment, gone), finished_at=self.outside.now())

    async def _run(self, steps: "Steps", connector: Connector, held: Held) -> None:
        limits, now = self.pool.limits, self.outside.now
        if steps.last.state is State.QUEUED:
            await steps.save(moved(steps.last, State.SNAPSHOTTING, started_at=now()))
        while steps.last.state in NEXT:
            try:
                await saga.run(steps.last, connector, held, steps.save, limits=limits, now=now)
            except errors.TakenOver:
                raise
            except Exception:  # noqa: BLE001 - the edge of a deployment: a fault of ours must end too
                structlog.get_logger().exception("worker.fault", state=steps.last.state.value)
                ended = failed(steps.last, errors.InternalError())
                await steps.save(replace(ended, finished_at=now()) if ended.final else ended)


class Steps:
    """The steps of one deployment. `last` is what was saved last.

    Each save raises `TakenOver` where another run has claimed the deployment since.
    """

    def __init__(
        self, runner: Runner, deployment: Deployment, run: str | None, at_end: Beside | None
    ) -> None:
        self._store = runner.store
        self._metrics = runner.metrics
        self._outside = runner.outside
        self._outages = runner.outages
        self._run = run
        self._at_end = at_end
        self._since = time.perf_counter()
        self.last = deployment

    async def save(self, after: Deployment) -> None:
        """Save *after*, however long the store is unavailable: no step begins before that."""
        event = self._event(after)  # one for all tries: a lost answer must not make two steps
        await self._outages.sit_out(lambda: self._save(after, event))

    async def save_once(
        self, after: Deployment, *, actor: Actor | None = None, only_in: State | None = None
    ) -> None:
        """Save *after*, or say that the store is unavailable.

        With *only_in*, whoever has claimed it, but only where that is its state still.
        """
        await self._save(after, self._event(after, actor), only_in)

    def _event(self, after: Deployment, actor: Actor | None = None) -> Event:
        at = self._outside.now()
        return trail.event(after, id=self._outside.new_id("evt"), at=at, actor=actor)

    async def _save(self, after: Deployment, event: Event, only_in: State | None = None) -> None:
        beside = self._at_end if after.final else None
        save = self._store.save(after, event, runner=self._run, only_in=only_in, beside=beside)
        await finished(save)
        self._outside.told(event)
        seconds, self._since = time.perf_counter() - self._since, time.perf_counter()
        self._metrics.observe(self.last, after, seconds=seconds)
        self.last = after


def lane(deployment: Deployment) -> str:
    """What is done one at a time: a kind of target and its address."""
    return f"{deployment.target.type} {deployment.target.address}"
