"""Who goes next, where calls wait for a budget: vaults take turns, and each keeps its own order.

A rollback goes before all imports, of other vaults too: the wrong certificate is served meanwhile.
A call needs a token of its vault's bucket and one of the subscription's, and takes both at the
moment it goes: one held while waiting for the other would go too late to be where it was counted.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from math import inf

from app.connectors.azure_key_vault.bucket import Bucket


class Line:
    """The calls of one kind to one vault.

    Args:
        turns: of the vault's subscription.
        bucket: what the vault admits.
        paused: the seconds for which nobody may go, given the time.
    """

    def __init__(self, turns: "Turns", bucket: Bucket, paused: Callable[[float], float]) -> None:
        self._ahead: deque[asyncio.Future[None]] = deque()
        self._behind: deque[asyncio.Future[None]] = deque()
        self.bucket = bucket
        self._turns = turns
        self._paused = paused

    @property
    def urgent(self) -> bool:
        """Whether somebody waits here who goes first."""
        return bool(self._ahead)

    async def take(self, told: Callable[[float], None], *, first: bool) -> float:
        """Let one call go when its turn comes; the seconds waited for that.

        Args:
            told: is told of these, also where the wait is given up; not where there was none.
            first: before all others but those that go first as well.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        if self._turns.at_once(self, began):
            return 0.0
        place: asyncio.Future[None] = loop.create_future()
        (self._ahead if first else self._behind).append(place)
        self._turns.join(self)
        if place.done():  # others wait, but for vaults of their own
            return 0.0
        try:
            await place  # if this is cancelled, the place is passed over
        finally:
            waited = loop.time() - began
            told(waited)
        return waited

    def wait(self, now: float) -> float:
        """Seconds until the vault admits one; 0 if it does now."""
        return max(self._paused(now), self.bucket.wait(now))

    def tidy(self) -> bool:
        """Pass over those who gave up; whether anybody still waits."""
        for places in (self._ahead, self._behind):
            while places and places[0].done():
                places.popleft()
        return bool(self._ahead or self._behind)

    def call(self) -> None:
        """Let the first one go that waits."""
        (self._ahead or self._behind).popleft().set_result(None)


class Turns:
    """The calls of one kind to all vaults of a subscription.

    Args:
        bucket: what the subscription admits.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._lines: OrderedDict[Line, None] = OrderedDict()
        self._timer: asyncio.Handle | None = None

    def at_once(self, line: Line, now: float) -> bool:
        """Take for a call of *line*, if nobody waits and it may go."""
        if self._lines or line.wait(now) or self._bucket.wait(now):
            return False
        self._take(line)
        return True

    def join(self, line: Line) -> None:
        """Somebody waits in *line*."""
        self._lines[line] = None
        self._serve()

    def _serve(self) -> None:
        """Let go who may, and come back when the next may."""
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        now, wait = loop.time(), 0.0
        while self._lines and not wait:
            wait = self._bucket.wait(now) or self._next(now)
        self._timer = loop.call_later(wait, self._serve) if self._lines else None

    def _next(self, now: float) -> float:
        """Let the first go that may, or say in how many seconds one may."""
        soonest = inf
        for line in [line for line in self._lines if not line.tidy()]:
            del self._lines[line]
        for line in sorted(self._lines, key=lambda line: not line.urgent):
            wait = line.wait(now)
            if not wait:
                self._take(line)
                line.call()
                self._lines.move_to_end(line)
                return 0.0
            soonest = min(soonest, wait)
        return soonest

    def _take(self, line: Line) -> None:
        line.bucket.take()
        self._bucket.take()
