"""What somebody else keeps in the same database is written with a deployment, or not at all."""

import pytest

from app import errors
from app.deployment.model import Deployment, State, moved
from app.store import Beside, EventFilter, Store, queries, records
from tests.store.builders import accepted, deployment, event, key

BROKEN = Beside(statement="INSERT INTO nowhere VALUES (?)", values=("x",))


def told_of(about: Deployment) -> Beside:
    """One more event, as somebody else's row."""
    return Beside(statement=queries.INSERT_EVENT, values=records.event_row(event(about)))


async def events(store: Store) -> int:
    return len((await store.events(EventFilter(), page_size=9, cursor=None)).data)


async def test_what_is_beside_a_deployment_is_written_with_it(either: Store) -> None:
    made = deployment(1)
    await either.accept(made, event(made), beside=told_of(made))
    after = moved(made, State.SNAPSHOTTING)
    await either.save(after, event(after), beside=told_of(made))

    assert await events(either) == 4


async def test_a_deployment_is_not_written_without_what_is_beside_it(either: Store) -> None:
    made, new = await accepted(either, 1), deployment(2)
    after = moved(made, State.SNAPSHOTTING)

    with pytest.raises(errors.StoreUnavailable):
        await either.save(after, event(after), beside=BROKEN)
    with pytest.raises(errors.StoreUnavailable):
        await either.accept(new, event(new), beside=BROKEN)

    assert await either.unfinished() == [made]
    assert await events(either) == 1


async def test_what_is_beside_is_written_once_where_a_request_or_a_save_is_repeated(
    either: Store,
) -> None:
    made, again = deployment(1), deployment(2)
    for one in (made, again):
        await either.accept(one, event(one), key(), beside=told_of(made))
    after = moved(made, State.SNAPSHOTTING)
    reached = event(after)
    for _ in range(2):
        await either.save(after, reached, beside=told_of(made))

    assert await events(either) == 4
