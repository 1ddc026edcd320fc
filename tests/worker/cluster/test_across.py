"""Order and exclusion across replicas, and what one leaves behind."""

import asyncio

import pytest

from app import errors
from app.audit import SYSTEM
from app.deployment import trail
from app.deployment.model import State
from app.store import IdempotencyKey
from app.worker import Beats
from tests.certificates import NOW
from tests.conftest import Clock
from tests.worker.cluster.replicas import (
    QUICK,
    left_in,
    queued,
    taking_only,
)
from tests.worker.conftest import Start
from tests.worker.database import silent_for_40_s, told
from tests.worker.place import PORTAL, Place


async def test_the_order_of_a_target_is_kept_across_replicas(
    place: Place, other: Place, start: Start, start_other: Start
) -> None:
    workers = [(place, await start()), (other, await start_other())]
    accepted = [
        (await at.submit(worker, name))[0]
        for _ in range(3)
        for at, worker in workers
        for name in ("a", "b")
    ]
    place.gate.open.set()

    for one in accepted:
        assert (await place.end(one)).state is State.SUCCEEDED

    for name in ("a", "b"):
        came = [id_ for address, id_ in place.gate.visits if address == name]
        assert came == [one.id for one in accepted if one.target.address == name]
    assert place.gate.most_inside == 1


async def test_a_replica_that_only_takes_requests_leaves_them_to_the_others(
    place: Place, other: Place, start_other: Start
) -> None:
    taking = taking_only(place)
    await taking.start()
    place.gate.open.set()
    accepted, _ = await place.submit(taking)
    assert place.gate.visits == []

    await start_other()

    assert (await place.end(accepted)).state is State.SUCCEEDED
    await taking.drain(within=0)


async def test_what_a_replica_could_not_finish_goes_on_at_another_with_its_key(
    place: Place, other: Place, start: Start, start_other: Start
) -> None:
    worker = await start()
    running, _ = await place.submit(worker)
    await place.gate.let(1)

    await worker.drain(within=0)
    assert (await place.store.get(running.id)).state is State.SNAPSHOTTING
    place.gate.open.set()
    await start_other()

    assert (await place.end(running)).state is State.SUCCEEDED


async def test_a_replica_that_falls_silent_is_taken_over_and_writes_nothing_more(
    place: Place, other: Place, start_other: Start
) -> None:
    place.beats, other.beats = Beats(heartbeat_s=600, takeover_s=1200), QUICK
    silent = place.worker()
    await silent.start()
    running, _ = await place.submit(silent)
    await place.gate.let(1)

    successor = await start_other()
    await place.gate.let(2)
    place.gate.open.set()

    assert (await place.end(running)).state is State.SUCCEEDED
    await silent.drain(within=20)
    await successor.drain(within=20)  # the end is seen before it is told
    actions = [event.action.value.removeprefix("deployment.") for event in other.told]
    assert actions == ["snapshot_taken", "imported", "verified"]
    steps = [step.state for step in await place.store.steps(running.id)]
    assert len(steps) == len(set(steps)) == 5


async def test_what_a_dead_replica_was_sending_is_known_to_have_been_on_its_way_since_then(
    place: Place, other: Place, start: Start, postgres_url: str
) -> None:
    sending = await left_in(place, State.IMPORTING)
    assert place.jobs is not None
    assert other.jobs is not None
    sealed = await place.sealer.seal(place.deployment()[1], sending)
    await place.jobs.defer(sending.id, "Gate a", sealed)
    assert await other.jobs.fetch() is not None
    await silent_for_40_s(postgres_url)
    place.beats = QUICK

    await start()

    assert (await place.end(sending)).state is State.SUCCEEDED
    (left,) = place.gate.left
    assert left is not None
    assert asyncio.get_running_loop().time() - left == pytest.approx(40, abs=10)


async def test_a_queued_deployment_is_cancelled_from_any_replica_and_its_row_goes(
    place: Place, other: Place, start: Start, postgres_url: str
) -> None:
    worker = await start(concurrency=1)
    running, _ = await place.submit(worker)
    await place.gate.let(1)
    waiting, _ = await place.submit(worker)
    elsewhere = taking_only(other)

    ended = await elsewhere.cancel(waiting.id, SYSTEM)

    assert ended.state is State.CANCELLED
    assert await queued(postgres_url) == {running.id}
    for id_ in (running.id, waiting.id):
        with pytest.raises(errors.NotCancellable):
            await elsewhere.cancel(id_, SYSTEM)


async def test_nothing_is_left_in_the_queue_when_all_is_final(
    place: Place, start: Start, postgres_url: str
) -> None:
    worker = await start()
    place.gate.open.set()
    accepted = [(await place.submit(worker, name))[0] for name in ("a", "b", "a")]

    for one in accepted:
        await place.end(one)

    assert await queued(postgres_url) == set()


async def test_what_cannot_be_queued_is_not_recorded(place: Place, postgres_url: str) -> None:
    await told(postgres_url, "ALTER TABLE procrastinate_jobs RENAME TO gone")

    with pytest.raises(errors.StoreUnavailable):
        await place.submit(taking_only(place))

    assert await place.store.unfinished() == []


async def test_a_repeat_under_its_key_is_queued_once(place: Place, postgres_url: str) -> None:
    taking = taking_only(place)
    key = IdempotencyKey(caller=PORTAL.name, key="k", fingerprint="f")
    first, second = place.deployment(), place.deployment()

    for made, held in (first, second):
        event = trail.event(made, id=place.new_id("evt"), at=NOW)
        assert (await taking.submit(made, held, event, key)).id == first[0].id

    assert await queued(postgres_url) == {first[0].id}


async def test_what_was_recorded_and_never_queued_ends_interrupted(
    place: Place, start: Start, now: Clock
) -> None:
    place.beats = QUICK
    lost = await left_in(place, State.QUEUED)
    now.move(seconds=60)

    await start()

    ended = await place.end(lost)
    assert ended.state is State.INTERRUPTED
    assert ended.error is not None
    assert ended.error.code == "key-gone"


async def test_what_is_in_no_queue_and_may_have_changed_something_goes_on_by_looking(
    place: Place, start: Start, now: Clock
) -> None:
    place.beats = QUICK
    lost = await left_in(place, State.VERIFYING)
    now.move(seconds=60)

    await start()

    assert (await place.end(lost)).state is State.SUCCEEDED


async def test_a_job_without_a_deployment_harms_no_other(place: Place, start: Start) -> None:
    assert place.jobs is not None
    await place.jobs.defer("dep-unknown", "Gate a", "")
    place.gate.open.set()
    accepted, _ = await place.submit(await start())

    assert (await place.end(accepted)).state is State.SUCCEEDED
