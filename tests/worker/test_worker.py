"""What every worker does alike: order per target, bounds, cancellation, and faults of our own."""

import asyncio
from typing import Any

import pytest

from app import errors
from app.audit import SYSTEM, Event
from app.deployment.model import Deployment, State
from tests.certificates import NOW
from tests.worker.conftest import Start
from tests.worker.place import PORTAL, Place


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
    assert place.value("certctl_deploy_in_flight", target_type="Gate") == 2


async def test_the_key_is_let_go_when_the_deployment_is_final(place: Place, start: Start) -> None:
    worker = await start()
    place.gate.open.set()
    made, held = place.deployment()
    bundle = held.bundle

    await place.end(await place.send(worker, made, held))
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

    async def full(*_: object, **__: object) -> None:
        refused.set()
        raise errors.StoreUnavailable

    monkeypatch.setattr("app.worker.outages._AGAIN_S", (0.01,))
    monkeypatch.setattr(place.store, "save", full)
    place.gate.open.set()
    await refused.wait()

    assert "import" not in imports
    assert (await place.store.get(accepted.id)).state is State.SNAPSHOTTING
    monkeypatch.undo()
    assert (await place.end(accepted)).state is State.SUCCEEDED


async def test_a_step_whose_answer_was_lost_is_recorded_once(
    place: Place, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = place.store.save
    lost: set[State] = set()

    async def forgetful(deployment: Deployment, event: Event, **how: Any) -> None:  # noqa: ANN401 - as the store has it
        await save(deployment, event, **how)
        if deployment.state not in lost:
            lost.add(deployment.state)
            raise errors.StoreUnavailable

    monkeypatch.setattr("app.worker.outages._AGAIN_S", (0.01,))
    monkeypatch.setattr(place.store, "save", forgetful)
    place.gate.open.set()
    accepted, _ = await place.submit(await start())

    assert (await place.end(accepted)).state is State.SUCCEEDED
    states = [step.state for step in await place.store.steps(accepted.id)]
    assert len(states) == len(set(states)) == 5


async def test_a_cancellation_that_cannot_be_written_leaves_the_deployment_queued(
    place: Place, start: Start
) -> None:
    worker = await start(concurrency=1)
    await place.submit(worker)
    await place.gate.let(1)
    waiting, _ = await place.submit(worker)

    with place.full(), pytest.raises(errors.StoreUnavailable):
        await worker.cancel(waiting.id, SYSTEM)

    place.gate.open.set()
    assert (await place.end(waiting)).state is State.SUCCEEDED
