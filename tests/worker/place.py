"""A place to try workers: a target behind a gate, a record, and short words for what tests do."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path

import pytest

from app.audit import Actor, Event
from app.deployment import trail
from app.deployment.connector import Held, Proof, Served, Standing
from app.deployment.model import Deployment, Plan, Result, Rollback, Target
from app.deployment.saga import Limits
from app.errors import DeployError, Fault, StoreUnavailable
from app.metrics import Metrics
from app.pki import Bundle
from app.sealing import Sealer, SealingKeys
from app.store import Address, Store
from app.worker import Beats, ClusterWorker, Jobs, Outside, Pool, Runner, Worker, schema
from tests.certificates import NOW, Authority
from tests.conftest import Clock

AnyWorker = Worker | ClusterWorker
PORTAL = Actor(name="portal", kind="token")


class Gate:
    """A connector that waits at the snapshot until it is let through, and notes who came."""

    type = "Gate"
    plans = tuple(Plan)

    def __init__(self) -> None:
        self.visits: list[tuple[str, str]] = []
        self.open = asyncio.Event()
        self.arrived = asyncio.Condition()
        self.inside: dict[str, int] = {}
        self.most_inside = 0
        self.left: list[float | None] = []
        self.fault: Callable[[str], None] = lambda _: None

    async def let(self, number: int) -> None:
        """Wait until so many deployments have come to the gate."""
        async with self.arrived:
            await self.arrived.wait_for(lambda: len(self.visits) >= number)

    def target(self, config: Mapping[str, object]) -> Target:
        return Target(type=self.type, config=dict(config), address=str(config["name"]))

    def faults(
        self, target: Target, bundle: Bundle | None, metadata: Mapping[str, str]
    ) -> tuple[Fault, ...]:
        return ()

    async def snapshot(self, deployment: Deployment, held: Held) -> Standing:
        address = deployment.target.address
        self.inside[address] = self.inside.get(address, 0) + 1
        self.most_inside = max(self.most_inside, self.inside[address])
        async with self.arrived:
            self.visits.append((address, deployment.id))
            self.arrived.notify_all()
        try:
            await self.open.wait()
            self.fault("snapshot")
        finally:
            self.inside[address] -= 1
        return Standing(snapshot=None, unchanged=None, rollback=Rollback(plan=Plan.NOT_NEEDED))

    async def import_certificate(self, deployment: Deployment, held: Held) -> str:
        self.left.append(held.left)
        self.fault("import")
        if held.bundle is None:
            raise held.gone
        return "v1"

    async def verify(self, deployment: Deployment) -> Proof:
        self.fault("verify")
        result = Result(
            target_address=deployment.target.address,
            deployment_id="v1",
            message="served",
            deployed_at=NOW,
            metadata={},
        )
        return Proof(result=result)

    async def roll_back(self, deployment: Deployment, held: Held) -> str | None:
        self.fault("roll_back")
        return None

    async def conflict(self, target: Target) -> DeployError | None:
        return None

    async def served(self, target: Target) -> Served | None:
        return None

    async def aclose(self) -> None:
        return None


class Place:
    """A replica: its worker, store and metrics, and short words for what tests do.

    One beside another is before the same gate, and has the same sealing key.
    """

    def __init__(
        self,
        store: Store,
        ca: Authority,
        now: Clock,
        *,
        jobs: Jobs | None = None,
        beside: "Place | None" = None,
    ) -> None:
        self.store = store
        self.gate: Gate = beside.gate if beside else Gate()
        self.metrics = Metrics(version="0", build="0")
        self.told: list[Event] = []
        self.sealer = Sealer(SealingKeys([b"k" * 32]))
        self.beats = Beats(heartbeat_s=5, takeover_s=20)
        self.jobs = jobs
        self._ca = ca
        self.numbers: Iterator[int] = beside.numbers if beside else count(1)
        self._outside = Outside(now=now, new_id=self.new_id, told=self.told.append)

    @contextmanager
    def full(self) -> Iterator[None]:
        """The record takes no further state."""

        async def refuse(*_: object, **__: object) -> None:
            raise StoreUnavailable

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(self.store, "save", refuse)
            yield

    def new_id(self, prefix: str) -> str:
        return f"{prefix}-{next(self.numbers):08}"

    def runner(self, *, concurrency: int = 4, queue_limit: int = 100) -> Runner:
        limits = Limits(deadline_s=30, rollback_s=30)
        pool = Pool(concurrency=concurrency, queue_limit=queue_limit, limits=limits)
        return Runner(self.store, {"Gate": self.gate}, self.metrics, pool, self._outside)

    def worker(self, **bounds: int) -> AnyWorker:
        runner = self.runner(**bounds)
        if self.jobs is None:
            return Worker(runner)
        return ClusterWorker(runner, self.sealer, self.jobs, beats=self.beats)

    def deployment(self, name: str = "a") -> tuple[Deployment, Held]:
        bundle = self._ca.issue().bundle()
        made = Deployment(
            id=self.new_id("dep"),
            target=self.gate.target({"name": name}),
            certificate=bundle.details,
            created_at=NOW,
            actor=PORTAL,
        )
        return made, Held(bundle)

    async def submit(self, worker: AnyWorker, name: str = "a") -> tuple[Deployment, Held]:
        made, held = self.deployment(name)
        return await self.send(worker, made, held), held

    async def send(self, worker: AnyWorker, made: Deployment, held: Held) -> Deployment:
        return await worker.submit(made, held, trail.event(made, id=self.new_id("evt"), at=NOW))

    async def end(self, deployment: Deployment) -> Deployment:
        return await self.store.settled(deployment.id, within=20)

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


@asynccontextmanager
async def in_memory(folder: Path, ca: Authority, now: Clock) -> AsyncIterator[Place]:
    """A service whose queue is in its memory."""
    store = await Store.open(f"sqlite:///{folder}/record.db", now=now)
    yield Place(store, ca, now)
    await store.aclose()


@asynccontextmanager
async def on_postgres(
    url: str, ca: Authority, now: Clock, *, beside: Place | None = None
) -> AsyncIterator[Place]:
    """A replica whose record and queue are in PostgreSQL."""
    await Store.migrate(url)
    await schema.migrate(Address.of(url, patience=5))
    async with AsyncExitStack() as stack:
        store = await Store.open(url, now=now)
        stack.push_async_callback(store.aclose)
        jobs = await stack.enter_async_context(Jobs.opened(url))
        yield Place(store, ca, now, jobs=jobs, beside=beside)
