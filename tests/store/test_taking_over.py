"""Whoever carries a deployment is the only one to change it, and an end is never changed."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app import errors
from app.deployment.model import Deployment, State, moved
from app.store import EventFilter, Store
from tests.conftest import Clock
from tests.store.builders import WAY, accepted, advanced, deployment, event


async def _carried(store: Store, to: Deployment, runner: str | None, *states: State) -> Deployment:
    for state in states:
        to = moved(to, state)
        await store.save(to, event(to), runner=runner)
    return to


async def test_who_claims_a_deployment_is_given_its_newest_state(either: Store) -> None:
    made = await advanced(either, await accepted(either, 1), *WAY[:2])

    assert await either.claim(made.id, "one") == made


async def test_only_who_claimed_it_last_can_save_it(either: Store) -> None:
    made = await accepted(either, 1)
    await either.claim(made.id, "one")
    made = await _carried(either, made, "one", *WAY[:2])
    await either.claim(made.id, "two")

    for runner in ("one", None):
        with pytest.raises(errors.TakenOver):
            await _carried(either, made, runner, State.VERIFYING)

    assert await either.get(made.id) == made
    ended = await _carried(either, made, "two", *WAY[2:])
    assert await either.get(made.id) == ended
    assert [step.state for step in await either.steps(made.id)] == [State.QUEUED, *WAY]


async def test_whoever_has_claimed_it_a_deployment_can_be_saved_by_the_state_it_is_in(
    either: Store,
) -> None:
    waiting, begun = [await accepted(either, number) for number in (1, 2)]
    for one in (waiting, begun):
        await either.claim(one.id, "one")
    await _carried(either, begun, "one", State.SNAPSHOTTING)
    cancelled = [moved(one, State.CANCELLED) for one in (waiting, begun)]

    await either.save(cancelled[0], event(cancelled[0]), only_in=State.QUEUED)
    with pytest.raises(errors.TakenOver):
        await either.save(cancelled[1], event(cancelled[1]), only_in=State.QUEUED)

    assert await either.get(waiting.id) == cancelled[0]
    with pytest.raises(errors.TakenOver):
        await _carried(either, waiting, "one", State.SNAPSHOTTING)


async def test_a_save_refused_leaves_no_event_and_harms_no_neighbour(store: Store) -> None:
    made = [await accepted(store, number) for number in range(3)]
    await store.claim(made[1].id, "other")
    next_ones = [moved(each, State.SNAPSHOTTING) for each in made]

    answers = await asyncio.gather(
        *(store.save(each, event(each)) for each in next_ones), return_exceptions=True
    )

    assert [type(answer) for answer in answers] == [type(None), errors.TakenOver, type(None)]
    assert len((await store.events(EventFilter(), page_size=9, cursor=None)).data) == 5


async def test_what_has_ended_cannot_be_changed(either: Store) -> None:
    made = await accepted(either, 1)
    ended = await advanced(either, made, State.CANCELLED)

    with pytest.raises(errors.TakenOver):
        await advanced(either, made, State.SNAPSHOTTING)

    assert await either.get(made.id) == ended


async def test_of_two_cancellations_at_once_one_is_told_that_it_came_late(store: Store) -> None:
    made = await accepted(store, 1)

    answers = await asyncio.gather(
        *(advanced(store, made, State.CANCELLED) for _ in range(2)), return_exceptions=True
    )

    assert [type(answer) for answer in answers] == [Deployment, errors.TakenOver]
    assert len(await store.steps(made.id)) == 2


@pytest.mark.parametrize("state", [State.SNAPSHOTTING, State.CANCELLED])
async def test_a_save_whose_answer_was_lost_can_be_repeated(either: Store, state: State) -> None:
    made = moved(await accepted(either, 1), state)
    told = event(made)
    await either.save(made, told)

    await either.save(made, told)
    await asyncio.gather(either.save(made, told), either.save(made, told))

    assert await either.get(made.id) == made
    assert [step.state for step in await either.steps(made.id)] == [State.QUEUED, state]
    assert len((await either.events(EventFilter(), page_size=9, cursor=None)).data) == 2


async def test_the_same_save_twice_at_once_is_one(either: Store) -> None:
    made = moved(await accepted(either, 1), State.CANCELLED)
    told = event(made)

    await asyncio.gather(either.save(made, told), either.save(made, told))

    assert len(await either.steps(made.id)) == 2


async def test_what_was_never_accepted_cannot_be_claimed_or_saved(either: Store) -> None:
    with pytest.raises(errors.DeploymentNotFound):
        await either.claim("dep-unknown", "one")
    with pytest.raises(errors.DeploymentNotFound):
        await either.save(deployment(1), event(deployment(1)), runner="one")


@pytest.fixture(name="other")
async def _other(database_url: str, clock: Clock) -> AsyncIterator[Store]:
    opened = await Store.open(database_url, now=clock)
    yield opened
    await opened.aclose()


@pytest.mark.parametrize("url", ["database_url"], indirect=True, ids=["postgresql"])
async def test_two_processes_that_take_over_from_each_other_never_write_side_by_side(
    store: Store, other: Store
) -> None:
    made = [await accepted(store, number) for number in range(40)]

    async def take(by: Store, runner: str, order: list[Deployment]) -> int:
        async def one(of: Deployment) -> bool:
            try:
                newest = await by.claim(of.id, runner)
                await _carried(by, newest, runner, State.CANCELLED)
            except (errors.TakenOver, ValueError):  # the other one has, or had
                return False
            return True

        return sum(await asyncio.gather(*(one(each) for each in order)))

    ended = await asyncio.gather(take(store, "one", made), take(other, "two", made[::-1]))

    assert sum(ended) == len(made)
    for each in made:
        assert [step.state for step in await store.steps(each.id)] == [
            State.QUEUED,
            State.CANCELLED,
        ]
