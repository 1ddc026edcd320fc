"""The worker pool: order per target, bounds, cancellation, draining, and faults of our own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from app import errors
from app.audit import SYSTEM, Actor, Event
from app.deployment import trail
from app.deployment.connector import Held, Proof, Served, Standing
from app.deployment.model import Deployment, Plan, Result, Rollback, State, Target
from app.deployment.saga import Limits
from app.errors import DeployError, Fault
from app.metrics import Metrics
from app.pki import Bundle
from app.store import Store
from app.worker import Outside, Pool, Worker
from tests.certificates import NOW, Authority
from tests.conftest import Clock

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
        self.fault("import")
        assert held.bundle is not None
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
    """A worker with its store, gate and metrics, and short words for what tests do."""

    def __init__(self, store: Store, ca: Authority, now: Clock) -> None:
        self.store = store
        self.gate = Gate()
        self.metrics = Metrics(version="0", build="0")
        self.told: list[Event] = []
        self._ca = ca
        self._numbers = count(1)
        self._outside = Outside(now=now, new_id=self.new_id, told=self.told.append)

    def new_id(self, prefix: str) -> str:
        return f"{prefix}-{next(self._numbers):08}"

    def worker(self, *, concurrency: int = 4, queue_limit: int = 100) -> Worker:
        limits = Limits(deadline_s=30, rollback_s=30)
        pool = Pool(concurrency=concurrency, queue_limit=queue_limit, limits=limits)
        return Worker(self.store, {"Gate": self.gate}, self.metrics, pool, self._outside)

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

    async def submit(self, worker: Worker, name: str = "a") -> tuple[Deployment, Held]:
        made, held = self.deployment(name)
        event = trail.event(made, id=self.new_id("evt"), at=NOW)
        return await worker.submit(made, held, event), held

    async def end(self, deployment: Deployment) -> Deployment:
        return await self.store.settled(deployment.id, within=20)

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


Start = Callable[..., Awaitable[Worker]]


@pytest.fixture(name="place")
async def _place(tmp_path: Path, ca: Authority, now: Clock) -> AsyncIterator[Place]:
    store = await Store.open(f"sqlite:///{tmp_path}/record.db", now=now)
    yield Place(store, ca, now)
    await store.aclose()


@pytest.fixture(name="start")
async def _start(place: Place) -> AsyncIterator[Start]:
    started: list[Worker] = []

    async def start(*, concurrency: int = 4, queue_limit: int = 100) -> Worker:
        worker = place.worker(concurrency=concurrency, queue_limit=queue_limit)
        await worker.start()
        started.append(worker)
        return worker

    yield start
    for worker in started:
        await worker.drain(within=0)


async def test_deployments_to_one_target_run_one_at_a_time_in_the_order_accepted(
    place: Place, start: Start
) -> None:
    worker = await start()
    accepted = [(await place.submit(worker, "a"))[0] for _ in range(5)]
    place.gate.open.set()

    for one in accepted:
        assert (await place.end(one)).state is State.SUCCEEDED

    assert [id_ for _, id_ in place.gate.visits] == [one.id for one in accepted]
    assert place.gate.most_inside == 1


async def test_different_targets_run_side_by_side_up_to_the_size_of_the_pool(
    place: Place, start: Start
) -> None:
    worker = await start(concurrency=2)
    for name in ("a", "b", "c"):
        await place.submit(worker, name)

    await place.gate.let(2)

    assert {name for name, _ in place.gate.visits} == {"a", "b"}
    assert worker.waiting == 1
    assert place.value("certctl_deploy_in_flight", target_type="Gate") == 2
    assert place.value("certctl_deploy_queue_depth") == 1


async def test_a_full_queue_refuses_and_records_nothing(place: Place, start: Start) -> None:
    worker = await start(concurrency=1, queue_limit=1)
    await place.submit(worker)
    await place.gate.let(1)
    await place.submit(worker)

    with pytest.raises(errors.QueueFull):
        await place.submit(worker)

    assert len(await place.store.unfinished()) == 2


async def test_the_key_is_let_go_when_the_deployment_is_final(place: Place, start: Start) -> None:
    worker = await start()
    place.gate.open.set()
    accepted, held = await place.submit(worker)
    bundle = held.bundle

    await place.end(accepted)
    await worker.drain(within=5)

    assert held.bundle is None
    assert bundle is not None
    with pytest.raises(ValueError, match="dropped"):
        _ = bundle.key


async def test_a_queued_deployment_can_be_cancelled_by_whoever_asks(
    place: Place, start: Start
) -> None:
    worker = await start(concurrency=1)
    await place.submit(worker)
    await place.gate.let(1)
    waiting, held = await place.submit(worker)

    ended = await worker.cancel(waiting.id, SYSTEM)

    assert (await place.store.get(waiting.id)).state is State.CANCELLED
    assert ended.finished_at == NOW
    assert held.bundle is None
    assert place.told[-1].actor == SYSTEM


async def test_a_deployment_that_runs_cannot_be_cancelled(place: Place, start: Start) -> None:
    worker = await start()
    running, _ = await place.submit(worker)
    await place.gate.let(1)

    with pytest.raises(errors.NotCancellable):
        await worker.cancel(running.id, SYSTEM)


async def test_the_next_one_to_a_target_runs_after_a_cancelled_one(
    place: Place, start: Start
) -> None:
    worker = await start()
    await place.submit(worker)
    await place.gate.let(1)
    cancelled, _ = await place.submit(worker)
    last, _ = await place.submit(worker)
    await worker.cancel(cancelled.id, SYSTEM)
    place.gate.open.set()

    assert (await place.end(last)).state is State.SUCCEEDED


@pytest.mark.parametrize(
    ("step", "end"),
    [("snapshot", State.FAILED), ("import", State.FAILED), ("verify", State.FAILED)],
)
async def test_a_fault_of_ours_ends_the_deployment_and_harms_no_other(
    place: Place, start: Start, step: str, end: State
) -> None:
    def broken(at: str) -> None:
        if at == step:
            raise RuntimeError("a bug")

    worker = await start(concurrency=1)
    place.gate.open.set()
    place.gate.fault = broken
    spoilt = await place.end((await place.submit(worker))[0])
    place.gate.fault = lambda _: None
    good = await place.end((await place.submit(worker))[0])

    assert spoilt.state is end
    assert spoilt.error is not None
    assert spoilt.error.code == "internal-error"
    assert "a bug" not in spoilt.error.message
    assert good.state is State.SUCCEEDED


async def test_a_fault_of_ours_in_a_rollback_pages(place: Place, start: Start) -> None:
    def broken(at: str) -> None:
        if at in ("verify", "roll_back"):
            raise RuntimeError("a bug")

    worker = await start()
    place.gate.open.set()
    place.gate.fault = broken

    ended = await place.end((await place.submit(worker))[0])
    await worker.drain(within=5)

    assert ended.state is State.ROLLBACK_FAILED
    assert (
        place.value("certctl_deploy_rollback_total", target_type="Gate", outcome="also_failed") == 1
    )


async def test_draining_refuses_new_work_and_finishes_what_runs(place: Place, start: Start) -> None:
    worker = await start(concurrency=1)
    accepted = [(await place.submit(worker))[0] for _ in range(3)]
    await place.gate.let(1)
    draining = asyncio.create_task(worker.drain(within=20))
    await asyncio.sleep(0)  # not a wait: it lets the drain begin

    assert worker.draining
    with pytest.raises(errors.Draining):
        await place.submit(worker)
    place.gate.open.set()
    await draining

    assert [(await place.store.get(one.id)).state for one in accepted] == [State.SUCCEEDED] * 3


async def test_what_could_not_be_finished_in_time_is_interrupted_and_its_key_let_go(
    place: Place, start: Start
) -> None:
    worker = await start(concurrency=1)
    running, held = await place.submit(worker)
    await place.gate.let(1)
    waiting, also_held = await place.submit(worker)

    await worker.drain(within=0)

    for one in (running, waiting):
        ended = await place.store.get(one.id)
        assert ended.state is State.INTERRUPTED
        assert ended.error is not None
        assert ended.error.retryable
    assert held.bundle is None
    assert also_held.bundle is None
    assert not worker.alive


async def test_a_start_interrupts_what_had_changed_nothing_and_goes_on_with_the_rest(
    place: Place, start: Start
) -> None:
    queued, _ = place.deployment("a")
    verifying, _ = place.deployment("b")
    for made in (queued, verifying):
        await place.store.accept(made, trail.event(made, id=place.new_id("evt"), at=NOW))
    half = replace(verifying, state=State.VERIFYING, version_id="v1", started_at=NOW)
    await place.store.save(half, trail.event(half, id=place.new_id("evt"), at=NOW))

    await start()

    assert (await place.end(queued)).state is State.INTERRUPTED
    assert (await place.end(verifying)).state is State.SUCCEEDED


async def test_every_move_is_told_once_and_in_order(place: Place, start: Start) -> None:
    worker = await start()
    place.gate.open.set()
    accepted, _ = await place.submit(worker)
    await place.end(accepted)
    await worker.drain(within=5)

    actions = [event.action.value.removeprefix("deployment.") for event in place.told]
    assert actions == ["accepted", "started", "snapshot_taken", "imported", "verified"]
    assert {event.actor for event in place.told} == {PORTAL}


async def test_nothing_goes_on_while_the_record_cannot_be_written_and_all_does_afterwards(
    place: Place, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await start()
    accepted, _ = await place.submit(worker)
    await place.gate.let(1)
    imports: list[str] = []
    place.gate.fault = imports.append
    refused = asyncio.Event()

    async def full(*_: object) -> None:
        refused.set()
        raise errors.StoreUnavailable

    monkeypatch.setattr("app.worker._SAVE_AGAIN_S", (0.01,))
    monkeypatch.setattr(place.store, "save", full)
    place.gate.open.set()
    await refused.wait()

    assert "import" not in imports
    assert (await place.store.get(accepted.id)).state is State.SNAPSHOTTING
    monkeypatch.undo()
    assert (await place.end(accepted)).state is State.SUCCEEDED


async def test_a_cancellation_that_cannot_be_written_leaves_the_deployment_queued(
    place: Place, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await start(concurrency=1)
    await place.submit(worker)
    await place.gate.let(1)
    waiting, _ = await place.submit(worker)

    async def full(*_: object) -> None:
        raise errors.StoreUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(place.store, "save", full)
        with pytest.raises(errors.StoreUnavailable):
            await worker.cancel(waiting.id, SYSTEM)

    place.gate.open.set()
    assert (await place.end(waiting)).state is State.SUCCEEDED


async def test_who_leaves_while_it_is_recorded_does_not_leave_it_behind(
    place: Place, start: Start
) -> None:
    worker = await start()
    place.gate.open.set()
    made, held = place.deployment()
    event = trail.event(made, id=place.new_id("evt"), at=NOW)
    asking = asyncio.create_task(worker.submit(made, held, event))
    await asyncio.sleep(0)  # not a wait: it lets the asking begin

    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    held.drop()  # as the API does when it gets no answer

    await place.gate.let(1)
    ended = await place.end(made)
    assert ended.state in (State.SUCCEEDED, State.INTERRUPTED, State.FAILED)
