"""The queue on a real PostgreSQL: order, exclusion, taking over, and PostgreSQL being away."""

import asyncio
import json
from collections.abc import AsyncIterator

import psycopg
import pytest

from app import errors
from app.store import Address
from app.worker import schema
from app.worker.fetching import Job
from app.worker.jobs import Jobs
from app.worker.outages import Outages
from tests.postgres import Postgres
from tests.worker.database import silent_for_40_s, told

TRIGGER = "procrastinate_trigger_status_events_update_v1"
SILENT_S = 0.0  # any worker that has not been heard this very moment


@pytest.fixture(name="url")
async def _url(postgres_url: str) -> str:
    await schema.migrate(at(postgres_url))
    return postgres_url


@pytest.fixture(name="jobs")
async def _jobs(url: str) -> AsyncIterator[Jobs]:
    async with Jobs.opened(url) as jobs:
        yield jobs


@pytest.fixture(name="others")
async def _others(url: str) -> AsyncIterator[Jobs]:
    """The queue as another replica sees it."""
    async with Jobs.opened(url) as jobs:
        yield jobs


def at(url: str) -> Address:
    return Address.of(url, patience=5)


async def taken(jobs: Jobs) -> Job:
    job = await jobs.fetch()
    assert job is not None
    return job


async def test_jobs_of_one_lane_come_one_at_a_time_in_order_whoever_asks(
    jobs: Jobs, others: Jobs
) -> None:
    for name in ("one", "two"):
        await jobs.defer(name, "lane", "sealed")

    first = await taken(others)
    assert first == Job(number=first.number, deployment_id="one", sealed="sealed")
    assert await jobs.fetch() is None
    await others.finish(first)
    assert (await taken(jobs)).deployment_id == "two"


async def test_jobs_of_different_lanes_run_side_by_side(jobs: Jobs, others: Jobs) -> None:
    for name in ("one", "two"):
        await jobs.defer(name, name, "")

    assert {(await taken(jobs)).deployment_id, (await taken(others)).deployment_id} == {
        "one",
        "two",
    }


async def test_a_job_that_is_deferred_twice_waits_once(jobs: Jobs) -> None:
    for _ in range(2):
        await jobs.defer("one", "lane", "")

    assert await jobs.waiting() == 1


async def test_a_job_that_is_under_way_is_not_deferred_anew_and_can_be_taken_over(
    jobs: Jobs, others: Jobs, url: str
) -> None:
    await jobs.defer("one", "lane", "sealed")
    await taken(jobs)

    await others.defer("one", "lane", "")

    assert await others.waiting() == 0
    await silent_for_40_s(url)
    assert await others.take_over(silent_s=20) == 1
    assert (await taken(others)).sealed == "sealed"
    assert await others.fetch() is None


async def test_a_job_is_never_there_twice_however_many_defer_it_while_it_is_fetched(
    jobs: Jobs, others: Jobs, url: str
) -> None:
    for number in range(50):
        name = str(number)
        deferred = [one.defer(name, name, "") for one in (jobs, others, jobs, others)]
        await asyncio.gather(*deferred, jobs.fetch(), others.fetch())

    rows = await told(url, "SELECT queueing_lock FROM procrastinate_jobs")
    assert sorted(rows) == sorted((str(number),) for number in range(50))


async def test_nothing_is_left_of_a_job_that_is_finished(jobs: Jobs, url: str) -> None:
    await jobs.defer("one", "lane", "sealed")
    await jobs.finish(await taken(jobs))

    assert await told(url, "SELECT * FROM procrastinate_jobs") == []


async def test_a_job_that_another_has_finished_meanwhile_is_no_trouble(
    jobs: Jobs, others: Jobs
) -> None:
    await jobs.defer("one", "lane", "")
    job = await taken(jobs)
    await others.finish(job)

    await jobs.finish(job)
    await jobs.release(job)


async def test_a_released_job_keeps_its_place_and_is_there_at_once(
    jobs: Jobs, others: Jobs
) -> None:
    for name in ("one", "two"):
        await jobs.defer(name, "lane", "")

    await jobs.release(await taken(jobs))

    assert (await taken(others)).deployment_id == "one"


