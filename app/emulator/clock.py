"""The emulator's clock: real time plus an offset that tests move.

Everything the emulator dates or expires asks this clock, never the system's.
"""

import time
from collections.abc import Callable


class Clock:
    """Seconds since the epoch, movable."""

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self._offset = 0.0

    def now(self) -> float:
        """The time, in seconds since the epoch."""
        return self._source() + self._offset

    def advance(self, seconds: float) -> None:
        """Let this many seconds pass at once (negative: go back)."""
        self._offset += seconds

    def reset(self) -> None:
        """Show the source's time again."""
        self._offset = 0.0
