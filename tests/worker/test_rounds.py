"""The rounds of a replica: when it judges that another one is dead, and when it does not."""

import asyncio
from typing import Any, cast

import pytest

from app import errors
from app.worker import Beats, Jobs, Runner
from app.worker.rounds import Rounds

BEATS = Beats(heartbeat_s=0.001, takeover_s=1000)
AWAY = None


class Queue:
    """A queue that answers after so many seconds, or is away.

    `taken` is at which beats it was taken over.
    """

    def __init__(self, *answers_after: float | None) -> None:
        self._waits = list(answers_after)
        self._beats = 0
        self.seconds = 0.0
        self.taken: list[int] = []
        self.over = asyncio.Event()

    async def beat(self, **_: Any) -> None:  # noqa: ANN401 - as Jobs has it
        self._beats += 1
        wait = self._waits.pop(0)
        if wait is AWAY:
            raise errors.StoreUnavailable
        self.seconds += wait

    async def waiting(self) -> int:
        if not self._waits:
            self.over.set()
            await asyncio.Event().wait()
        return 0

    async def take_over(self, **_: Any) -> int:  # noqa: ANN401 - as Jobs has it
        self.taken.append(self._beats)
        return 0


@pytest.mark.parametrize(
    ("answers_after", "taken_at"),
    [
        pytest.param((1, 1, 800, 1, 1), [1, 2, 4], id="silent-itself"),
        pytest.param((1, AWAY, 1, 1, 1), [1, 4], id="cut-off"),
    ],
)
async def test_whoever_was_silent_itself_takes_nothing_over_before_its_next_beat(
    answers_after: tuple[float | None, ...], taken_at: list[int]
) -> None:
    queue = Queue(*answers_after)
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

    assert queue.taken == taken_at
