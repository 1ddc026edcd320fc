"""Those who wait are woken by the commit, and never poll."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app import errors
from app.deployment.model import State
from app.store import Step, Store
from tests.store.builders import WAY, accepted, advanced

LONG = 60.0


async def _turns(number: int = 20) -> None:
    """Let what is ready run."""
    for _ in range(number):
        await asyncio.sleep(0)


async def _states(steps: AsyncIterator[Step]) -> list[State]:
    return [step.state async for step in steps]


async def test_waiting_ends_when_the_deployment_is_final(either: Store) -> None:
    made = await accepted(either, 1)
    waiting = asyncio.create_task(either.settled(made.id, within=LONG))
    await _turns()

    ended = await advanced(either, made, *WAY)

    assert await waiting == ended


async def test_waiting_for_a_final_deployment_returns_at_once(either: Store) -> None:
    ended = await advanced(either, await accepted(either, 1), *WAY)

    assert await either.settled(ended.id, within=LONG) == ended


@pytest.mark.parametrize("within", [0, 0.001])
async def test_waiting_in_vain_returns_the_newest_state(either: Store, within: float) -> None:
    made = await advanced(either, await accepted(either, 1), State.SNAPSHOTTING)

    assert await either.settled(made.id, within=within) == made


async def test_many_can_wait_for_one_deployment(store: Store) -> None:
    made = await accepted(store, 1)
    waiting = [asyncio.create_task(store.settled(made.id, within=LONG)) for _ in range(5)]
    await _turns()
    waiting[0].cancel()

    ended = await advanced(store, made, State.CANCELLED)

    assert await asyncio.gather(*waiting[1:]) == [ended] * 4


async def test_waiting_for_an_unknown_deployment_fails(store: Store) -> None:
    with pytest.raises(errors.DeploymentNotFound):
        await store.settled("dep-unknown", within=LONG)


async def test_following_tells_what_was_and_what_comes_to_the_end(either: Store) -> None:
    made = await advanced(either, await accepted(either, 1), *WAY[:2])
    following = asyncio.create_task(_states(either.follow(made.id)))
    await _turns()

    await advanced(either, made, *WAY[2:])

    assert await following == [State.QUEUED, *WAY]


async def test_following_tells_each_step_as_it_is_committed(store: Store) -> None:
    made = await accepted(store, 1)
    steps = store.follow(made.id)

    for state in (State.QUEUED, *WAY):
        assert (await anext(steps)).state is state
        if state is not State.SUCCEEDED:
            made = await advanced(store, made, WAY[(State.QUEUED, *WAY).index(state)])

    assert [step async for step in steps] == []


@pytest.mark.parametrize(("after", "left"), [(2, list(WAY[1:])), (5, [])])
async def test_following_goes_on_where_it_was_left(
    store: Store, after: int, left: list[State]
) -> None:
    made = await advanced(store, await accepted(store, 1), *WAY)

    assert await _states(store.follow(made.id, after=after)) == left


async def test_following_an_unknown_deployment_fails(store: Store) -> None:
    with pytest.raises(errors.DeploymentNotFound):
        await _states(store.follow("dep-unknown"))


async def test_a_write_is_done_and_told_even_if_its_caller_has_gone(store: Store) -> None:
    made = await accepted(store, 1)
    waiting = asyncio.create_task(store.settled(made.id, within=LONG))
    writing = asyncio.create_task(advanced(store, made, State.CANCELLED))
    await asyncio.sleep(0)
    writing.cancel()

    assert (await waiting).state is State.CANCELLED
    assert writing.cancelled()
    assert [step.state for step in await store.steps(made.id)] == [State.QUEUED, State.CANCELLED]


async def test_a_failed_write_whose_caller_has_gone_disturbs_nobody(store: Store) -> None:
    made = await accepted(store, 1)
    failing = asyncio.create_task(accepted(store, 1))
    await asyncio.sleep(0)
    failing.cancel()

    await advanced(store, made, State.CANCELLED)

    assert failing.cancelled()


async def test_told_to_hurry_nobody_waits_any_longer(either: Store) -> None:
    made = await accepted(either, 1)
    waiting = asyncio.create_task(either.settled(made.id, within=LONG))
    following = asyncio.create_task(_states(either.follow(made.id)))
    await _turns()

    either.hurry()

    assert await waiting == made
    assert await following == [State.QUEUED]
    assert await either.settled(made.id, within=LONG) == made
    assert await _states(either.follow(made.id)) == [State.QUEUED]


async def test_closing_releases_those_who_wait(store: Store) -> None:
    made = await accepted(store, 1)
    waiting = asyncio.create_task(store.settled(made.id, within=LONG))
    following = asyncio.create_task(_states(store.follow(made.id)))
    other = asyncio.create_task(store.settled((await accepted(store, 2)).id, within=LONG))
    await _turns()

    await store.aclose()

    for each in (waiting, following, other):
        with pytest.raises(errors.StoreUnavailable):
            await each
