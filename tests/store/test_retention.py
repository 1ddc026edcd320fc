"""What is old is let go: finished deployments by age, keys when they mean nothing any more."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
import structlog
from structlog.typing import EventDict

from app import errors
from app.deployment.model import State
from app.store import DeploymentFilter, EventFilter, Keep, Pruned, Store
from tests.conftest import Clock
from tests.store.builders import WAY, accepted, advanced, deployment, event, key

DAY = 86400


@pytest.fixture(name="tidy")
async def _tidy(url: str, clock: Clock) -> AsyncIterator[Store]:
    """A store that keeps deployments for thirty days and audit events for sixty."""
    keep = Keep(deployment_days=30, audit_days=60)
    opened = await Store.open(url, keep=keep, now=clock)
    yield opened
    await opened.aclose()


async def _ids(store: Store) -> set[str]:
    page = await store.deployments(DeploymentFilter(), page_size=99, cursor=None)
    return {one.id for one in page.data}


async def _events(store: Store) -> int:
    return len((await store.events(EventFilter(), page_size=500, cursor=None)).data)


async def test_a_finished_deployment_goes_with_its_steps_when_it_is_old(
    tidy: Store, clock: Clock
) -> None:
    old = await advanced(tidy, await accepted(tidy, 1), *WAY)
    clock.move(30 * DAY + 2)

    assert await tidy.prune() == Pruned(deployments=1, events=0)

    for gone in (tidy.get(old.id), tidy.steps(old.id)):
        with pytest.raises(errors.DeploymentNotFound):
            await gone


async def test_a_deployment_that_is_not_old_enough_stays(tidy: Store, clock: Clock) -> None:
    young = await advanced(tidy, await accepted(tidy, 1), *WAY)
    clock.move(30 * DAY - 1)

    assert await tidy.prune() == Pruned(deployments=0, events=0)

    assert await _ids(tidy) == {young.id}


async def test_what_has_not_ended_stays_however_old_it_is(tidy: Store, clock: Clock) -> None:
    under_way = await advanced(tidy, await accepted(tidy, 1), State.SNAPSHOTTING)
    clock.move(1000 * DAY)

    await tidy.prune()

    assert await _ids(tidy) == {under_way.id}


async def test_audit_events_outlive_their_deployment(tidy: Store, clock: Clock) -> None:
    await advanced(tidy, await accepted(tidy, 1), *WAY)
    clock.move(59 * DAY)

    assert await tidy.prune() == Pruned(deployments=1, events=0)

    assert await _events(tidy) == 1 + len(WAY)


async def test_audit_events_go_only_when_they_are_older_than_what_was_asked_for(
    tidy: Store, clock: Clock
) -> None:
    await advanced(tidy, await accepted(tidy, 1), *WAY)
    clock.move(60 * DAY + 2)

    assert await tidy.prune() == Pruned(deployments=1, events=1 + len(WAY))

    assert await _events(tidy) == 0


async def test_unless_asked_for_no_audit_event_ever_goes(store: Store, clock: Clock) -> None:
    await advanced(store, await accepted(store, 1), *WAY)
    clock.move(100_000 * DAY)

    await store.prune()

    assert await _ids(store) == set()
    assert await _events(store) == 1 + len(WAY)


async def test_more_than_a_batch_goes_in_one_go(tidy: Store, clock: Clock) -> None:
    await asyncio.gather(*(accepted(tidy, number, state=State.CANCELLED) for number in range(450)))
    clock.move(31 * DAY)

    assert (await tidy.prune()).deployments == 450


async def test_a_key_that_is_remembered_no_longer_is_not_kept_either(
    store: Store, clock: Clock, url: str
) -> None:
    first, second = deployment(1), deployment(2)
    await store.accept(first, event(first), key("old"))
    clock.move(6 * DAY)
    await store.accept(second, event(second), key("young"))
    clock.move(2 * DAY)

    await store.prune()

    again = deployment(3)
    assert await store.accept(again, event(again), key("young")) == second
    assert await store.accept(again, event(again), key("old", fingerprint="f9")) == again


def _heard(name: str) -> asyncio.Event:
    """Set when the log says *name* for the second time."""
    heard, times = asyncio.Event(), itertools.count(1)

    def listen(_logger: object, _method: str, line: EventDict) -> EventDict:
        if line["event"] == name and next(times) == 2:
            heard.set()
        raise structlog.DropEvent

    structlog.configure(processors=[listen])
    return heard


async def test_tidying_goes_on_by_itself_until_the_store_is_left(tidy: Store, clock: Clock) -> None:
    heard = _heard("store.tidied")
    for number in (1, 2):
        await advanced(tidy, await accepted(tidy, number), *WAY)
    clock.move(30 * DAY + 2)
    tidying = asyncio.create_task(tidy.keep_tidy(every_s=0))
    while await _ids(tidy) == {deployment(1).id, deployment(2).id}:  # the first is a second older
        pass
    clock.move(1)

    async with asyncio.timeout(5):
        await heard.wait()

    assert await _ids(tidy) == set()
    assert not tidying.done()
    tidying.cancel()


async def test_a_store_that_cannot_be_tidied_now_is_tidied_later(tidy: Store) -> None:
    heard = _heard("store.not_tidied")
    await tidy.aclose()
    tidying = asyncio.create_task(tidy.keep_tidy(every_s=0))

    async with asyncio.timeout(5):
        await heard.wait()

    assert not tidying.done()
    tidying.cancel()