async def test_a_job_that_another_has_taken_over_is_not_released_under_its_hands(
    jobs: Jobs, others: Jobs
) -> None:
    await jobs.defer("one", "lane", "")
    job = await taken(jobs)
    await others.take_over(silent_s=SILENT_S)
    await taken(others)

    await jobs.release(job)

    assert await jobs.waiting() == 0


async def test_what_a_silent_worker_holds_is_taken_over(jobs: Jobs, others: Jobs) -> None:
    await jobs.defer("one", "lane", "sealed")
    await taken(jobs)

    assert await others.take_over(silent_s=60) == 0
    assert await others.take_over(silent_s=SILENT_S) == 1
    assert (await taken(others)).sealed == "sealed"


async def test_a_job_tells_how_long_the_one_it_was_taken_over_from_was_silent(
    jobs: Jobs, others: Jobs, url: str
) -> None:
    await jobs.defer("one", "lane", "")
    assert (await taken(jobs)).silent_s == 0
    await silent_for_40_s(url)

    await others.take_over(silent_s=20)

    again = await taken(others)
    assert again.silent_s == pytest.approx(40, abs=10)
    await others.release(again)
    assert (await taken(others)).silent_s == 0, "who gives it back may have acted until then"


@pytest.mark.parametrize("heard", ["soon", "2026-01-01T00:00:00", "infinity", 7, None, [], {}])
async def test_a_job_that_somebody_spoiled_holds_up_no_other(
    jobs: Jobs, url: str, heard: object
) -> None:
    for name in ("one", "two"):
        await jobs.defer(name, name, "")
    spoil = "UPDATE procrastinate_jobs SET args = args || '{\"heard\": HEARD}' WHERE lock = 'one'"
    await told(url, spoil.replace("HEARD", json.dumps(heard)))

    assert (await taken(jobs)).silent_s == 0
    assert (await taken(jobs)).deployment_id == "two"


async def test_what_a_silent_worker_holds_is_taken_over_though_the_clock_was_set_back(
    jobs: Jobs, others: Jobs, url: str
) -> None:
    await jobs.defer("one", "lane", "")
    await taken(jobs)
    ahead = "UPDATE procrastinate_workers SET last_heartbeat = now() + interval '1 hour'"
    await told(url, ahead)

    assert await others.take_over(silent_s=20) == 1
    assert (await taken(others)).silent_s == 0, "nobody knows when it was heard"
    await others.beat(silent_s=20)
    assert others.live == 1


async def test_a_job_that_is_just_being_ended_is_not_taken_over(
    jobs: Jobs, others: Jobs, url: str
) -> None:
    for name in ("one", "two"):
        await jobs.defer(name, name, "")
        await taken(jobs)
    await silent_for_40_s(url)

    async with await psycopg.AsyncConnection.connect(url) as ending:
        await ending.execute("DELETE FROM procrastinate_jobs WHERE queueing_lock = 'one'")
        assert await others.take_over(silent_s=20) == 1

    assert await told(url, "SELECT queueing_lock FROM procrastinate_jobs") == [("two",)]


async def test_what_a_worker_holds_that_left_is_taken_over_without_waiting(
    jobs: Jobs, others: Jobs
) -> None:
    await jobs.defer("one", "lane", "")
    await taken(jobs)
    await jobs.leave()

    assert await others.take_over(silent_s=60) == 1


async def test_what_a_worker_was_given_without_hearing_of_it_goes_back_and_the_rest_stays(
    jobs: Jobs, others: Jobs
) -> None:
    assert await jobs.release_unheard(()) == 0
    for name in ("one", "two", "three"):
        await jobs.defer(name, name, "")
    heard, _, theirs = await taken(jobs), await taken(jobs), await taken(others)

    assert await jobs.release_unheard((heard.number,)) == 1

    assert (await taken(jobs)).deployment_id == "two"
    assert theirs.deployment_id == "three"
    assert await jobs.fetch() is None


