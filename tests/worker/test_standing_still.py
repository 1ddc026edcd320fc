"""A PostgreSQL that stands still: it takes what it is sent, and does not answer."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import pytest

from app import errors
from app.deployment.model import State
from app.store import Address
from app.worker import Beats, schema
from app.worker.jobs import Jobs
from app.worker.outages import reason
from tests.certificates import Authority
from tests.conftest import Clock
from tests.postgres import Postgres
from tests.worker.place import on_postgres


@pytest.fixture(name="jobs")
async def _jobs(postgres_url: str) -> AsyncIterator[Jobs]:
    await schema.migrate(Address.of(postgres_url, patience=5))
    async with Jobs.opened(postgres_url, patience=0.5) as jobs:
        yield jobs


async def test_every_question_to_the_queue_is_given_up_in_time_and_answered_afterwards(
    jobs: Jobs, postgres: Postgres
) -> None:
    await jobs.defer("one", "lane", "sealed")
    await jobs.join()
    with postgres.standing_still():
        for _ in range(2):  # the second time new connections are to be made
            began = monotonic()
            told = await asyncio.gather(
                jobs.waiting(),
                jobs.beat(silent_s=20),
                jobs.defer("two", "lane", "sealed"),
                jobs.take_over(silent_s=20),
                jobs.fetch(),
                return_exceptions=True,
            )
            assert monotonic() - began < 5
            assert [type(each) for each in told] == [errors.StoreUnavailable] * len(told)
            assert isinstance(told[0], errors.StoreUnavailable)
            assert reason(told[0]) == "TimeoutError"

    await jobs.defer("three", "lane", "sealed")
    assert await jobs.waiting() > 0


async def test_a_queue_that_stands_still_is_not_opened(
    postgres_url: str, postgres: Postgres
) -> None:
    await schema.migrate(Address.of(postgres_url, patience=5))
    with postgres.standing_still():
        began = monotonic()
        with pytest.raises(errors.StoreUnavailable):
            async with Jobs.opened(postgres_url, patience=0.5):
                pass
        assert monotonic() - began < 5


async def test_a_replica_can_be_stopped_in_time_and_another_carries_on_what_it_had(
    postgres_url: str, postgres: Postgres, ca: Authority, now: Clock
) -> None:
    async with on_postgres(postgres_url, ca, now) as place:
        worker = place.worker()
        await worker.start()
        accepted, _ = await place.submit(worker)
        await place.gate.let(1)
        with postgres.standing_still():
            began = monotonic()
            await worker.drain(within=0.5)
            assert monotonic() - began < 10

        async with on_postgres(postgres_url, ca, now, beside=place) as other:
            other.beats = Beats(heartbeat_s=0.5, takeover_s=2)
            other.gate.open.set()
            await (another := other.worker()).start()
            assert (await other.end(accepted)).state is State.SUCCEEDED
            await another.drain(within=20)
