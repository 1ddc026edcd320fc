"""The store: every method is one question or one write, and a write is durable when it returns.

Reads have a connection and a thread of their own; a store in memory, which only one connection
can see, reads in the writer's thread. What another process writes is seen by reading only, so where
there can be others nothing is answered from what this one remembers.
"""

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import NoReturn, TypeVar

import structlog

from app import errors
from app.audit import Event
from app.deployment.model import Deployment, State
from app.store import pages, postgres, reads, records, retention, sqlite, writes
from app.store.address import SCHEMES
from app.store.connection import Engine, Opened, Readable
from app.store.live import Live
from app.store.pages import DeploymentFilter, EventFilter, Page
from app.store.proof import Proof
from app.store.reader import Reader
from app.store.records import IdempotencyKey, Step
from app.store.retention import Keep, Pruned
from app.store.transaction import Beside
from app.store.writer import Work, Writer

T = TypeVar("T")
Clock = Callable[[], datetime]


class Store:
    """Deployments, their steps, the audit trail and the idempotency keys.

    Whatever fails in the database or on the way to it is `StoreUnavailable`, with its cause.
    """

    def __init__(self, opened: Opened, *, keep: Keep, now: Clock, patience: float) -> None:
        self._secret = opened.secret
        self._leave = opened.leave
        self._proof = Proof(self._read, self._write, patience=patience)
        self._keep = keep
        self._now = now
        self._live = Live(alone=opened.listen is None)
        self._closed = False
        self._writer = Writer(opened.writing, asyncio.get_running_loop())
        self._reader = Reader(opened.reading, patience=patience) if opened.reading else None
        self._listening = asyncio.create_task(opened.listen(self._live)) if opened.listen else None

    @classmethod
    async def open(
        cls, url: str, *, keep: Keep | None = None, now: Clock, patience: float = 5.0
    ) -> "Store":
        """The store at *url*; a SQLite file is made and brought up to date where need be.

        Args:
            url: `sqlite:///relative.db`, `sqlite:////absolute.db`, `sqlite:///:memory:` or
                `postgresql://user:password@host/database`.
            keep: how long things are kept.
            now: the clock.
            patience: seconds to wait for a connection, for a lock that another process holds, and
                in `check`.

        Raises:
            StoreUnavailable: another scheme, another schema, or nothing there.
        """
        engine = _engine(url)
        opened = await asyncio.to_thread(engine.opened, url, patience=patience)
        return cls(opened, keep=keep or Keep(), now=now, patience=patience)

    @classmethod
    async def migrate(cls, url: str) -> tuple[int, int]:
        """Bring the schema at *url* up to date; say from which version to which.

        Raises:
            StoreUnavailable: another scheme, a newer schema, or nothing there.
        """
        return await asyncio.to_thread(_engine(url).migrate, url)

    async def aclose(self) -> None:
        """Finish what is queued, close the connections and end both threads."""
        if self._closed:
            return
        self._closed = True
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
        if self._reader is not None:
            await self._reader.aclose()  # first: the last to close tidies the log away
        await self._writer.aclose()
        self._live.close()
        self._leave()  # last: another process may have the file from here on

    def fingerprint(self, body: bytes) -> str:
        """HMAC-SHA-256 of a request's body under the store's secret, in hex.

        Not a plain hash, since the body holds a key.
        """
        return hmac.digest(self._secret, body, "sha256").hex()

    async def accept(
        self,
        deployment: Deployment,
        event: Event,
        key: IdempotencyKey | None = None,
        *,
        beside: Beside | None = None,
    ) -> Deployment:
        """Write a new deployment, its event, its key and what is *beside* in one transaction.

        Returns the deployment that stands for the request. Another id than the given one means
        that the key was known for the same request and nothing was written; the given id with
        `previous_attempt` that the first one was interrupted and this is its next attempt.

        Raises:
            IdempotencyKeyReused: the key stands for another request.
        """
        claim = None if key is None else self._claim(key)
        work = writes.Accept(deployment, records.event_row(event), claim, beside)
        return await self._write(work, then=self._live.tell)

    async def save(
        self,
        deployment: Deployment,
        event: Event,
        *,
        runner: str | None = None,
        only_in: State | None = None,
        beside: Beside | None = None,
    ) -> None:
        """Write a deployment's next state, its event and what is *beside* in one transaction.

        The same call again changes nothing, so it may be repeated when its answer was lost.

        Args:
            deployment: the next state.
            event: its event.
            runner: who carries it, as it was claimed.
            only_in: the state that it has to be in, whoever carries it; then *runner* is nobody.
            beside: written with it.

        Raises:
            DeploymentNotFound: it was never accepted.
            TakenOver: it is final, another runner has claimed it, or it has gone on.
        """
        work = writes.Save(deployment, records.event_row(event), only_in or runner, beside)
        await self._write(work, then=self._live.tell)

    async def claim(self, id: str, runner: str) -> Deployment:  # noqa: A002 - the field's name
        """The newest state of a deployment that from now on only *runner* may save.

        Raises:
            DeploymentNotFound: there is none of this id.
        """
        return await self._write(writes.TakeUp(id, runner))

    async def note(self, event: Event) -> None:
        """Write an event that tells of no change."""
        await self._write(writes.Note(records.event_row(event)))

    async def get(self, id: str) -> Deployment:  # noqa: A002 - the field's name
        """One deployment in its newest state.

        Raises:
            DeploymentNotFound: there is none of this id.
        """
        known = self._live.get(id)
        return known if known is not None else await self._read(partial(reads.deployment, id=id))

    async def deployments(
        self, wanted: DeploymentFilter, *, page_size: int, cursor: str | None
    ) -> Page[Deployment]:
        """One page of deployments, newest first.

        Raises:
            InvalidRequest: the cursor is not one of this list.
        """
        return await self._read(pages.deployments(wanted, page_size=page_size, cursor=cursor))

    async def events(
        self, wanted: EventFilter, *, page_size: int, cursor: str | None
    ) -> Page[Event]:
        """One page of the audit trail, newest first; raises as `deployments` does."""
        return await self._read(pages.events(wanted, page_size=page_size, cursor=cursor))

    async def unfinished(self) -> list[Deployment]:
        """What has not ended, oldest first: what a start takes up again."""
        return await self._read(reads.unfinished)

    async def unfinished_without(self, row: str, *, before: datetime) -> list[Deployment]:
        """What has not ended, though somebody else's table, in the same database, has no row of it.

        Args:
            row: the SQL condition that a row of `deployments` has one there; of constants alone.
            before: only what was created before then.
        """
        asked = partial(reads.unfinished_without, row=row, before=records.stamp(before))
        return await self._read(asked)

    async def steps(self, id: str, *, after: int = 0) -> list[Step]:  # noqa: A002 - the field's name
        """The steps of a deployment after the step *after*.

        Raises:
            DeploymentNotFound: there is none of this id.
        """
        _, steps = await self._read(partial(reads.steps, id=id, after=after))
        return steps

    async def check(self) -> None:
        """Prove that both threads answer and that a write is durable, and leave no trace.

        Raises:
            StoreUnavailable: it is not, or not within the store's patience.
        """
        if self._closed:
            raise errors.StoreUnavailable
        await self._proof.given()

    async def prune(self) -> Pruned:
        """Let go of what is older than it is to be kept; say how many there were."""
        return await retention.prune(self._keep, self._now(), self._write)

    async def keep_tidy(self, *, every_s: float) -> NoReturn:
        """Prune now and every so many seconds, until cancelled; what fails is tried next time."""
        log = structlog.get_logger()
        while True:
            try:
                pruned = await self.prune()
                if pruned != Pruned(deployments=0, events=0):
                    log.info("store.tidied", deployments=pruned.deployments, events=pruned.events)
            except errors.StoreUnavailable:
                log.warning("store.not_tidied", exc_info=True)
            await asyncio.sleep(every_s)

    async def settled(self, id: str, *, within: float) -> Deployment:  # noqa: A002 - the field's name
        """A deployment when it is final, or its newest state after *within* seconds or a `hurry`.

        Raises:
            DeploymentNotFound: there is none of this id.
        """
        with self._live.watching(id) as watch, contextlib.suppress(TimeoutError):
            newest = await self.get(id)
            async with asyncio.timeout(within):
                while not (newest.final or self._live.hurried):
                    newest = await watch.next() or await self.get(id)
            return newest
        return await self.get(id)

    async def follow(self, id: str, *, after: int = 0) -> AsyncIterator[Step]:  # noqa: A002 - the field's name
        """The steps of a deployment after *after*, then each as it is committed.

        It ends with the last step, or with a `hurry`.

        Raises:
            DeploymentNotFound: there is none of this id.
        """
        with self._live.watching(id) as watch:
            final = False
            while not final:
                hurried = self._live.hurried
                final, steps = await self._read(partial(reads.steps, id=id, after=after))
                for step in steps:
                    yield step
                    after = step.seq
                if hurried:
                    return
                if not final:
                    await watch.next()

    def hurry(self) -> None:
        """Let nobody wait for a deployment any longer: the service stops."""
        self._live.hurry()

    def _claim(self, key: IdempotencyKey) -> writes.Claim:
        now = self._now()
        since = records.stamp(now - timedelta(days=self._keep.idempotency_days))
        return writes.Claim(key=key, at=records.stamp(now), since=since)

    async def _write(self, work: Work[T], *, then: Callable[[T], object] | None = None) -> T:
        if self._closed:
            raise errors.StoreUnavailable
        return await self._writer.submit(work, then=then)

    async def _read(self, work: Callable[[Readable], T]) -> T:
        if self._closed:
            raise errors.StoreUnavailable
        if self._reader is None:
            return await self._writer.submit(work)
        return await self._reader.run(work)


def _engine(url: str) -> Engine:
    return postgres if url.startswith(SCHEMES) else sqlite
