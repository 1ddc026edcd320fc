"""Lists: what is wanted, one page of it, and where the next page begins.

A cursor names the last id of a page, and ids sort by time; so what arrives meanwhile stands
before the first page and shifts nothing.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Generic, TypeVar

from app import errors
from app.audit import Action, Event
from app.deployment.model import Deployment, State
from app.store import queries, records
from app.store.connection import Readable

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class DeploymentFilter:
    """Which deployments are wanted; `None` is any, both times are exclusive."""

    target_type: str | None = None
    state: State | None = None
    certificate_id: str | None = None
    vault_url: str | None = None
    certificate_name: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class EventFilter:
    """Which audit events are wanted; `None` is any, both times are exclusive."""

    action: Action | None = None
    actor: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    target_type: str | None = None
    state: State | None = None
    certificate_id: str | None = None
    vault_url: str | None = None
    certificate_name: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Page(Generic[T]):
    """One page of a list, newest first. `next_cursor` is `None` on the last."""

    data: tuple[T, ...]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class _List(Generic[T]):
    """A list that can be paged: its name in cursors, its SQL, and how a row is read."""

    name: str
    select: str
    conditions: Mapping[str, str]
    read: Callable[[records.Row], T]


_DEPLOYMENTS = _List(
    name="deployments",
    select=queries.DEPLOYMENTS,
    conditions=queries.DEPLOYMENT_CONDITIONS,
    read=lambda row: records.deployment(row[1]),
)
_EVENTS = _List(
    name="events",
    select=queries.EVENTS,
    conditions=queries.EVENT_CONDITIONS,
    read=records.event,
)


def deployments(
    wanted: DeploymentFilter, *, page_size: int, cursor: str | None
) -> Callable[[Readable], Page[Deployment]]:
    """The read of one page of deployments.

    Raises:
        InvalidRequest: the cursor is not one of this list.
    """
    return _page(_DEPLOYMENTS, wanted, page_size, cursor)


def events(
    wanted: EventFilter, *, page_size: int, cursor: str | None
) -> Callable[[Readable], Page[Event]]:
    """The read of one page of audit events; raises as `deployments` does."""
    return _page(_EVENTS, wanted, page_size, cursor)


def _page(
    listed: _List[T], wanted: DeploymentFilter | EventFilter, size: int, cursor: str | None
) -> Callable[[Readable], Page[T]]:
    values = {field.name: getattr(wanted, field.name) for field in fields(wanted)}
    given = {name: value for name, value in values.items() if value is not None}
    conditions = [listed.conditions[name] for name in given]
    bound: list[str | int] = [_bound(value) for value in given.values()]
    if cursor is not None:
        conditions.append(queries.BEFORE_CURSOR)
        bound.append(_opened(listed.name, cursor))
    sql = queries.newest_first(listed.select, conditions)

    def read(connection: Readable) -> Page[T]:
        rows = connection.execute(sql, (*bound, size + 1)).fetchall()  # one more: is there a next?
        more = _sealed(listed.name, rows[size - 1][0]) if len(rows) > size else None
        return Page(data=tuple(map(listed.read, rows[:size])), next_cursor=more)

    return read


def _bound(value: str | datetime) -> str:
    return records.stamp(value) if isinstance(value, datetime) else value


def _sealed(name: str, last: str) -> str:
    return base64.urlsafe_b64encode(f"{name}:{last}".encode()).decode().rstrip("=")


def _opened(name: str, cursor: str) -> str:
    padded = cursor + "=" * (-len(cursor) % 4)
    try:
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as fault:
        raise _foreign() from fault
    kind, _, last = text.partition(":")
    if kind != name or not last:
        raise _foreign()
    return last


def _foreign() -> errors.InvalidRequest:
    message = "This cursor is not one of this list; send `next_cursor` as it was answered."
    return errors.InvalidRequest(
        (errors.Fault(field="cursor", code="cursor-invalid", message=message),)
    )
