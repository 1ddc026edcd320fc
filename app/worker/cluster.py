"""The worker of many replicas: what waits is in PostgreSQL, sealed, and any of them may carry it.

A killed replica's deployments are taken over and go on by looking, with their key.
"""

import asyncio
import contextlib
import time
from typing import Final

import structlog

from app import errors
from app.audit import Actor, Event
from app.deployment.connector import Held
from app.deployment.model import Deployment, State, moved
from app.sealing import Sealer
from app.store import IdempotencyKey
from app.worker import alongside
from app.worker.begun import begun, finished
from app.worker.carrying import Carrying
from app.worker.jobs import Jobs
from app.worker.places import Places
from app.worker.rounds import Beats, Rounds
from app.worker.running import Runner

_CANCEL_AGAIN_S: Final = 0.5


class ClusterWorker:
    """One replica's side of the queue. `start` before use, `drain` at the end.

    Args:
        runner: carries a deployment.
        sealer: seals its key for the way through the queue, and opens it.
        jobs: the queue.
        beats: how a dead replica is found.
        carries: whether this one carries deployments, or only takes requests.
    """

    def __init__(
        self, runner: Runner, sealer: Sealer, jobs: Jobs, *, beats: Beats, carries: bool = True
    ) -> None:
        self._runner = runner
        self._sealer = sealer
        self._jobs = jobs
        self._carries = carries
        self._carrying = Carrying(runner, sealer, jobs)
        clock, limit = time.monotonic, runner.pool.queue_limit
        self._places = Places(jobs, limit, runner.metrics.waiting, clock)
        self._rounds = Rounds(runner, jobs, beats, self._places.count, self._carrying.wake, clock)
        self._carried: asyncio.Task[None] | None = None
        self._beside: list[asyncio.Task[None]] = []
        self._draining = False

    @property
    def draining(self) -> bool:
        """Whether new work is refused because the service stops."""
        return self._draining

    @property
    def waiting(self) -> int:
        """How many deployments wait, in all replicas, as it was counted last."""
        return self._places.taken

    @property
    def alive(self) -> bool:
        """Whether the queue answers, and everything of this replica runs."""
        tasks = [*self._beside, *([self._carried] if self._carried else [])]
        running = bool(tasks) and not any(task.done() for task in tasks)
        return running and self._rounds.heard and self._carrying.fetches

    async def start(self) -> None:
        """Start; what a crash left unfinished is taken over in time."""
        await self._places.count()
        if self._carries:
            await self._jobs.join()
        await self._rounds.first()
        if self._carries:
            self._carried = begun(self._carrying.run(), name="carrying")
            self._beside.append(begun(self._carrying.listen(), name="listening"))
        for name, round_ in self._rounds.all():
            self._beside.append(begun(round_, name=name))

    async def submit(
        self, deployment: Deployment, held: Held, event: Event, key: IdempotencyKey | None = None
    ) -> Deployment:
        """Record a deployment and queue it; what is returned has another id when replayed.

        Raises:
            Draining: the service stops.
            QueueFull: too many wait.
            SealingUnavailable: its key cannot be sealed.
            IdempotencyKeyReused: the key was used for another request.
            StoreUnavailable: it could not be recorded and queued, so it is not accepted.
        """
        if self._draining:
            raise errors.Draining
        await self._places.keep(deployment.id)
        with contextlib.ExitStack() as undo:
            undo.callback(self._places.give_back, deployment.id)
            sealed = await self._sealer.seal(held, deployment)
            undo.pop_all()
        # Whoever asked may go away; what was recorded is queued all the same.
        accepted = await finished(self._accept(deployment, sealed, event, key))
        held.drop()
        return accepted

    async def cancel(self, id: str, actor: Actor) -> Deployment:  # noqa: A002 - the field's name
        """Cancel a queued deployment, whichever replica took it.

        Also one that a worker has claimed and is not done unsealing: before its first step is
        saved nothing has begun, and from then on that worker's writes are refused.

        Raises:
            DeploymentNotFound: there is none of this id.
            NotCancellable: it has started, or is final.
        """
        deployment = await self._runner.store.get(id)
        if deployment.state is not State.QUEUED:
            raise errors.NotCancellable
        ended = moved(deployment, State.CANCELLED, finished_at=self._runner.outside.now())
        try:
            steps = self._runner.steps(deployment, at_end=alongside.withdrawn(deployment))
            await steps.save_once(ended, actor=actor, only_in=State.QUEUED)
        except errors.TakenOver as other:
            raise errors.NotCancellable from other
        return ended

    async def drain(self, *, within: float) -> None:
        """Fetch no more, finish what runs *within* seconds, and leave the rest to the others."""
        self._draining = True
        self._carrying.stop()
        if self._carried is not None:
            await self._finish(self._carried, within)
        await self._end_beside()
        self._jobs.hurry()
        with contextlib.suppress(errors.StoreUnavailable):  # then its silence tells
            await self._jobs.leave()

    async def _finish(self, carried: asyncio.Task[None], within: float) -> None:
        _, late = await asyncio.wait([carried], timeout=within)
        if late:
            structlog.get_logger().warning("worker.drain_limit", waiting=self.waiting)
            self._jobs.hurry()
            self._carrying.break_off()
            await asyncio.wait([carried])

    async def _end_beside(self) -> None:
        while self._beside:
            for task in self._beside:
                # Again and again: Procrastinate listens with `wait_for`, which may lose one (3.11).
                task.cancel()
            _, pending = await asyncio.wait(self._beside, timeout=_CANCEL_AGAIN_S)
            self._beside = [*pending]

    async def _accept(
        self, deployment: Deployment, sealed: str, event: Event, key: IdempotencyKey | None
    ) -> Deployment:
        beside = alongside.queued(deployment, sealed)
        try:
            accepted = await self._runner.store.accept(deployment, event, key, beside=beside)
        finally:
            self._places.give_back(deployment.id)
        if accepted.id == deployment.id:
            self._runner.outside.told(event)
            self._places.took()
        return accepted
