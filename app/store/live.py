"""The newest state of what is under way, and who waits for it.

Fed by the commits of this process, on the event loop, so that nobody has to poll the file.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from app import errors
from app.deployment.model import Deployment


class Watch:
    """One waiter's view of one deployment."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._newest: Deployment | None = None

    def tell(self, deployment: Deployment | None) -> None:
        """Wake the waiter with what was committed, or with `None` when the store closes."""
        self._newest = deployment
        self._changed.set()

    async def next(self) -> Deployment:
        """The deployment as committed since the last call; waits for that where need be.

        Raises:
            StoreUnavailable: the store was closed.
        """
        await self._changed.wait()
        self._changed.clear()
        if self._newest is None:
            raise errors.StoreUnavailable
        return self._newest


class Live:
    """What this process has written of each deployment that is not final yet."""

    def __init__(self) -> None:
        self._newest: dict[str, Deployment] = {}
        self._watches: dict[str, set[Watch]] = {}

    def get(self, id: str) -> Deployment | None:  # noqa: A002 - the field's name
        """The newest state committed, if it is known here."""
        return self._newest.get(id)

    def tell(self, deployment: Deployment) -> None:
        """*deployment* was committed."""
        if deployment.final:
            self._newest.pop(deployment.id, None)
        else:
            self._newest[deployment.id] = deployment
        for watch in self._watches.get(deployment.id, ()):
            watch.tell(deployment)

    def close(self) -> None:
        """Wake everyone: nothing is committed any more."""
        self._newest.clear()
        for watches in self._watches.values():
            for watch in watches:
                watch.tell(None)

    @contextmanager
    def watching(self, id: str) -> Iterator[Watch]:  # noqa: A002 - the field's name
        """A watch on one deployment. Begin it before reading, so that no change is missed."""
        watch = Watch()
        watches = self._watches.setdefault(id, set())
        watches.add(watch)
        try:
            yield watch
        finally:
            watches.discard(watch)
            if not watches and self._watches.get(id) is watches:
                del self._watches[id]
