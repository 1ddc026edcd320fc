"""How long the connector waits before it looks, reads or sends again.

Handed in when the connector is built; tests hand in zeros.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Seconds, one for each time more.

    Args:
        read: before a read without a useful answer is repeated.
        late: before a look for an import without an answer, which may still be on its way, is
            repeated; a request outlives its connection. In all less than half a minute, so that
            what a killed replica was sending has ended by then, too.
        down: before a read-back that could not be read is repeated.
        stale: before a look that shows what was there before is repeated. No formal promise of
            read-after-write was found in Azure's documents.
        unclear: after an import without a clear answer, before the look that decides on sending
            it again: it may still be on its way.
        throttled: after each 429 in a row, before anybody calls that vault again; Azure's
            advice, a 429 brings no Retry-After. An import is sent once more after each.
        chance: a number from 0 up to 1, anew each time, that makes such a wait longer.
        login: the unit of the SDK's growing waits for the login service.
    """

    read: tuple[float, ...] = (0.2, 0.8, 2.0)
    late: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 12.0)
    down: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 15.0)
    stale: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    unclear: tuple[float, ...] = (1.0, 2.0)
    throttled: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0)
    chance: Callable[[], float] = random.random
    login: float = 0.8

    def still_late(self, passed_s: float) -> tuple[float, ...]:
        """What is left of `late` when so many seconds have passed without a look."""
        left_s = sum(self.late) - passed_s
        waits = list[float]()
        for wait in self.late:
            if left_s < 0:
                break
            waits.append(min(wait, left_s))
            left_s -= wait
        return tuple(waits)
