"""What each replica does again and again: says that it lives, and looks after what others left.

Whoever was cut off itself judges nobody: after PostgreSQL was away everyone looks silent, so
others have one beat to be heard before anything is taken over.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog

from app import errors
from app.deployment.model import Deployment
from app.worker.jobs import Jobs
from app.worker.running import BEFORE_ANY_CHANGE, Runner, lane


@dataclass(frozen=True, kw_only=True)
class Beats:
    """Seconds between two signs of life, and of silence until a worker's jobs are taken over."""

    heartbeat_s: float
    takeover_s: float


class Rounds:
    """The rounds of one process.

    Args:
        runner: the record, and how deployments end.
        jobs: the queue.
        beats: how often, and how patient.
        counted: told how many jobs wait.
        released: called when jobs were taken over, and may be fetched.
        clock: seconds, of which only differences count.
    """

    def __init__(
        self,
        runner: Runner,
        jobs: Jobs,
        beats: Beats,
        counted: Callable[[int], None],
        released: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._runner = runner
        self._jobs = jobs
        self._beats = beats
        self._counted = counted
        self._released = released
        self._clock = clock
        self._answered_at = clock()
        self._heard = 1
        self._searching = round(beats.takeover_s / beats.heartbeat_s)

    @property
    def heard(self) -> bool:
        """Whether the queue answered last time."""
        return self._heard > 0

    async def run(self) -> None:
        """Go round until cancelled."""
        while True:
            await asyncio.sleep(self._beats.heartbeat_s)
            try:
                await self._round()
            except errors.StoreUnavailable:
                self._heard = 0
                structlog.get_logger().warning("worker.queue_away", exc_info=True)

    async def _round(self) -> None:
        await self._jobs.beat(silent_s=self._beats.takeover_s)
        late = self._late()
        self._counted(await self._jobs.waiting())
        if not self._heard:
            structlog.get_logger().info("worker.queue_back")
        self._heard += 1
        if self._heard > 1 and not late:
            await self._take_over()
        if self._heard % self._searching == 0:
            await self._mend()

    def _late(self) -> bool:
        """Whether this one was silent for long, as others then may have been, for the same reason.

        A question that waited for PostgreSQL to come back is answered like any other.
        """
        before, self._answered_at = self._answered_at, self._clock()
        return self._answered_at - before > self._beats.takeover_s / 2

    async def _take_over(self) -> None:
        taken = await self._jobs.take_over(silent_s=self._beats.takeover_s)
        if taken:
            structlog.get_logger().warning("worker.taken_over", jobs=taken)
            self._released()

    async def _mend(self) -> None:
        """Find what has not ended and is in no queue, as a fault of ours may leave it."""
        before = self._runner.outside.now() - timedelta(seconds=self._beats.takeover_s)
        old = [one for one in await self._runner.store.unfinished() if one.created_at < before]
        known = await self._jobs.ids() if old else set()
        for deployment in old:
            if deployment.id not in known:
                structlog.get_logger().warning("worker.not_queued", deployment_id=deployment.id)
                with contextlib.suppress(errors.TakenOver, errors.DeploymentNotFound):
                    await self._end(deployment)

    async def _end(self, deployment: Deployment) -> None:
        """End it where it changed nothing, as its key is gone; else go on by looking."""
        if deployment.state not in BEFORE_ANY_CHANGE:
            await self._jobs.defer(deployment.id, lane(deployment), sealed="")
            return
        run = self._runner.outside.new_id("run")
        newest = await self._runner.store.claim(deployment.id, run)
        if newest.state in BEFORE_ANY_CHANGE:
            ended = self._runner.interrupted(newest, errors.KeyGone())
            await self._runner.steps(newest, run).save_once(ended)
