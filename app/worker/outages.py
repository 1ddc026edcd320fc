"""Waits for what is away to come back, however long that takes, and tells of each outage once.

Everything that runs waits for the same thing then, again and again: a line for each would bury what
else there is to read.
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import chain, repeat
from typing import Final, TypeVar

import structlog

from app import errors

T = TypeVar("T")
_AGAIN_S: Final = (0.1, 0.5, 2.0, 10.0)


class Outages:
    """What is away just now, of all that one process needs."""

    def __init__(self) -> None:
        self._away: set[str] = set()

    async def sit_out(
        self,
        ask: Callable[[], Awaitable[T]],
        away: type[errors.RequestRefused] = errors.StoreUnavailable,
    ) -> T:
        """What *ask* answers once nothing it needs is *away* any more."""
        waited = False
        for wait in chain(_AGAIN_S, repeat(_AGAIN_S[-1])):
            try:
                answer = await ask()
            except away as fault:
                self._began(fault)
                waited = True
            else:
                if waited:
                    self._ended(away)
                return answer
            await asyncio.sleep(wait)
        raise AssertionError

    def _began(self, fault: errors.RequestRefused) -> None:
        if fault.code not in self._away:
            self._away.add(fault.code)
            structlog.get_logger().warning("worker.waits", code=fault.code, reason=reason(fault))

    def _ended(self, away: type[errors.RequestRefused]) -> None:
        if away.code in self._away:
            self._away.remove(away.code)
            structlog.get_logger().info("worker.goes_on", code=away.code)


def reason(fault: BaseException) -> str:
    """The kinds of what *fault* came of, one below the other: no texts, which may hold anything."""
    below = fault.__cause__
    kinds = list[str]()
    while below is not None and not isinstance(below, asyncio.CancelledError):  # a timeout's way
        kinds.append(type(below).__name__)
        below = below.__cause__
    return " < ".join(kinds)
