"""Fetches jobs from the queue, as many as there is room for, and carries each to its end.

A key is opened in its job alone, and let go in a `finally`. A job is tried again inside itself:
one that went back into the queue to wait would hold its lane up.
"""

import asyncio
import contextlib
from math import inf
from typing import Final

import structlog

from app import errors
from app.deployment.connector import Held
from app.deployment.model import Deployment
from app.sealing import Sealer
from app.worker import alongside
from app.worker.fetching import Job
from app.worker.jobs import Jobs
from app.worker.outages import reason
from app.worker.running import BEFORE_ANY_CHANGE, SENDING, Runner

POLL_S: Final = 1.0  # for what nobody tells of: jobs that others released
_IN_VAIN: Final = 3  # fetches in a row: one or two are a connection that was lost
_UNHEARD_S: Final = 10.0  # between two looks for what was handed out here, and is not carried


class Carrying:
    """What one process carries of the queue. `run` until `stop`.

    Args:
        runner: carries a deployment.
        sealer: opens its key.
        jobs: the queue.
    """

    def __init__(self, runner: Runner, sealer: Sealer, jobs: Jobs) -> None:
        self._runner = runner
        self._outages = runner.outages
        self._sealer = sealer
        self._jobs = jobs
        self._slots = asyncio.Semaphore(runner.pool.concurrency)
        self._running: dict[asyncio.Task[None], int] = {}
        self._all_heard_at = -inf
        self._in_vain = 0
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()

    @property
    def fetches(self) -> bool:
        """Whether the queue hands out what waits, as far as is known."""
        return self._in_vain < _IN_VAIN

    def wake(self) -> None:
        """Look at the queue now."""
        self._wake.set()

    async def run(self) -> None:
        """Carry what comes until stopped, and what was begun to its end."""
        while not self._stopping.is_set():
            await self._slots.acquire()
            job = await self._next()
            if job is not None:
                task = asyncio.create_task(self._take(job), name=f"job-{job.number}")
                self._running[task] = job.number
                task.add_done_callback(self._left)
        if self._running:
            await asyncio.wait(self._running)

    def stop(self) -> None:
        """Begin nothing new."""
        self._stopping.set()
        self.wake()

    def break_off(self) -> None:
        """Leave what runs to another worker, as it was saved last."""
        for task in self._running:
            task.cancel()

    async def listen(self) -> None:
        """Hear of new jobs at once; without this they are found by looking."""
        while True:
            with contextlib.suppress(errors.StoreUnavailable):
                await self._jobs.listen(self.wake)
            await asyncio.sleep(POLL_S)

    async def _next(self) -> Job | None:
        while not self._stopping.is_set():
            self._wake.clear()
            with contextlib.suppress(errors.StoreUnavailable):  # told of by who fetches
                job = await self._heard()
                if job is not None and self._stopping.is_set():
                    await self._jobs.release(job)
                elif job is not None:
                    return job
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
        return None

    async def _heard(self) -> Job | None:
        """The next job; where none can be had for long, that is told once, and its end once."""
        try:
            job = await self._fetched()
        except errors.StoreUnavailable as fault:
            self._in_vain += 1
            if self._in_vain == _IN_VAIN:
                structlog.get_logger().warning("worker.fetches_in_vain", reason=reason(fault))
            raise
        if not self.fetches:
            structlog.get_logger().info("worker.fetches_again")
        self._in_vain = 0
        return job

    async def _fetched(self) -> Job | None:
        """The next job; before it, those go back whose answer was lost on the way here.

        They are looked for after each fetch that failed, and now and then, since PostgreSQL may do
        what it was asked when nobody waits for it any more. Only here is no fetch under way.
        """
        now = asyncio.get_running_loop().time()
        if now >= self._all_heard_at + _UNHEARD_S:
            released = await self._jobs.release_unheard(self._running.values())
            self._all_heard_at = now
            if released:  # others look before this one does, which may be unable to carry it
                return None
        heard_at, self._all_heard_at = self._all_heard_at, -inf
        job = await self._jobs.fetch()
        self._all_heard_at = heard_at
        return job

    def _left(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._slots.release()
        self.wake()  # the next of its lane may run now

    async def _take(self, job: Job) -> None:
        """Carry a job to its end; what another worker has taken over is left to that one."""
        log = structlog.get_logger().bind(deployment_id=job.deployment_id)
        try:
            await self._carry(job)
        except errors.TakenOver:
            log.info("worker.taken_over_by_another")
        except errors.InternalError:  # its record cannot be read here; whoever can is given it
            log.warning("worker.left", again_in_s=_UNHEARD_S)
        except asyncio.CancelledError:
            with contextlib.suppress(errors.StoreUnavailable):  # then it is taken over in time
                await self._jobs.release(job)
            raise
        except Exception:  # the edge of a job: nobody awaits it, and left behind it blocks its lane
            log.exception("worker.fault")  # its deployment is mended in a later round
            await self._finish(job)

    async def _finish(self, job: Job) -> None:
        await self._outages.sit_out(lambda: self._jobs.finish(job))

    async def _carry(self, job: Job) -> None:
        asked = asyncio.get_running_loop().time()
        run = self._runner.outside.new_id("run")
        store = self._runner.store
        deployment = await self._outages.sit_out(lambda: store.claim(job.deployment_id, run))
        if deployment.final:
            await self._finish(job)
            return
        steps = self._runner.steps(deployment, run, at_end=alongside.ended(job))
        held = await self._opened(job, deployment)
        if deployment.state in SENDING:
            held.left = asked - job.silent_s
        try:
            if held.bundle is None and deployment.state in BEFORE_ANY_CHANGE:
                await steps.save(self._runner.interrupted(deployment, held.gone))
            else:
                await self._runner.carry(steps, held)
        finally:
            held.drop()

    async def _opened(self, job: Job, deployment: Deployment) -> Held:
        """What was sealed; nothing where it cannot be opened, and then the target tells."""
        held = Held()
        if not job.sealed:
            return held
        try:
            async with asyncio.timeout(self._runner.pool.limits.deadline_s):
                return await self._outages.sit_out(
                    lambda: self._sealer.open(job.sealed, deployment), errors.SealingUnavailable
                )
        except (errors.SealingKeyGone, TimeoutError) as fault:
            kinds = " < ".join(filter(None, (type(fault).__name__, reason(fault))))
        # Without a traceback: after a leak this is said of all that waits.
        structlog.get_logger().error("worker.not_opened", deployment_id=deployment.id, reason=kinds)
        held.gone = errors.SealingKeyGone()
        return held
