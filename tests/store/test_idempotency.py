"""A repeated request makes one deployment."""

import asyncio

import pytest

from app import errors
from app.deployment.model import State
from app.store import DeploymentFilter, EventFilter, Store
from tests.conftest import Clock
from tests.store.builders import WAY, advanced, deployment, event, key

DAY = 86400


async def _count(store: Store) -> int:
    return len((await store.deployments(DeploymentFilter(), page_size=99, cursor=None)).data)


async def test_the_same_request_again_returns_the_first_deployment(either: Store) -> None:
    first, second = deployment(1), deployment(2)
    await either.accept(first, event(first), key())

    assert await either.accept(second, event(second), key()) == first

    assert await _count(either) == 1
    assert len((await either.events(EventFilter(), page_size=9, cursor=None)).data) == 1


async def test_the_first_deployment_is_returned_in_its_newest_state(store: Store) -> None:
    first, second = deployment(1), deployment(2)
    await store.accept(first, event(first), key())
    ended = await advanced(store, first, *WAY)

    assert await store.accept(second, event(second), key()) == ended


async def test_the_same_key_with_another_request_is_refused(store: Store) -> None:
    first, second = deployment(1), deployment(2)
    await store.accept(first, event(first), key())

    with pytest.raises(errors.IdempotencyKeyReused):
        await store.accept(second, event(second), key(fingerprint="f2"))

    assert await _count(store) == 1


async def test_callers_do_not_share_their_keys(store: Store) -> None:
    first, second = deployment(1), deployment(2)
    await store.accept(first, event(first), key())

    assert await store.accept(second, event(second), key(caller="other")) == second


async def test_two_equal_requests_at_once_give_one_deployment(either: Store) -> None:
    made = [deployment(number) for number in range(20)]

    answers = await asyncio.gather(*(either.accept(each, event(each), key()) for each in made))

    assert {answer.id for answer in answers} == {made[0].id}
    assert await _count(either) == 1


async def test_a_key_in_use_by_another_request_harms_no_neighbour(store: Store) -> None:
    made = [deployment(number) for number in range(3)]
    keys = [key(), key(fingerprint="f2"), key("other")]

    answers = await asyncio.gather(
        *(store.accept(each, event(each), its) for each, its in zip(made, keys, strict=True)),
        return_exceptions=True,
    )

    assert answers[0] == made[0]
    assert isinstance(answers[1], errors.IdempotencyKeyReused)
    assert answers[2] == made[2]
    assert await _count(store) == 2


@pytest.mark.parametrize("fingerprint", ["f1", "f2"])
async def test_an_old_key_counts_as_unknown(store: Store, clock: Clock, fingerprint: str) -> None:
    first, second, third = map(deployment, (1, 2, 3))
    await store.accept(first, event(first), key())
    clock.move(7 * DAY)

    assert await store.accept(second, event(second), key(fingerprint=fingerprint)) == second
    assert await store.accept(third, event(third), key(fingerprint=fingerprint)) == second


async def test_a_key_is_remembered_until_its_days_are_over(store: Store, clock: Clock) -> None:
    first, second = deployment(1), deployment(2)
    await store.accept(first, event(first), key())
    clock.move(7 * DAY - 1)

    assert await store.accept(second, event(second), key()) == first


async def test_an_interrupted_deployment_is_tried_again_under_its_key(store: Store) -> None:
    first, second, third = map(deployment, (1, 2, 3))
    await store.accept(first, event(first), key())
    await advanced(store, first, State.INTERRUPTED)

    again = await store.accept(second, event(second), key())

    assert (again.id, again.attempt, again.previous_attempt) == (second.id, 2, first.id)
    assert await store.get(second.id) == again
    assert (await store.get(first.id)).state is State.INTERRUPTED
    assert await store.accept(third, event(third), key()) == again


async def test_attempts_are_counted_through_every_interruption(store: Store) -> None:
    made = []
    for number in range(3):
        fresh = deployment(number)
        made.append(await store.accept(fresh, event(fresh), key()))
        await advanced(store, made[-1], State.INTERRUPTED)

    assert [each.attempt for each in made] == [1, 2, 3]
    assert made[2].previous_attempt == made[1].id


async def test_a_request_without_a_key_is_always_new(store: Store) -> None:
    for number in range(2):
        made = deployment(number)
        assert await store.accept(made, event(made)) == made
