"""The audit vocabulary: who did what to which deployment. Said here once, used everywhere.

The store writes an event in the same transaction as the change it tells of, so the trail
cannot miss one, and cannot tell of one that did not happen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Action(StrEnum):
    """What happened. The value is what reviewers search for, so it never changes."""

    ACCEPTED = "deployment.accepted"
    STARTED = "deployment.started"
    SNAPSHOT_TAKEN = "deployment.snapshot_taken"
    IMPORTED = "deployment.imported"
    VERIFIED = "deployment.verified"
    UNCHANGED = "deployment.unchanged"
    ROLLING_BACK = "deployment.rolling_back"
    ROLLED_BACK = "deployment.rolled_back"
    ROLLBACK_FAILED = "deployment.rollback_failed"
    SUPERSEDED = "deployment.superseded"
    FAILED = "deployment.failed"
    INTERRUPTED = "deployment.interrupted"
    CANCELLED = "deployment.cancelled"
    REPLAYED = "deployment.replayed"
    CONFIG_VALIDATED = "config.validated"
    PLANNED = "deployment.planned"
    VALIDATED = "deployment.validated"
    ACCESS_DENIED = "access.denied"


class Category(StrEnum):
    """The kind of event, as certctl's trail groups them."""

    DEPLOYMENT = "deployment"
    VALIDATION = "validation"
    ACCESS = "access"


def category(action: Action) -> Category:
    """The group an action belongs to."""
    match action:
        case Action.ACCESS_DENIED:
            return Category.ACCESS
        case Action.CONFIG_VALIDATED | Action.PLANNED | Action.VALIDATED:
            return Category.VALIDATION
        case _:
            return Category.DEPLOYMENT


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who asked: a caller's name and its kind (`token`, `anonymous`, `system`)."""

    name: str
    kind: str


SYSTEM = Actor(name="certctl-connectors", kind="system")
ANONYMOUS = Actor(name="anonymous", kind="anonymous")


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of the trail, in certctl's shape.

    `details` holds strings, numbers and booleans only, `certificate_name` (never `name`) where
    there is one, and never key material.
    """

    id: str
    timestamp: datetime
    actor: Actor
    action: Action
    resource_type: str
    resource_id: str
    details: Mapping[str, object] = field(default_factory=dict)
    request_id: str | None = None
    trace_id: str | None = None
