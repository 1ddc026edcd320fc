"""Short words for replicas, their queue and their log."""

import asyncio
from dataclasses import replace

import structlog

from app import errors
from app.deployment import trail
from app.deployment.model import Deployment, State
from app.sealing import SealingKeys, Wrapped
from app.worker import Beats, ClusterWorker
from tests.certificates import NOW
from tests.worker.database import told
from tests.worker.place import Place

QUICK = Beats(heartbeat_s=0.05, takeover_s=0.5)


class Away:
    """A sealing key that wraps, and cannot be used to unwrap until it is told."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.back = False
        self._keys = SealingKeys([b"k" * 32])

    async def wrap(self, data_key: bytes) -> Wrapped:
        return await self._keys.wrap(data_key)

    async def unwrap(self, wrapped: Wrapped) -> bytes:
        if not self.back:
            self.asked.set()
            raise errors.SealingUnavailable
        return await self._keys.unwrap(wrapped)


def taking_only(place: Place, **bounds: int) -> ClusterWorker:
    """A replica that takes requests and carries nothing."""
    assert place.jobs is not None
    runner = place.runner(**bounds)
    return ClusterWorker(runner, place.sealer, place.jobs, beats=place.beats, carries=False)


class Logged:
    """The lines of the log from now on that say this."""

    def __init__(self, name: str) -> None:
        self.lines: list[structlog.typing.EventDict] = []
        self._name = name
        self._said = asyncio.Event()
        structlog.configure(processors=[self._told, *structlog.get_config()["processors"]])

    async def wait(self) -> None:
        """Wait for the first one."""
        await self._said.wait()

    def _told(
        self, _: object, __: str, line: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        if line["event"] == self._name:
            self.lines.append({**line})
            self._said.set()
        return line


async def queued(url: str) -> set[str]:
    return {row[0] for row in await told(url, "SELECT queueing_lock FROM procrastinate_jobs")}


async def left_in(place: Place, state: State) -> Deployment:
    """A deployment that is in *state* and in nobody's hands."""
    made, _ = place.deployment()
    await place.store.accept(made, trail.event(made, id=place.new_id("evt"), at=NOW))
    after = replace(made, state=state, version_id="v1", started_at=NOW)
    if state is not State.QUEUED:
        await place.store.save(after, trail.event(after, id=place.new_id("evt"), at=NOW))
    return after
