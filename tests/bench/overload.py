"""What the service answers when it is offered more than it can do: the queue has a limit."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from tests.bench import loops
from tests.bench.caller import Answer, Caller
from tests.bench.service import Service

QUEUE_LIMIT: Final = 100  # so that it is full within a second or two
_LOOK_S: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class Overload:
    """What came of it.

    Args:
        accepted: seconds until each 202.
        refused: how many 503s there were.
        with_retry_after: how many of them said when to come again.
        longest: the longest queue that was seen.
    """

    accepted: tuple[float, ...]
    refused: int
    with_retry_after: int
    longest: int

    @property
    def share(self) -> float:
        """Of all requests, those that were refused."""
        return self.refused / (self.refused + len(self.accepted))

    @property
    def told(self) -> float:
        """Of the 503s, those that said when to come again; all of them where there are none."""
        return self.with_retry_after / self.refused if self.refused else 1.0


async def overload(service: Service, bodies: Sequence[bytes], rate: float) -> Overload:
    """Offer *rate* of *bodies* a second, and wait for the ends of those that were accepted."""
    seen = [0]
    async with service.caller() as caller:
        watching = asyncio.create_task(_watch(caller, seen))
        _, found = await loops.paced(caller.offer, bodies, rate)
        await asyncio.gather(*map(caller.end, caller.accepted))
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    refused = [answer for answer, _ in found if answer.status == HTTPStatus.SERVICE_UNAVAILABLE]
    accepted = tuple(took for answer, took in found if _is_accepted(answer))
    if len(refused) + len(accepted) < len(found):
        raise OSError("There were other answers than 202 and 503.")
    later = sum(answer.retry_after for answer in refused)
    return Overload(
        accepted=accepted, refused=len(refused), with_retry_after=later, longest=max(seen)
    )


async def _watch(caller: Caller, seen: list[int]) -> None:
    while True:
        seen.append(await caller.waiting())
        await asyncio.sleep(_LOOK_S)


def _is_accepted(answer: Answer) -> bool:
    return answer.status == HTTPStatus.ACCEPTED
