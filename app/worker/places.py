"""The places of what waits: as many as the limit, by all replicas together.

What this replica takes counts at once, also while it is being recorded, so that no burst goes past
the limit. What the others took is counted now and then, and more often the fewer places are left.
"""

from collections.abc import Callable
from typing import Final

from app import errors
from app.worker.jobs import Jobs

_COUNT_AGAIN_S: Final = 1.0  # of an empty queue: most deployments cost no question
_COUNT_FULL_AGAIN_S: Final = 0.1


class Places:
    """The places, as one replica knows them.

    Args:
        jobs: the queue.
        limit: how many may wait.
        told: told how many wait whenever that is another number.
        clock: seconds, of which only differences count.
    """

    def __init__(
        self, jobs: Jobs, limit: int, told: Callable[[int], None], clock: Callable[[], float]
    ) -> None:
        self._jobs = jobs
        self._limit = limit
        self._told = told
        self._clock = clock
        self._kept: set[str] = set()
        self._accepted = 0
        self._counted_at = 0.0
        self._counting = 0
        self._taken = 0

    @property
    def taken(self) -> int:
        """How many wait, as it was counted last."""
        return self._taken

    async def keep(self, id: str) -> None:  # noqa: A002 - the field's name
        """Keep a place for a deployment until it is given back.

        Raises:
            QueueFull: there is none.
            StoreUnavailable: they could not be counted.
        """
        if not self._counting and self._clock() >= self._counted_at + self._patience():
            await self.count()
        if self._left() <= 0:
            raise errors.QueueFull
        self._kept.add(id)  # nothing is awaited after the look, or a burst would pass there

    def give_back(self, id: str) -> None:  # noqa: A002 - the field's name
        """Keep no place for a deployment any longer, whatever became of it."""
        self._kept.discard(id)

    def took(self) -> None:
        """One of this replica's was recorded, and waits."""
        self._accepted += 1
        self._tell(self._taken + 1)

    async def count(self) -> int:
        """Count what waits. What is just being recorded here is left out, as it counts already.

        What is recorded while it is counted may count twice until the next time: rather too few
        places than too many.

        Returns how many wait.

        Raises:
            StoreUnavailable: it could not be counted.
        """
        self._counted_at, accepted = self._clock(), self._accepted
        self._counting += 1  # a slow queue is not asked again and again meanwhile
        try:
            found = await self._jobs.waiting(but=self._kept)
        finally:
            self._counting -= 1
        self._tell(found + self._accepted - accepted)
        return self._taken

    def _patience(self) -> float:
        """Seconds until the others are counted anew."""
        return max(_COUNT_FULL_AGAIN_S, _COUNT_AGAIN_S * self._left() / self._limit)

    def _left(self) -> int:
        return self._limit - self._taken - len(self._kept)

    def _tell(self, waiting: int) -> None:
        self._taken = waiting
        self._told(waiting)
