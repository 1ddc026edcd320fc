"""The places of what waits, as one replica knows them: exact of its own, and when others count."""

import asyncio
from collections.abc import Collection
from typing import cast

import pytest

from app import errors
from app.worker import Jobs
from app.worker.places import Places

LIMIT = 100


class Queue:
    """A queue in which so many wait, by others; `asked` is at which seconds that was counted."""

    def __init__(self) -> None:
        self.wait = 0
        self.seconds = 10.0
        self.asked: list[float] = []
        self.but: set[str] = set()

    async def waiting(self, *, but: Collection[str]) -> int:
        self.asked.append(round(self.seconds, 3))
        self.but = {*but}
        return self.wait


@pytest.fixture(name="queue")
def _queue() -> Queue:
    return Queue()


@pytest.fixture(name="told")
def _told() -> list[int]:
    return []


@pytest.fixture(name="places")
def _places(queue: Queue, told: list[int]) -> Places:
    return Places(cast(Jobs, queue), LIMIT, told.append, lambda: queue.seconds)


@pytest.mark.parametrize(
    ("wait", "asked"),
    [
        pytest.param(0, [10.0, 11.0], id="empty"),
        pytest.param(50, [10.0, 10.5, 11.0], id="half"),
        pytest.param(90, [10.0, 10.1, 10.2], id="nearly-full"),
    ],
)
async def test_the_fewer_places_are_left_the_more_often_the_others_are_counted(
    places: Places, queue: Queue, wait: int, asked: list[float]
) -> None:
    queue.wait = wait
    for name in range(1000):
        await places.keep(str(name))
        places.give_back(str(name))
        queue.seconds += 0.01

    assert queue.asked[: len(asked)] == pytest.approx(asked, abs=0.03)


async def test_a_place_is_kept_while_a_deployment_is_recorded(places: Places) -> None:
    for name in range(LIMIT):
        await places.keep(str(name))

    with pytest.raises(errors.QueueFull):
        await places.keep("one more")

    places.give_back("0")
    await places.keep("one more")


async def test_what_others_took_leaves_fewer_places(places: Places, queue: Queue) -> None:
    await places.keep("mine")
    queue.wait = LIMIT - 1
    queue.seconds += 1

    with pytest.raises(errors.QueueFull):
        await places.keep("one more")


async def test_a_queue_that_is_slow_to_answer_is_asked_by_one_at_a_time(
    places: Places, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, asked = asyncio.Event(), 0

    async def slow(**_: object) -> int:
        nonlocal asked
        asked += 1
        await answered.wait()
        return 0

    monkeypatch.setattr(queue, "waiting", slow)
    first = asyncio.create_task(places.keep("first"))
    await asyncio.sleep(0)
    for name in range(10):
        queue.seconds += 1
        await places.keep(str(name))

    assert asked == 1
    answered.set()
    await first


async def test_what_is_just_being_recorded_is_not_counted_twice(
    places: Places, queue: Queue, told: list[int]
) -> None:
    await places.keep("mine")
    await places.count()
    assert queue.but == {"mine"}

    places.give_back("mine")
    places.took()

    assert told[-1] == 1


async def test_what_was_recorded_while_others_were_counted_counts_too(
    places: Places, queue: Queue, told: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def meanwhile(**_: object) -> int:
        places.give_back("mine")
        places.took()
        return 7

    await places.keep("mine")
    monkeypatch.setattr(queue, "waiting", meanwhile)

    await places.count()

    assert told[-1] == 8
