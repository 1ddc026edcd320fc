"""What each replica does again and again: says that it lives, and looks after what others left.

The signs of life are a round of their own, so that nothing else makes them late. Whoever was cut
off itself judges nobody: after PostgreSQL was away everyone looks silent, and also where only its
clock has leapt, so others have one beat to be heard before anything is taken over.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, NoReturn

import structlog

from app import errors
from app.deployment.model import Deployment
from app.worker import alongside
from app.worker.jobs import Jobs
from app.worker.outages import reason
from app.worker.running import BEFORE_ANY_CHANGE, Runner, lane

# A newcomer takes its part at once, and the others leave it so much later: for a twentieth of the
# time in which a target counts, which is taken from what is left free for late arrivals.
_LOOK_ROUND_S: Final = 0.5


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
        count: counts the jobs that wait.
        released: called when jobs were taken over, and may be fetched.
        clock: seconds, of which only differences count.
    """

    def __init__(
        self,
        runner: Runner,
        jobs: Jobs,
        beats: Beats,
        count: Callable[[], Awaitable[int]],
        released: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._runner = runner
        self._jobs = jobs
        self._beats = beats
        self._count = count
        self._released = released
        self._clock = clock
        self._answered_at = clock()
        self._theirs: float | None = None
        self._heard = 1
        self._judges = self._away = self._alone = False
        self._beaten = asyncio.Event()

    @property
    def heard(self) -> bool:
        """Whether the queue answered last time."""
        return not self._away

    async def first(self) -> None:
        """Give the first sign of life, and learn who shares the limits before anything is sent.

        Raises:
            StoreUnavailable: the queue does not answer.
        """
        self._theirs = await self._jobs.beat(silent_s=self._beats.takeover_s)

    def all(self) -> Iterator[tuple[str, Coroutine[Any, Any, NoReturn]]]:
        """Each round under its name, to be begun."""
        yield "beats", self.beat()
        yield "looking-round", self.look_round()
        yield "looking-after", self.look_after()
        yield "mending", self.mend()

    async def beat(self) -> NoReturn:
        """Give a sign of life again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._beats.heartbeat_s)
            try:
                theirs = await self._jobs.beat(silent_s=self._beats.takeover_s)
            except errors.StoreUnavailable as fault:
                self._heard, self._judges = 0, False
                self._is_away(fault)
            else:
                late = self._late(theirs)
                self._heard += 1
                self._judges = self._heard > 1 and not late
                if self._judges:
                    self._jobs.let_go()
                self._beaten.set()

    async def look_round(self) -> NoReturn:
        """Learn who else shares the limits, sooner than at the next beat; until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_ROUND_S)
            with contextlib.suppress(errors.StoreUnavailable):  # the other rounds tell of that
                await self._jobs.look_round(silent_s=self._beats.takeover_s)

    async def look_after(self) -> NoReturn:
        """After each beat, count what waits and take over what the silent hold; until cancelled."""
        while True:
            await self._beaten.wait()
            self._beaten.clear()
            try:
                waiting = await self._count()
                if self._judges:
                    self._see_who_works(waiting)
                    await self._take_over()
            except errors.StoreUnavailable as fault:
                self._is_away(fault)
            else:
                self._is_back()

    async def mend(self) -> NoReturn:
        """Look for what a fault of ours has left in no queue, now and then; until cancelled."""
        while True:
            await asyncio.sleep(self._beats.takeover_s)
            with contextlib.suppress(errors.StoreUnavailable):  # the other rounds tell of that
                await self._mend()

    def _is_away(self, fault: errors.StoreUnavailable) -> None:
        if not self._away:
            structlog.get_logger().warning("worker.queue_away", reason=reason(fault))
        self._away = True

    def _is_back(self) -> None:
        if self._away:
            structlog.get_logger().info("worker.queue_back")
        self._away = False

    def _late(self, theirs: float) -> bool:
        """Whether this one was silent for long, as others then may have been, for the same reason.

        By its own clock, as a question that waited for PostgreSQL to come back is answered like any
        other, or by PostgreSQL's (*theirs*), which leaps either way where its machine sets it anew.
        """
        before, self._answered_at = self._answered_at, self._clock()
        leap_s = 0.0 if self._theirs is None else abs(theirs - self._theirs)
        self._theirs = theirs
        return max(self._answered_at - before, leap_s) > self._beats.takeover_s / 2

    def _see_who_works(self, waiting: int) -> None:
        """Say once where deployments wait and no worker is there, and once that there is one."""
        alone = self._jobs.live == 0 and (self._alone or waiting > 0)
        if alone and not self._alone:
            structlog.get_logger().warning(
                "worker.nobody_works",
                waiting=waiting,
                consequence="What was accepted waits until a worker starts: `python -m app work`.",
            )
        elif self._alone and not alone:
            structlog.get_logger().info("worker.somebody_works")
        self._alone = alone

    async def _take_over(self) -> None:
        taken = await self._jobs.take_over(silent_s=self._beats.takeover_s)
        if taken:
            structlog.get_logger().warning("worker.taken_over", jobs=taken)
            self._released()

    async def _mend(self) -> None:
        """Find what has not ended and is in no queue, as a fault of ours may leave it."""
        before = self._runner.outside.now() - timedelta(seconds=self._beats.takeover_s)
        unknown = await self._runner.store.unfinished_without(alongside.JOB, before=before)
        for deployment in unknown:
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
