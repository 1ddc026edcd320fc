"""The gate of every operation under /api/v1: it knows its caller before it reads a body."""

from typing import Annotated

from fastapi import Depends, Request

from app.api.rooms import Here, note
from app.audit import ANONYMOUS, Action, Actor
from app.errors import Unauthenticated


async def _caller(request: Request, rooms: Here) -> Actor:
    """Who calls; a refusal is put into the audit trail, with the operation and no token."""
    try:
        return rooms.access.caller(request.headers.get("authorization"))
    except Unauthenticated:
        operation = f"{request.method} {request.scope['route'].path}"
        await note(
            request,
            rooms,
            actor=ANONYMOUS,
            action=Action.ACCESS_DENIED,
            resource=("operation", operation),
        )
        raise


Caller = Annotated[Actor, Depends(_caller)]
