"""The gate of every operation under /api/v1: it knows its caller before it reads a body."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from app import logs
from app.api.rooms import Rooms, rooms_of
from app.audit import ANONYMOUS, Action, Actor, Event
from app.errors import Unauthenticated


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request whose caller is known, and the rooms to answer it with."""

    request: Request
    rooms: Rooms
    actor: Actor

    @property
    def request_id(self) -> str:
        """The caller's id of the request, or ours."""
        found: str = self.request.state.request_id
        return found

    @property
    def trace_id(self) -> str | None:
        """The id of the trace that the request is a part of."""
        found: str | None = self.request.state.trace_id
        return found

    async def note(self, action: Action, resource: tuple[str, str], **details: object) -> None:
        """Put into the audit trail what was done to *resource* (its type and id)."""
        event = Event(
            id=self.rooms.new_id("evt"),
            timestamp=self.rooms.now(),
            actor=self.actor,
            action=action,
            resource_type=resource[0],
            resource_id=resource[1],
            details={key: value for key, value in details.items() if value is not None},
            request_id=self.request_id,
            trace_id=self.trace_id,
        )
        await self.rooms.store.note(event)
        logs.told(event)


async def _call(request: Request) -> Call:
    """The call; a refusal is put into the audit trail, with the operation and no token."""
    rooms = rooms_of(request)
    try:
        actor = rooms.access.caller(request.headers.get("authorization"))
    except Unauthenticated:
        operation = f"{request.method} {request.scope['route'].path}"
        nobody = Call(request=request, rooms=rooms, actor=ANONYMOUS)
        client = request.client.host if request.client else None
        await nobody.note(Action.ACCESS_DENIED, ("operation", operation), client=client)
        raise
    return Call(request=request, rooms=rooms, actor=actor)


Called = Annotated[Call, Depends(_call)]
