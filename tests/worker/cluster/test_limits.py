"""What all replicas may do together: wait in the queue, and call vaults."""

import asyncio

import pytest

from app import errors
from app.deployment import trail
from app.deployment.model import Deployment
from app.sealing import Sealer, Wrapped
from app.store import IdempotencyKey
from app.worker import Beats
from tests.certificates import NOW
from tests.worker.cluster.replicas import (
    Away,
    taking_only,
)
from tests.worker.conftest import Start
from tests.worker.database import told
from tests.worker.place import PORTAL, Place


async def test_a_full_queue_refuses_and_records_nothing(place: Place, start: Start) -> None:
    worker = await start(concurrency=1, queue_limit=1)
    accepted = 0

    async def until_full() -> None:
        nonlocal accepted
        while True:
            await place.submit(worker)
            accepted += 1

    with pytest.raises(errors.QueueFull):
        await until_full()

    assert len(await place.store.unfinished()) == accepted


async def test_a_queue_never_grows_past_its_limit_however_many_come_at_once(
    place: Place, other: Place
) -> None:
    worker = taking_only(place, queue_limit=20)
    first = [place.submit(worker, str(number)) for number in range(50)]
    outcomes = await asyncio.gather(*first, return_exceptions=True)

    refused = [one for one in outcomes if isinstance(one, BaseException)]
    assert {type(one) for one in refused} == {errors.QueueFull}
    assert len(refused) == 30
    assert len(await place.store.unfinished()) == 20
    with pytest.raises(errors.QueueFull):
        await other.submit(taking_only(other, queue_limit=20))


async def test_what_is_not_queued_after_all_takes_no_place(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing(Away):
        async def wrap(self, data_key: bytes) -> Wrapped:
            if self.back:
                return await super().wrap(data_key)
            raise errors.SealingUnavailable

    async def unrecorded(*_: object, **__: object) -> Deployment:
        raise errors.StoreUnavailable

    away = Refusing()
    place.sealer = Sealer(away)
    worker = taking_only(place, queue_limit=2)
    for _ in range(3):
        with pytest.raises(errors.SealingUnavailable):
            await place.submit(worker)
    away.back = True
    with monkeypatch.context() as patched:
        patched.setattr(place.store, "accept", unrecorded)
        for _ in range(3):
            with pytest.raises(errors.StoreUnavailable):
                await place.submit(worker)
    key = IdempotencyKey(caller=PORTAL.name, key="k", fingerprint="f")
    for _ in range(3):
        made, held = place.deployment()
        await worker.submit(made, held, trail.event(made, id=place.new_id("evt"), at=NOW), key)

    await place.submit(worker)


async def test_a_replica_that_starts_takes_no_more_than_its_part_of_the_limits(
    start: Start, other: Place, start_other: Start
) -> None:
    await start()
    await start_other()

    assert other.jobs is not None
    assert other.jobs.share() == 0.5


async def test_replicas_leave_a_newcomer_its_part_before_their_next_sign_of_life(
    place: Place, start: Start, start_other: Start, postgres_url: str
) -> None:
    place.beats = Beats(heartbeat_s=600, takeover_s=1200)
    assert place.jobs is not None
    await start()
    assert place.jobs.share() == 1

    await start_other()

    async with asyncio.timeout(4):  # of the ten seconds in which Key Vault counts
        while place.jobs.share() != 0.5:
            await told(postgres_url, "SELECT 1")


async def test_a_replica_that_only_takes_requests_leaves_the_limits_to_those_that_work(
    place: Place, other: Place, start: Start
) -> None:
    taking = taking_only(other)
    await taking.start()

    await start()

    assert place.jobs is not None
    assert place.jobs.share() == 1
    await taking.drain(within=0)
