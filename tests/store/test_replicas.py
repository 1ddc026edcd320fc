"""Several processes on one PostgreSQL: each sees at once what any of them has written."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app import errors
from app.deployment.model import State
from app.store import DeploymentFilter, EventFilter, Keep, Pruned, Store
from tests.conftest import Clock
from tests.postgres import Postgres
from tests.store.builders import WAY, accepted, advanced, deployment, event, key

LONG = 60.0
DAY = 86400
KEEP = Keep(deployment_days=30, audit_days=30)


@pytest.fixture(name="here")
async def _here(database_url: str, clock: Clock) -> AsyncIterator[Store]:
    opened = await Store.open(database_url, keep=KEEP, now=clock)
    yield opened
    await opened.aclose()


@pytest.fixture(name="there")
async def _there(database_url: str, clock: Clock) -> AsyncIterator[Store]:
    opened = await Store.open(database_url, keep=KEEP, now=clock)
    yield opened
    await opened.aclose()


async def _states(store: Store, id: str) -> list[State]:  # noqa: A002 - the field's name
    return [step.state async for step in store.follow(id)]


async def test_what_one_has_written_the_other_reads(here: Store, there: Store) -> None:
    made = await accepted(here, 1)
    assert await there.get(made.id) == made

    moved_on = await advanced(there, made, *WAY[:2])

    assert await here.get(made.id) == moved_on
    assert await here.unfinished() == [moved_on]


async def test_who_waits_at_one_is_woken_by_what_the_other_writes(
    here: Store, there: Store
) -> None:
    made = await accepted(here, 1)
    waiting = asyncio.create_task(there.settled(made.id, within=LONG))
    following = asyncio.create_task(_states(there, made.id))
    also = asyncio.create_task(here.settled(made.id, within=LONG))

    ended = await advanced(here, made, *WAY)

    async with asyncio.timeout(10):
        assert await waiting == ended == await also
        assert await following == [State.QUEUED, *WAY]


async def test_a_waiter_is_woken_wherever_the_deployment_is_carried(
    here: Store, there: Store
) -> None:
    made = await accepted(here, 1)
    waiting = asyncio.create_task(here.settled(made.id, within=LONG))
    made = await advanced(here, made, State.SNAPSHOTTING)

    ended = await advanced(there, made, *WAY[1:])

    async with asyncio.timeout(10):
        assert await waiting == ended


async def test_who_waits_through_an_outage_looks_again_after_it(
    here: Store, there: Store, postgres: Postgres
) -> None:
    made, first = await accepted(here, 1), await accepted(here, 2)
    waiting = asyncio.create_task(there.settled(made.id, within=LONG))
    listening = asyncio.create_task(there.settled(first.id, within=LONG))
    await advanced(here, first, State.CANCELLED)
    await listening

    with postgres.away():
        pass
    ended = await advanced(here, made, State.CANCELLED)

    async with asyncio.timeout(20):
        assert await waiting == ended


async def test_one_key_at_two_processes_at_once_gives_one_deployment(
    here: Store, there: Store
) -> None:
    keys = [key(f"k{number}") for number in range(30)]

    async def sent(to: Store, first: int, order: int) -> dict[str, str]:
        async def one(number: int) -> tuple[str, str]:
            made, its = deployment(first + number), keys[number]
            return its.key, (await to.accept(made, event(made), its)).id

        return dict(await asyncio.gather(*(one(number) for number in range(30)[::order])))

    one, two = await asyncio.gather(sent(here, 100, 1), sent(there, 200, -1))

    assert one == two
    page = await here.deployments(DeploymentFilter(), page_size=99, cursor=None)
    assert {each.id for each in page.data} == set(one.values())


async def test_a_fingerprint_means_the_same_at_every_process(here: Store, there: Store) -> None:
    assert here.fingerprint(b"body") == there.fingerprint(b"body")


async def test_two_that_tidy_at_once_let_go_of_each_thing_once(
    here: Store, there: Store, clock: Clock
) -> None:
    await asyncio.gather(*(accepted(here, number, state=State.FAILED) for number in range(450)))
    clock.move(31 * DAY)

    pruned = await asyncio.gather(here.prune(), there.prune())

    assert sum(each.deployments for each in pruned) == 450
    assert sum(each.events for each in pruned) == 450
    assert await here.prune() == Pruned(deployments=0, events=0)
    assert (await here.events(EventFilter(), page_size=9, cursor=None)).data == ()


async def test_a_check_at_two_at_once_holds_up_neither(here: Store, there: Store) -> None:
    await asyncio.gather(*(store.check() for store in (here, there) * 5))


async def test_while_postgresql_is_away_everything_is_refused_and_goes_on_afterwards(
    here: Store, postgres: Postgres
) -> None:
    made = await accepted(here, 1)

    with postgres.away():
        for refused in (
            accepted(here, 2),
            advanced(here, made, State.SNAPSHOTTING),
            here.claim(made.id, "one"),
            here.get(made.id),
            here.unfinished(),
            here.steps(made.id),
            here.check(),
            here.prune(),
        ):
            with pytest.raises(errors.StoreUnavailable):
                await refused

    assert await here.get(made.id) == made
    await here.check()
    ended = await advanced(here, made, *WAY)
    assert await here.get(made.id) == ended
    assert await here.unfinished() == []


async def test_an_outage_that_nobody_noticed_is_no_outage(here: Store, postgres: Postgres) -> None:
    with postgres.away():
        pass

    made = await accepted(here, 1)

    assert await here.get(made.id) == made


async def test_a_store_can_be_closed_while_postgresql_is_away(
    database_url: str, clock: Clock, postgres: Postgres
) -> None:
    store = await Store.open(database_url, now=clock)

    with postgres.away():
        await store.aclose()

    with pytest.raises(errors.StoreUnavailable):
        await store.unfinished()
