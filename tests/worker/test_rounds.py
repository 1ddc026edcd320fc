"""The rounds of a replica: when it judges that another one is dead, and what it says of them."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest
import structlog

from app import errors
from app.worker import Beats, Jobs, Runner
from app.worker.rounds import Rounds

BEATS = Beats(heartbeat_s=0.001, takeover_s=1000)
AWAY = None


class Leap(float):
    """So many seconds by PostgreSQL's clock, of which no other clock knows."""


class Queue:
    """A queue that answers after so many seconds, or is away.

    `taken` is at which beats it was taken over, `lives` how many workers there are at each.
    """

    def __init__(self, *answers_after: float | None, lives: Sequence[int] = ()) -> None:
        self._waits = list(answers_after)
        self._beats = 0
        self._theirs = 1e9
        self._lives = list(lives)
        self.seconds = 0.0
        self.live = self._found = 1
        self.taken: list[int] = []
        self.over = asyncio.Event()

    async def beat(self, **_: Any) -> float:  # noqa: ANN401 - as Jobs has it
        self._beats += 1
        wait = self._waits.pop(0)
        if wait is AWAY:
            raise errors.StoreUnavailable
        self._found = self._lives.pop(0) if self._lives else 1
        self._theirs += wait
        self.seconds += 0 if isinstance(wait, Leap) else wait
        return self._theirs

    def let_go(self) -> None:
        self.live = self._found

    async def waiting(self) -> int:
        if not self._waits:
            self.over.set()
            await asyncio.Event().wait()
        return 3

    async def take_over(self, **_: Any) -> int:  # noqa: ANN401 - as Jobs has it
        self.taken.append(self._beats)
        return 0


@pytest.mark.parametrize(
    ("answers_after", "taken_at"),
    [
        pytest.param((1, 1, 800, 1, 1), [1, 2, 4], id="silent-itself"),
        pytest.param((1, AWAY, 1, 1, 1), [1, 4], id="cut-off"),
        pytest.param((1, 1, Leap(3600), 1, 1), [1, 2, 4], id="postgresql-s-clock-leapt"),
        pytest.param((1, 1, Leap(-3600), 1, 1), [1, 2, 4], id="and-back"),
    ],
)
async def test_whoever_was_silent_itself_takes_nothing_over_before_its_next_beat(
    answers_after: tuple[float | None, ...], taken_at: list[int]
) -> None:
    queue = Queue(*answers_after)

    await gone_round(queue)

    assert queue.taken == taken_at


async def test_where_nobody_works_that_is_said_once_and_also_that_somebody_does() -> None:
    queue = Queue(1, 1, 1, 1, 1, lives=[1, 0, 0, 1])

    with structlog.testing.capture_logs() as lines:
        await gone_round(queue)

    none, some = lines
    assert (none["event"], none["log_level"]) == ("worker.nobody_works", "warning")
    assert none["waiting"] == 3
    assert "app work" in none["consequence"]
    assert some["event"] == "worker.somebody_works"


async def test_workers_that_only_look_silent_are_not_missed_after_an_outage() -> None:
    queue = Queue(1, AWAY, 1, 1, lives=[2, 0, 2])

    with structlog.testing.capture_logs() as lines:
        await gone_round(queue)

    assert [line["event"] for line in lines] == ["worker.queue_away", "worker.queue_back"]
    assert queue.live == 2


async def gone_round(queue: Queue) -> None:
    """What the rounds do as often as *queue* has an answer."""
    rounds = Rounds(
        cast(Runner, None),
        cast(Jobs, queue),
        BEATS,
        count=queue.waiting,
        released=lambda: None,
        clock=lambda: queue.seconds,
    )

    going = [asyncio.create_task(one) for one in (rounds.beat(), rounds.look_after())]
    await queue.over.wait()
    for task in going:
        task.cancel()
    await asyncio.gather(*going, return_exceptions=True)