async def test_two_that_take_over_at_once_release_each_job_once(jobs: Jobs, others: Jobs) -> None:
    for number in range(20):
        await jobs.defer(str(number), str(number), "")
        await taken(jobs)

    found = await asyncio.gather(*(one.take_over(silent_s=SILENT_S) for one in (jobs, others)))

    assert sum(found) == 20
    assert await jobs.waiting() == 20


async def test_what_all_may_do_together_is_shared_by_the_workers_that_live(
    jobs: Jobs, others: Jobs
) -> None:
    await jobs.join()
    await jobs.beat(silent_s=60)
    assert jobs.share() == 1

    await others.join()
    await jobs.beat(silent_s=60)
    assert jobs.share() == 0.5

    await others.leave()
    await jobs.beat(silent_s=60)
    assert jobs.share() == 0.5  # until it is judged that they are gone, and only look silent
    jobs.let_go()
    assert jobs.share() == 1


async def test_a_worker_that_was_forgotten_joins_again(jobs: Jobs, url: str) -> None:
    await jobs.join()
    await told(url, "DELETE FROM procrastinate_workers")
    await jobs.defer("one", "lane", "")

    assert await jobs.fetch() is None
    assert (await taken(jobs)).deployment_id == "one"


async def test_a_deferred_job_is_told_to_whoever_listens(jobs: Jobs, others: Jobs) -> None:
    told = asyncio.Event()
    listening = asyncio.create_task(others.listen(told.set))
    while not told.is_set():  # until it listens; each round asks PostgreSQL
        await jobs.defer("one", "lane", "")
        await jobs.finish(await taken(jobs))

    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_the_queue_is_unavailable_while_postgresql_is_away_and_works_again_afterwards(
    url: str, postgres: Postgres
) -> None:
    async with Jobs.opened(url, patience=0.2) as jobs:
        await jobs.defer("one", "lane", "")
        await unavailable_while_away(jobs, postgres)
        assert (await Outages().sit_out(lambda: taken(jobs))).deployment_id == "one"


async def unavailable_while_away(jobs: Jobs, postgres: Postgres) -> None:
    listening = asyncio.create_task(jobs.listen(lambda: None))

    with postgres.away():
        for asked in (jobs.fetch(), jobs.defer("two", "lane", ""), jobs.waiting(), listening):
            with pytest.raises(errors.StoreUnavailable):
                await asked


async def test_a_database_without_a_queue_says_to_migrate(postgres_url: str) -> None:
    with pytest.raises(errors.StoreUnavailable, match="python -m app migrate"):
        async with Jobs.opened(postgres_url):
            pass


async def test_the_queue_of_a_newer_version_is_left_alone(url: str) -> None:
    await marked(url, "certctl-connectors: 99.00.00_01_pre_something.sql")

    with pytest.raises(errors.StoreUnavailable, match="newer") as started:
        async with Jobs.opened(url):
            pass
    with pytest.raises(errors.StoreUnavailable) as migrated:
        await schema.migrate(at(url))

    assert migrated.value.message == started.value.message


async def test_the_queue_of_another_application_is_left_alone(url: str) -> None:
    await marked(url, "mine")

    with pytest.raises(errors.StoreUnavailable, match="another application"):
        await schema.migrate(at(url))


async def test_an_older_queue_gets_the_migrations_it_has_not_had(url: str) -> None:
    await marked(url, "certctl-connectors: 03.04.00_01_pre_add_retry_failed_job_procedure.sql")
    await told(url, f"DROP TRIGGER {TRIGGER} ON procrastinate_jobs")
    with pytest.raises(errors.StoreUnavailable, match="older"):
        await schema.check(at(url))

    await schema.migrate(at(url))

    await schema.check(at(url))
    assert (TRIGGER,) in await told(url, "SELECT tgname FROM pg_trigger")


async def test_two_that_migrate_at_once_do_no_harm(postgres_url: str) -> None:
    await asyncio.gather(schema.migrate(at(postgres_url)), schema.migrate(at(postgres_url)))

    await schema.check(at(postgres_url))


async def marked(url: str, comment: str) -> None:
    await told(url, f"COMMENT ON TABLE procrastinate_jobs IS '{comment}'")
