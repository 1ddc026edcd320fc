"""A token bucket that keeps under so many calls in ten seconds, wherever the ten seconds begin.

Azure's documents give the sums per ten seconds but not the shape of the window, so none may hold
more: what a full bucket gives at once and what flows in meanwhile are, together, the limit.
"""

from collections.abc import Callable
from math import inf
from typing import Final

Share = Callable[[], float]

_WINDOW_S: Final = 10.0
# What is taken evenly does not arrive so: a call may be so much longer on its way than the one
# before it, and then a window of the vault's holds what was taken in so much more time.
_LATE_S: Final = 0.3
# Small, because the flow is the rest: 2 % at once and 95 % as a flow use what can be used.
_AT_ONCE: Final = 0.02
_WHOLE: Final = 1 - 1e-6  # of a token, as sums of fractions have it


class Bucket:
    """The calls of one kind that are still admitted. Pure: whoever asks says what time it is.

    Args:
        limit: calls in ten seconds, of all replicas together.
        share: our part of that, over 0 and 1 at the most; asked every time, as replicas come
            and go. So small a share that it is less than one call still lets one through now
            and then.
    """

    def __init__(self, limit: int, share: Share) -> None:
        self._limit = limit
        self._share = share
        self._tokens = inf  # full, however much that is
        self._at = 0.0

    def wait(self, now: float) -> float:
        """Seconds until a call may go; 0 if it may now."""
        limit = self._limit * self._share()
        full = max(1.0, limit * _AT_ONCE)
        flow = max(limit - full, limit / 2) / (_WINDOW_S + _LATE_S)
        self._tokens = min(full, self._tokens + (now - self._at) * flow)
        self._at = now
        return 0.0 if self._tokens >= _WHOLE else (1 - self._tokens) / flow

    def take(self) -> None:
        """Let a call go, right after `wait` said 0."""
        self._tokens -= 1
