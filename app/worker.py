"""Takes deployments, runs the saga on each, and drains on stop.

Deployments to one target run one at a time, in the order they were accepted; different targets
run side by side, up to the pool's size. A key is held here until its deployment is final, and
let go in a `finally`.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain, repeat
from typing import Final

import structlog

from app import errors
from app.audit import Actor, Event
from app.deployment import saga, trail
from app.deployment.connector import Connector, Held
from app.deployment.model import NEXT, Deployment, State, failed, moved
from app.deployment.saga import Limits
from app.metrics import Metrics
from app.store import IdempotencyKey, Store

_SAVE_AGAIN_S: Final = (0.1, 0.5, 2.0, 10.0)
_BEFORE_ANY_CHANGE: Final = frozenset({State.QUEUED, State.SNAPSHOTTING})


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


class Worker:
    """The pool. `start` before use, `drain` at the end.

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
        self._store = store
        self._connectors = connectors
        self._metrics = metrics
        self._pool = pool
        self._outside = outside
        self._queues: dict[str, deque[tuple[Deployment, Held]]] = {}
        self._ready: asyncio.Queue[str] = asyncio.Queue()
        self._waiting = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._idle = asyncio.Event()
        self._running = 0
        self._draining = False

    @property
    def draining(self) -> bool:
        """Whether new work is refused because the service stops."""
        return self._draining

    @property
    def waiting(self) -> int:
        """How many deployments wait."""
        return self._waiting

    @property
    def alive(self) -> bool:
        """Whether every member of the pool still runs."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    async def start(self) -> None:
        """Start the pool, first with what a crash left unfinished."""
        for deployment in await self._store.unfinished():
            if deployment.state in _BEFORE_ANY_CHANGE:
                await self._interrupt(deployment)
            else:
                self._admit(deployment, Held())
        self._tasks = [
            asyncio.create_task(self._work(), name=f"worker-{number}")
            for number in range(self._pool.concurrency)
        ]

    async def submit(
        self, deployment: Deployment, held: Held, event: Event, key: IdempotencyKey | None = None
    ) -> Deployment:
        """Record a deployment and queue it; what is returned has another id when replayed.

        Raises:
            Draining: the service stops.
            QueueFull: too many wait.
            IdempotencyKeyReused: the key was used for another request.
            StoreUnavailable: it could not be recorded, so it is not accepted.
        """
        if self._draining:
            raise errors.Draining
        if self._waiting >= self._pool.queue_limit:
            raise errors.QueueFull
        # Whoever asked may go away; what was recorded is queued all the same.
        return await asyncio.shield(self._accept(deployment, held, event, key))

    async def cancel(self, id: str, actor: Actor) -> Deployment:  # noqa: A002 - the field's name
        """Cancel a queued deployment.

        Raises:
            DeploymentNotFound: there is none of this id.
            NotCancellable: it has started, or is final.
        """
        deployment = await self._store.get(id)
        queue = self._queues.get(_lane(deployment), deque())
        found = next((entry for entry in queue if entry[0].id == id), None)
        if found is None:
            raise errors.NotCancellable
        queue.remove(found)
        self._count_waiting(-1)
        ended = moved(found[0], State.CANCELLED, finished_at=self._outside.now())
        try:
            await self._steps(found[0]).save_once(ended, actor=actor)
        except errors.StoreUnavailable:
            self._admit(*found)
            raise
        found[1].drop()
        return ended

    async def drain(self, *, within: float) -> None:
        """Take no more, finish what can be finished *within* seconds, and leave nothing half-said.

        What is still waiting at the end of the time ends `interrupted`: nothing was changed. What
        is in the middle of an import keeps its state, and the next start goes on by looking.
        """
        self._draining = True
        self._wake()
        try:
            async with asyncio.timeout(within):
                await self._idle.wait()
        except TimeoutError:
            structlog.get_logger().warning("worker.drain_limit", waiting=self._waiting)
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        left = [entry for queue in self._queues.values() for entry in queue]
        self._queues.clear()
        for _, held in left:
            held.drop()
        for deployment, _ in left:
            if deployment.state in _BEFORE_ANY_CHANGE:
                await self._interrupt(deployment)

    async def _accept(
        self, deployment: Deployment, held: Held, event: Event, key: IdempotencyKey | None
    ) -> Deployment:
        self._count_waiting(+1)  # a place is taken while it is recorded
        try:
            accepted = await self._store.accept(deployment, event, key)
        finally:
            self._count_waiting(-1)
        if accepted.id == deployment.id:
            self._outside.told(event)
            self._admit(accepted, held)
        return accepted

    async def _interrupt(self, deployment: Deployment) -> None:
        ended = replace(failed(deployment, errors.KeyGone()), finished_at=self._outside.now())
        await self._steps(deployment).save_once(ended)

    def _steps(self, deployment: Deployment) -> "_Steps":
        return _Steps(self._store, self._metrics, self._outside, deployment)

    def _admit(self, deployment: Deployment, held: Held) -> None:
        lane = _lane(deployment)
        queue = self._queues.get(lane)
        if queue is None:
            queue = self._queues[lane] = deque()
            self._ready.put_nowait(lane)
        queue.append((deployment, held))
        self._count_waiting(+1)
        self._idle.clear()

    async def _work(self) -> None:
        while True:
            lane = await self._ready.get()
            queue = self._queues[lane]
            if queue:
                deployment, held = queue.popleft()
                self._count_waiting(-1)
                self._running += 1
                try:
                    await self._carry(deployment, held)
                finally:
                    held.drop()
                    self._running -= 1
            # One at a time to a target: its lane comes back only when its deployment is done.
            if queue:
                self._ready.put_nowait(lane)
            else:
                del self._queues[lane]
            self._wake()

    async def _carry(self, deployment: Deployment, held: Held) -> None:
        """Run one deployment to its end; a fault of ours ends it the failing way."""
        connector = self._connectors[deployment.target.type]
        steps = self._steps(deployment)
        self._metrics.started(deployment, at=self._outside.now())
        structlog.contextvars.bind_contextvars(
            deployment_id=deployment.id,
            request_id=deployment.request_id,
            trace_id=deployment.trace_id,
        )
        try:
            await self._run(steps, connector, held)
        except asyncio.CancelledError:
            if steps.last.state in _BEFORE_ANY_CHANGE:
                await self._interrupt(steps.last)
            raise
        finally:
            self._metrics.stopped(deployment)
            structlog.contextvars.clear_contextvars()

    async def _run(self, steps: "_Steps", connector: Connector, held: Held) -> None:
        limits, now = self._pool.limits, self._outside.now
        if steps.last.state is State.QUEUED:
            await steps.save(moved(steps.last, State.SNAPSHOTTING, started_at=now()))
        while steps.last.state in NEXT:
            try:
                await saga.run(steps.last, connector, held, steps.save, limits=limits, now=now)
            except Exception:  # noqa: BLE001 - one of the two edges: a fault of ours must end too
                structlog.get_logger().exception("worker.fault", state=steps.last.state.value)
                ended = failed(steps.last, errors.InternalError())
                await steps.save(replace(ended, finished_at=now()) if ended.final else ended)

    def _count_waiting(self, change: int) -> None:
        self._waiting += change
        self._metrics.waiting(self._waiting)

    def _wake(self) -> None:
        if not self._queues and not self._running:
            self._idle.set()


class _Steps:
    """The steps of one deployment: each saved with its event, told, and counted.

    `last` is what was saved last.
    """

    def __init__(
        self, store: Store, metrics: Metrics, outside: Outside, deployment: Deployment
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._outside = outside
        self._since = time.perf_counter()
        self.last = deployment

    async def save(self, after: Deployment) -> None:
        """Save *after*, however long the store is unavailable: no step begins before that."""
        for wait in chain(_SAVE_AGAIN_S, repeat(_SAVE_AGAIN_S[-1])):
            try:
                await self.save_once(after)
            except errors.StoreUnavailable:
                structlog.get_logger().exception("worker.not_saved", state=after.state.value)
            else:
                return
            await asyncio.sleep(wait)

    async def save_once(self, after: Deployment, *, actor: Actor | None = None) -> None:
        """Save *after*. Once begun the write is finished, whoever stops waiting for it."""
        at = self._outside.now()
        event = trail.event(after, id=self._outside.new_id("evt"), at=at, actor=actor)
        await asyncio.shield(self._store.save(after, event))
        self._outside.told(event)
        seconds, self._since = time.perf_counter() - self._since, time.perf_counter()
        self._metrics.observe(self.last, after, seconds=seconds)
        self.last = after


def _lane(deployment: Deployment) -> str:
    """What is done one at a time: a kind of target and its address."""
    return f"{deployment.target.type} {deployment.target.address}"
