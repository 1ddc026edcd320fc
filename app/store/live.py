"""The newest state of what is under way, and who waits for it.

Fed by the commits of this process, on the event loop, so that nobody has to poll. Where other
processes write too, theirs are heard of (`stir`) but not known, and have to be read.
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
        self._closed = False

    def tell(self, deployment: Deployment | None) -> None:
        """Wake the waiter with what was committed, or with `None` where it has to be read."""
        self._newest = deployment
        self._changed.set()

    def close(self) -> None:
        """Wake the waiter for the last time."""
        self._closed = True
        self._changed.set()

    async def next(self) -> Deployment | None:
        """The deployment as committed since the last call; waits for that where need be.

        `None` says that it has changed, and has to be read.

        Raises:
            StoreUnavailable: the store was closed.
        """
        await self._changed.wait()
        self._changed.clear()
        if self._closed:
            raise errors.StoreUnavailable
        return self._newest


class Live:
    """What this process has written of each deployment that is not final yet.

    Args:
        alone: whether no other process writes, so that what was written here is the newest.
    """

    def __init__(self, *, alone: bool) -> None:
        self._alone = alone
        self._newest: dict[str, Deployment] = {}
        self._watches: dict[str, set[Watch]] = {}
        self.hurried = False

    def get(self, id: str) -> Deployment | None:  # noqa: A002 - the field's name
        """The newest state committed, if it is known here."""
        return self._newest.get(id)

    def tell(self, deployment: Deployment) -> None:
        """*deployment* was committed here."""
        if deployment.final:
            self._newest.pop(deployment.id, None)
        elif self._alone:
            self._newest[deployment.id] = deployment
        for watch in self._watches.get(deployment.id, ()):
            watch.tell(deployment)

    def stir(self, id: str) -> None:  # noqa: A002 - the field's name
        """A deployment was changed by another process."""
        for watch in self._watches.get(id, ()):
            watch.tell(None)

    def stir_all(self) -> None:
        """Any deployment may have been changed by another process."""
        for id in self._watches:  # noqa: A001 - the field's name
            self.stir(id)

    def hurry(self) -> None:
        """Wake everyone, to look once more and wait no longer."""
        self.hurried = True
        self.stir_all()

    def close(self) -> None:
        """Wake everyone: nothing is committed any more."""
        self._newest.clear()
        for watches in self._watches.values():
            for watch in watches:
                watch.close()

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
