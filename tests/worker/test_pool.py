"""The worker of one process: a queue in memory, which is gone with it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from app import errors
from app.audit import SYSTEM
from app.deployment import trail
from app.deployment.model import State
from tests.certificates import NOW, Authority
from tests.conftest import Clock
from tests.worker.conftest import Start
from tests.worker.place import Place, in_memory


@pytest.fixture(name="place")
async def _place(tmp_path: Path, ca: Authority, now: Clock) -> AsyncIterator[Place]:
    async with in_memory(tmp_path, ca, now) as place:
        yield place


async def test_how_many_wait_is_counted(place: Place, start: Start) -> None:
    worker = await start(concurrency=1)
    for _ in range(2):
        await place.submit(worker)

    await place.gate.let(1)

    assert worker.waiting == 1
    assert place.value("certctl_deploy_queue_depth") == 1


async def test_a_full_queue_refuses_and_records_nothing(place: Place, start: Start) -> None:
    worker = await start(concurrency=1, queue_limit=1)
    await place.submit(worker)
    await place.gate.let(1)
    await place.submit(worker)

    with pytest.raises(errors.QueueFull):
        await place.submit(worker)

    assert len(await place.store.unfinished()) == 2


async def test_of_many_at_once_no_more_are_accepted_than_may_wait(
    place: Place, start: Start
) -> None:
    worker = await start(concurrency=1, queue_limit=2)
    await place.submit(worker)
    await place.gate.let(1)

    came = await asyncio.gather(*(place.submit(worker) for _ in range(5)), return_exceptions=True)

    assert [isinstance(one, errors.QueueFull) for one in came] == [False, False, True, True, True]
    assert worker.waiting == 2


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


async def test_a_cancellation_that_cannot_be_written_changes_nothing_about_the_order(
    place: Place, start: Start
) -> None:
    worker = await start(concurrency=1)
    await place.submit(worker)
    await place.gate.let(1)
    first, second, third = [(await place.submit(worker))[0] for _ in range(3)]

    with place.full(), pytest.raises(errors.StoreUnavailable):
        await worker.cancel(second.id, SYSTEM)
    place.gate.open.set()
    await place.end(third)
    await place.end(second)

    came = [id_ for _, id_ in place.gate.visits]
    assert came[1:] == [first.id, second.id, third.id]


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


async def test_what_another_worker_has_taken_over_cannot_be_cancelled_here(
    place: Place, start: Start
) -> None:
    worker = await start(concurrency=1)
    await place.submit(worker)
    await place.gate.let(1)
    waiting, held = await place.submit(worker)
    await place.store.claim(waiting.id, "another")

    with pytest.raises(errors.NotCancellable):
        await worker.cancel(waiting.id, SYSTEM)

    assert (await place.store.get(waiting.id)).state is State.QUEUED
    assert held.bundle is None
