"""Rows and JSON ↔ deployments, events and steps.

Written by orjson from the dataclasses (bytes and bundles are refused, so no key can slip in),
read by pydantic, which checks what it reads.
"""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
import structlog
from pydantic import TypeAdapter, ValidationError

from app import errors
from app.audit import Action, Actor, Event, category
from app.deployment.model import Deployment, State

Row = tuple[Any, ...]

_DEPLOYMENT = TypeAdapter(Deployment)
_UNREADABLE: Final = (
    "The record of a deployment cannot be read: it is damaged, or a newer version wrote it, as may "
    "be during an upgrade. The log names it (`store.unreadable_record`)."
)
_NUL: Final = "\\u0000"
_ESCAPE: Final = re.compile(r"\\(?:u0000|.)")  # whole escapes, since `\\u0000` holds no NUL


@dataclass(frozen=True, kw_only=True)
class IdempotencyKey:
    """A caller's Idempotency-Key, with the fingerprint (`Store.fingerprint`) of its request."""

    caller: str
    key: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a deployment: the state it reached. `seq` counts from 1 in each deployment."""

    seq: int
    at: datetime
    state: State
    action: Action
    details: Mapping[str, object]


def stamp(at: datetime) -> str:
    """A time as it is stored: UTC, microseconds, of one width."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def document(value: object) -> str:
    """*value* as JSON; a key (bytes, a bundle) is a TypeError, never a document.

    A NUL is written as U+FFFD, since PostgreSQL cannot read one out of a document.
    """
    text = orjson.dumps(value, default=_plain).decode()
    return _ESCAPE.sub(_without_nul, text) if _NUL in text else text


def deployment(text: str) -> Deployment:
    """The deployment that `document` wrote.

    Raises:
        InternalError: it cannot be read, which is logged with its id.
    """
    try:
        return _DEPLOYMENT.validate_json(text)
    except ValidationError as fault:
        raise _unreadable(_id(text)) from fault


def new_row(deployment: Deployment) -> Row:
    """The values of `INSERT_DEPLOYMENT`."""
    return (
        deployment.id,
        deployment.target.type,
        deployment.target.address,
        deployment.state.value,
        int(deployment.final),
        deployment.certificate_id,
        stamp(deployment.created_at),
        document(deployment.target.config),
        document(deployment),
    )


def changed_row(deployment: Deployment, by: str | State | None, event_row: Row) -> Row:
    """The values of an update *by* a runner or in a state, but not twice for one *event_row*."""
    state, record = deployment.state.value, document(deployment)
    only = by.value if isinstance(by, State) else by
    return (state, int(deployment.final), record, deployment.id, only, *told(event_row))


def told(event_row: Row) -> Row:
    """By what an event is known again: its id, what it is about, and what was done."""
    return (event_row[0], event_row[6], event_row[4])


def step_row(deployment: Deployment, event_row: Row) -> Row:
    """The values of `INSERT_STEP`: the deployment's state, as *event_row* tells of it."""
    at, action, details = event_row[1], event_row[4], event_row[8]
    return (deployment.id, deployment.id, at, deployment.state.value, action, details)


def event_row(event: Event) -> Row:
    """The values of `INSERT_EVENT`."""
    return (
        event.id,
        stamp(event.timestamp),
        event.actor.name,
        event.actor.kind,
        event.action.value,
        event.resource_type,
        event.resource_id,
        category(event.action).value,
        document(event.details),
        event.request_id,
        event.trace_id,
    )


def event(row: Row) -> Event:
    """The event of a row of `EVENTS`.

    Raises:
        InternalError: as `deployment`.
    """
    try:
        return Event(
            id=row[0],
            timestamp=datetime.fromisoformat(row[1]),
            actor=Actor(name=row[2], kind=row[3]),
            action=Action(row[4]),
            resource_type=row[5],
            resource_id=row[6],
            details=orjson.loads(row[7]),
            request_id=row[8],
            trace_id=row[9],
        )
    except ValueError as fault:
        raise _unreadable(row[6]) from fault


def step(row: Row, of: str) -> Step:
    """The step *of* a deployment, of a row of `STEPS`.

    Raises:
        InternalError: as `deployment`.
    """
    try:
        return Step(
            seq=row[1],
            at=datetime.fromisoformat(row[2]),
            state=State(row[3]),
            action=Action(row[4]),
            details=orjson.loads(row[5]),
        )
    except ValueError as fault:
        raise _unreadable(of) from fault


def _unreadable(id: str | None) -> errors.InternalError:  # noqa: A002 - the field's name
    structlog.get_logger().error("store.unreadable_record", deployment_id=id)
    return errors.InternalError(_UNREADABLE)


def _id(text: str) -> str | None:
    """The id in a record that is JSON at least."""
    with contextlib.suppress(ValueError, LookupError, TypeError):
        return str(orjson.loads(text)["id"])
    return None


def _without_nul(escape: re.Match[str]) -> str:
    return "\ufffd" if escape[0] == _NUL else escape[0]


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} is never stored")
