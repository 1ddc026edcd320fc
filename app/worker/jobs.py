"""The queue in PostgreSQL: one row for each deployment that waits or runs, kept by Procrastinate.

Its lock keeps the deployments to one target apart and in order, across all replicas. Its job
manager is used and not its worker, which looks for the next job of a lock only at its next poll,
leaves a job that ends while PostgreSQL is away under way for ever, and logs the arguments of jobs.
What is done for every deployment is elsewhere: `alongside` writes its row, `fetching` hands it out.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, NoReturn

import psycopg
from procrastinate import PsycopgConnector
from procrastinate import jobs as rows
from procrastinate.exceptions import ConnectorException
from procrastinate.manager import JobManager
from psycopg.types.json import Jsonb

from app import errors
from app.store import Address, AsyncConnection
from app.worker import schema
from app.worker.fetching import HEARD, QUEUE, Fetching, Job

TASK: Final = "deploy"
_CONNECTIONS: Final = 3
_RECONNECT_S: Final = 1  # then whoever asks next tries anew, instead of waiting for longer
_LAST_WORD_S: Final = 1.0
_FORGOTTEN: Final = 20  # so many times the silence that ends a worker, and its row goes
_DEFERRING: Final = 0x64656665  # of PostgreSQL's advisory locks, those of who defers
# In a statement of its own, as a statement does not see what was written while it waited.
_ONE_DEFERS: Final = "SELECT pg_advisory_xact_lock(%s, hashtext(%s))"
_DEFER: Final = """
    INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args)
    SELECT %s, %s, %s, %s, %s
    WHERE NOT EXISTS (SELECT 1 FROM procrastinate_jobs WHERE queueing_lock = %s)
"""
_LIVE: Final = """
    SELECT count(*) AS live, extract(epoch FROM now())::float8 AS now FROM procrastinate_workers
    WHERE last_heartbeat BETWEEN now() - %(silent_s)s * interval '1 second'
                             AND now() + %(silent_s)s * interval '1 second'
"""
_WAITING: Final = """
    SELECT count(*) AS waiting FROM procrastinate_jobs
    WHERE status = 'todo' AND queue_name = %(queue)s AND queueing_lock <> ALL (%(but)s)
"""
# Whose row is locked is just being ended, given back, or taken over by another. A sign of life from
# the future is one from before PostgreSQL's clock was set back: nobody knows how old it is.
_TAKE_OVER: Final = """
    UPDATE procrastinate_jobs AS job
    SET status = 'todo', attempts = attempts + 1,
        args = args || jsonb_build_object(%(heard)s::text, (
            SELECT last_heartbeat FROM procrastinate_workers WHERE id = job.worker_id
        ))
    WHERE id IN (
        SELECT id FROM procrastinate_jobs
        WHERE status = 'doing' AND queue_name = %(queue)s
          AND (worker_id IS NULL OR worker_id IN (
              SELECT id FROM procrastinate_workers
              WHERE last_heartbeat NOT BETWEEN now() - %(silent_s)s * interval '1 second'
                                           AND now() + %(silent_s)s * interval '1 second'
          ))
        FOR UPDATE SKIP LOCKED
    )
    RETURNING id
"""
# Whoever had it may have sent something until this very moment, so it is not said to be silent.
_GIVE_BACK: Final = """
    UPDATE procrastinate_jobs
    SET status = 'todo', attempts = attempts + 1, args = args - %(heard)s::text
    WHERE status = 'doing' AND queue_name = %(queue)s AND worker_id = %(worker)s
