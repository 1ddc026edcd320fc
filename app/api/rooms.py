"""What the API works with: every room it may enter, handed over once by the wiring.

`Queue` and `Kind` are ports: the worker and the registry fit them without being known here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from fastapi import Request
from pydantic import BaseModel

from app.api.access import Access
from app.api.underway import UnderWay
from app.audit import Actor, Event
from app.deployment.connector import Connector, Held
from app.deployment.model import Deployment
from app.metrics import Metrics
from app.store import IdempotencyKey, Store

Clock = Callable[[], datetime]


class Queue(Protocol):
    """Where accepted deployments wait for the worker."""

    @property
    def draining(self) -> bool:
        """Whether the service is stopping and takes nothing new."""

    @property
    def alive(self) -> bool:
        """Whether the workers run, and the queue answers."""

    async def submit(
        self, deployment: Deployment, held: Held, event: Event, key: IdempotencyKey | None
    ) -> Deployment:
        """Record and queue *deployment*; the id returned is another one where it is a replay.

        Raises:
            QueueFull: too many wait.
            Draining: the service is stopping.
            SealingUnavailable: its key cannot be sealed, where the queue is in a database.
            IdempotencyKeyReused: the key was used for another request.
        """

    async def cancel(self, id: str, actor: Actor) -> Deployment:  # noqa: A002 - the field's name
        """End a deployment that is still queued.

        Raises:
            DeploymentNotFound: there is none of this id.
            NotCancellable: it has started, or is final.
        """


class Kind(Protocol):
    """A kind of target, as the registry has it."""

    @property
    def config(self) -> type[BaseModel]:
        """The typed target configuration."""

    @property
    def type(self) -> str:
        """Such as `AzureKeyVault`; a part of the paths."""

    @property
    def title(self) -> str:
        """Its name for people."""

    @property
    def validate_only(self) -> bool:
        """Whether the target has a dry run."""


@dataclass(frozen=True, kw_only=True)
class Rooms:
    """Everything the API was given.

    Args:
        store: the record.
        queue: where accepted deployments wait.
        connectors: target type → connector.
        kinds: target type → what the registry says of it.
        access: who calls.
        metrics: what is counted.
        now: the clock.
        new_id: makes an id from its prefix.
        under_way: the requests that are not answered yet.
        version: of this service.
        build: the commit it was built from.
    """

    store: Store
    queue: Queue
    connectors: Mapping[str, Connector]
    kinds: Mapping[str, Kind]
    access: Access
    metrics: Metrics
    now: Clock
    new_id: Callable[[str], str]
    under_way: UnderWay
    version: str
    build: str


def rooms_of(request: Request) -> Rooms:
    """The rooms that the app was furnished with."""
    rooms: Rooms = request.app.state.rooms
    return rooms
