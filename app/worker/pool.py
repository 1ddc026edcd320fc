"""The worker of one process: what waits is in its memory, and is gone with it.

Deployments to one target run one at a time, in the order they were accepted; different targets
run side by side, up to the pool's size. A key is held here until its deployment is final, and
let go in a `finally`.
"""

import asyncio
from collections import deque
from collections.abc import Collection

import structlog

from app import errors
from app.audit import Actor, Event
from app.deployment.connector import Held
from app.deployment.model import Deployment, State, moved
from app.store import IdempotencyKey
from app.worker.begun import begun, finished
from app.worker.running import BEFORE_ANY_CHANGE, Runner, lane

_Entry = tuple[Deployment, Held]


class Worker:
    """The pool. `start` before use, `drain` at the end.

    Args:
        runner: carries what this takes out of its queues.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._store = runner.store
        self._queues: dict[str, deque[_Entry]] = {}
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
            if deployment.state in BEFORE_ANY_CHANGE:
                await self._interrupt(deployment)
            else:
                self._admit(deployment, Held())
        self._tasks = [
            begun(self._work(), name=f"worker-{number}")
            for number in range(self._runner.pool.concurrency)
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
        if self._waiting >= self._runner.pool.queue_limit:
            raise errors.QueueFull
        self._count_waiting(+1)  # a place is taken while it is recorded
        # Whoever asked may go away; what was recorded is queued all the same.
        return await finished(self._accept(deployment, held, event, key))

    async def cancel(self, id: str, actor: Actor) -> Deployment:  # noqa: A002 - the field's name
        """Cancel a queued deployment.

        Raises:
            DeploymentNotFound: there is none of this id.
            NotCancellable: it has started, or is final.
        """
        deployment = await self._store.get(id)
        queue = self._queues.get(lane(deployment), deque())
        found = next((entry for entry in queue if entry[0].id == id), None)
        if found is None:
            raise errors.NotCancellable
        behind = [*queue][queue.index(found) + 1 :]
        queue.remove(found)
        self._count_waiting(-1)
        ended = moved(found[0], State.CANCELLED, finished_at=self._runner.outside.now())
        try:
            await self._runner.steps(found[0]).save_once(ended, actor=actor)
        except errors.StoreUnavailable:
            self._admit(*found, before=behind)
            raise
        except errors.TakenOver as late:
            found[1].drop()
            raise errors.NotCancellable from late
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
            if deployment.state in BEFORE_ANY_CHANGE:
                await self._interrupt(deployment)

    async def _accept(
        self, deployment: Deployment, held: Held, event: Event, key: IdempotencyKey | None
    ) -> Deployment:
        try:
            accepted = await self._store.accept(deployment, event, key)
        finally:
            self._count_waiting(-1)
        if accepted.id == deployment.id:
            self._runner.outside.told(event)
            self._admit(accepted, held)
        return accepted

    async def _interrupt(self, deployment: Deployment) -> None:
        ended = self._runner.interrupted(deployment, errors.KeyGone())
        await self._runner.steps(deployment).save_once(ended)

    def _admit(self, deployment: Deployment, held: Held, before: Collection[_Entry] = ()) -> None:
        """Queue it at the end of its lane, or *before* those that were accepted later."""
        line = lane(deployment)
        queue = self._queues.get(line)
        if queue is None:
            queue = self._queues[line] = deque()
            self._ready.put_nowait(line)
        at = next((at for at, entry in enumerate(queue) if entry in before), len(queue))
        queue.insert(at, (deployment, held))
        self._count_waiting(+1)
        self._idle.clear()

    async def _work(self) -> None:
        while True:
            line = await self._ready.get()
            queue = self._queues[line]
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
                self._ready.put_nowait(line)
            else:
                del self._queues[line]
            self._wake()

    async def _carry(self, deployment: Deployment, held: Held) -> None:
        steps = self._runner.steps(deployment)
        try:
            await self._runner.carry(steps, held)
        except asyncio.CancelledError:
            if steps.last.state in BEFORE_ANY_CHANGE:
                await self._interrupt(steps.last)
            raise

    def _count_waiting(self, change: int) -> None:
        self._waiting += change
        self._runner.metrics.waiting(self._waiting)

    def _wake(self) -> None:
        if not self._queues and not self._running:
            self._idle.set()
