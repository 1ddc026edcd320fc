"""The requests under way: when the service stops each is given a time, and then an answer.

Without this the server cancels what it no longer waits for, and a caller would read a bare 500 of
what was perhaps accepted.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import errors
from app.api import problems


class UnderWay:
    """Every request that is not answered to the end yet."""

    def __init__(self) -> None:
        self._limits: set[asyncio.Timeout] = set()
        self._awaited: set[asyncio.Timeout] = set()
        self._none_awaited = asyncio.Event()
        self._until: float | None = None

    @contextmanager
    def one(self) -> Iterator[asyncio.Timeout]:
        """The time limit of one request, which is none until the service stops."""
        limit = asyncio.timeout_at(self._until)
        self._limits.add(limit)
        try:
            yield limit
        finally:
            self._limits.discard(limit)
            self._awaited.discard(limit)
            if not self._awaited:
                self._none_awaited.set()

    async def finish(self, *, until: float) -> None:
        """Wait for what is under way now, and not for what comes later.

        Args:
            until: not longer than that, on the event loop's clock.
        """
        self._awaited = {*self._limits}
        if not self._awaited:
            return
        self._none_awaited.clear()
        try:
            async with asyncio.timeout_at(until):
                await self._none_awaited.wait()
        except TimeoutError:
            pass  # `end` gives them an answer

    def end(self, *, within: float) -> None:
        """Give what is under way, and what still comes, so many seconds."""
        self._until = asyncio.get_running_loop().time() + within
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(self._until)


class Limit:
    """Middleware that answers a request as `draining` where it cannot be answered in time."""

    def __init__(self, app: ASGIApp, *, under_way: UnderWay) -> None:
        self._app = app
        self._under_way = under_way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; anything but HTTP passes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = False

        async def told(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        with self._under_way.one() as limit:
            try:
                async with limit:
                    await self._app(scope, receive, told)
            except TimeoutError:
                if not limit.expired():
                    raise
                if not began:  # else the server closes the connection: it ends where it breaks off
                    await problems.answer(scope, errors.Draining())(scope, receive, send)