"""
_THIS: Final = "AND id = %(number)s RETURNING id"
_ALL_BUT: Final = "AND id <> ALL (%(ours)s) RETURNING id"


class Jobs:
    """The queue. Whatever fails in PostgreSQL, or takes too long, is `StoreUnavailable`."""

    def __init__(self, connector: PsycopgConnector, fetching: Fetching, patience: float) -> None:
        self._connector = connector
        self._fetching = fetching
        self._patience = patience
        self._manager = JobManager(connector)
        self._worker: int | None = None
        self._live = self._found = 0

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str, *, patience: float = 5.0) -> "AsyncIterator[Jobs]":
        """The queue at *url*; each question may take *patience* seconds.

        Raises:
            StoreUnavailable: it cannot be opened, or its schema is not this version's.
        """
        address = Address.of(url, patience=patience)
        await schema.check(address)
        connector = PsycopgConnector(
            kwargs=dict(address.parameters),
            connection_class=AsyncConnection,
            min_size=1,
            max_size=_CONNECTIONS,
            timeout=patience,
            reconnect_timeout=_RECONNECT_S,
            configure=_each_statement_alone,
        )
        with _translated():
            await connector.open_async()
        fetching = Fetching(address.connect)
        try:
            yield cls(connector, fetching, patience)
        finally:
            await fetching.aclose()
            await connector.pool.close(timeout=_LAST_WORD_S)  # who is just connecting is left

    def hurry(self) -> None:
        """Let nothing take long from now on: the service stops, and what it has to say can wait."""
        self._patience = min(self._patience, _LAST_WORD_S)

    async def defer(self, deployment_id: str, lane: str, sealed: str) -> None:
        """Put a deployment at the end of its lane, unless it waits or is under way, at whomever.

        Two jobs of one deployment could never be taken over: both would be waiting.
        """
        arguments = Jsonb({"id": deployment_id, "sealed": sealed})
        values = (QUEUE, TASK, lane, deployment_id, arguments, deployment_id)
        pool = self._connector.pool
        async with self._asking(), pool.connection() as asked, asked.transaction():
            await asked.execute(_ONE_DEFERS, (_DEFERRING, deployment_id))
            await asked.execute(_DEFER, values)

    async def join(self) -> int:
        """Be one of the workers, whose jobs are taken over when it falls silent."""
        if self._worker is None:
            async with self._asking():
                self._worker = await self._manager.register_worker()
        return self._worker

    async def leave(self) -> None:
        """Be a worker no more; what is still under way is anybody's."""
        worker, self._worker = self._worker, None
        if worker is not None:
            async with self._asking():
                await self._manager.unregister_worker(worker)

    @property
    def live(self) -> int:
        """How many workers there are, as far as is known."""
        return self._live

    async def beat(self, *, silent_s: float) -> float:
        """Tell the others that this worker lives, and count those that are not silent so long.

        Returns PostgreSQL's clock, by which they are: seconds, of which only differences count.
        """
        if self._worker is not None:
            async with self._asking():
                await self._manager.update_heartbeat(self._worker)
        return await self.look_round(silent_s=silent_s)

    async def look_round(self, *, silent_s: float) -> float:
        """Count the workers that are not silent so long, among whom the limits are shared.

        There may be more of them now. Fewer there are only once that is judged (`let_go`): after
        PostgreSQL was away all look silent, and each would take the whole of the limits.
        """
        async with self._asking():
            found = await self._connector.execute_query_one_async(_LIVE, silent_s=silent_s)
        self._found = found["live"]
        self._live = max(self._live, self._found)
        return float(found["now"])

    def let_go(self) -> None:
        """Those that were silent when they were counted last share nothing any more."""
        self._live = self._found

    def share(self) -> float:
        """This worker's part of what all of them may do together."""
        return 1 / max(1, self._live)

    async def fetch(self) -> Job | None:
        """The next job that may run, which is then ours; `None` where there is none."""
        worker = await self.join()
        with _translated():
            try:
                return await self._fetching.next(worker)
            except psycopg.errors.ForeignKeyViolation:
                self._worker = None  # silent for so long that it was forgotten
                return None

    async def finish(self, job: Job) -> None:
        """Delete a job."""
        async with self._asking():
            with _whoever_was_first():
                await self._manager.finish_job_by_id_async(
                    job_id=job.number, status=rows.Status.SUCCEEDED, delete_job=True
                )

    async def release(self, job: Job) -> None:
        """Leave a job to whoever fetches next, if nobody has taken it over; it keeps its place."""
        async with self._asking():
            await self._give_back(_THIS, number=job.number)

    async def release_unheard(self, ours: Collection[int]) -> int:
        """Release what this worker was given and does not carry: all but the jobs *ours*.

        Returns how many that were.
        """
        async with self._asking():
            return await self._give_back(_ALL_BUT, ours=[*ours])

    async def take_over(self, *, silent_s: float) -> int:
        """Release what workers hold that have been silent for so long; say how many jobs."""
        asked = {"heard": HEARD, "queue": QUEUE, "silent_s": silent_s}
        async with self._asking():
            found = await self._connector.execute_query_all_async(_TAKE_OVER, **asked)
            await self._manager.prune_stalled_workers(silent_s * _FORGOTTEN)
        return len(found)

    async def waiting(self, *, but: Collection[str] = ()) -> int:
        """How many jobs wait, *but* for those of the deployments of these ids."""
        async with self._asking():
            found = await self._connector.execute_query_one_async(_WAITING, queue=QUEUE, but=[*but])
        return int(found["waiting"])

    async def listen(self, tell: Callable[[], None]) -> NoReturn:
        """Call *tell* for each job that is deferred; a lost connection is `StoreUnavailable`."""

        async def heard(**_: Any) -> None:  # noqa: ANN401 - Procrastinate's notification
            tell()

        with _translated():
            await self._manager.listen_for_jobs(on_notification=heard, queues=[QUEUE])
        raise errors.StoreUnavailable

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        with _translated():
            async with asyncio.timeout(self._patience):
                yield

    async def _give_back(self, which: str, **values: object) -> int:
        """Release of this worker's jobs *which* says, and nobody has taken over; in one go."""
        asked = {"heard": HEARD, "queue": QUEUE, "worker": self._worker, **values}
        return len(await self._connector.execute_query_all_async(_GIVE_BACK + which, **asked))


async def _each_statement_alone(connection: psycopg.AsyncConnection) -> None:
    await connection.set_autocommit(True)  # a question is one statement: two round trips less
    # where it is more, the later one sees what others wrote meanwhile, whatever the database's way
    await connection.set_isolation_level(psycopg.IsolationLevel.READ_COMMITTED)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (ConnectorException, psycopg.Error, TimeoutError) as fault:
        raise errors.StoreUnavailable from fault


@contextmanager
def _whoever_was_first() -> Iterator[None]:
    """Procrastinate raises where the job is gone, or is not under way any more: so be it."""
    try:
        yield
    except ConnectorException as fault:
        if not isinstance(fault.__cause__, psycopg.errors.RaiseException):
            raise
