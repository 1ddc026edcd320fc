"""A PostgreSQL that stands still: it takes what it is sent, and does not answer."""

import asyncio

from app import errors
from app.store import DeploymentFilter, Store
from tests.postgres import Postgres
from tests.store.builders import accepted, at, event


async def test_is_unavailable_in_time_and_answers_when_it_goes_on(
    database_url: str, postgres: Postgres
) -> None:
    store = await Store.open(database_url, now=lambda: at(0), patience=0.2)
    made = await accepted(store, 1)
    with postgres.standing_still():
        for _ in range(2):  # the second time a new connection is to be made
            async with asyncio.timeout(20):
                told = await asyncio.gather(
                    *(store.get(made.id) for _ in range(20)),
                    store.deployments(DeploymentFilter(), page_size=1, cursor=None),
                    store.settled(made.id, within=60),
                    store.claim(made.id, "one"),
                    store.note(event(made)),
                    store.check(),
                    return_exceptions=True,
                )
            assert [type(each) for each in told] == [errors.StoreUnavailable] * len(told)

    assert await store.claim(made.id, "two") == made
    assert await store.get(made.id) == made
    await store.aclose()


async def test_can_be_left(database_url: str, postgres: Postgres) -> None:
    store = await Store.open(database_url, now=lambda: at(0), patience=0.2)
    made = await accepted(store, 1)
    with postgres.standing_still():
        asked = [store.get(made.id), store.note(event(made)), store.follow(made.id).__anext__()]
        waiting = [asyncio.ensure_future(each) for each in asked]
        await asyncio.sleep(0)

        async with asyncio.timeout(10):
            await store.aclose()

        told = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in told] == [errors.StoreUnavailable] * 3
