"""The audit trail: a page of it, or all that is wanted as NDJSON."""

from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.responses import Response, StreamingResponse

from app import errors
from app.api import answers, lists, wire
from app.api.callers import Called
from app.api.document import answered, refusals
from app.api.lists import EachOnce, EventListing
from app.api.preferences import accepts
from app.api.rooms import Rooms
from app.audit import Event
from app.store import Page

_LINES: Final = "application/x-ndjson"


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api/v1/audit", tags=["audit"])
    listed = answered("Events", text="One page; as NDJSON everything that is wanted.")
    listed["content"][_LINES] = {"schema": {"type": "string"}, "example": '{"id":"evt-0195"}\n'}
    routes.add_api_route(
        "/events",
        _list,
        methods=["GET"],
        operation_id="listAuditEvents",
        summary="The audit trail, newest first",
        description="Filtered and paged; unknown and repeated parameters are refused. With "
        "`Accept: application/x-ndjson` one event a line, from the cursor to the end.",
        response_model=answers.EventPage,
        responses={200: listed, **refusals(errors.InvalidRequest)},
    )
    return routes


async def _list(
    call: Called,
    listing: Annotated[EventListing, Query()],
    _: EachOnce = None,
) -> Response:
    page = await _page(call.rooms, listing, listing.cursor)
    if accepts(call.request, _LINES):
        return StreamingResponse(_lines(call.rooms, listing, page), media_type=_LINES)
    return wire.response(
        answers.EventPage(
            data=tuple(map(wire.event, page.data)),
            next_cursor=page.next_cursor,
            page_size=listing.page_size,
        )
    )


async def _lines(rooms: Rooms, listing: EventListing, first: Page[Event]) -> AsyncIterator[bytes]:
    async for event in lists.rest(first, lambda cursor: _page(rooms, listing, cursor)):
        yield wire.event(event).model_dump_json().encode() + b"\n"


async def _page(rooms: Rooms, listing: EventListing, cursor: str | None) -> Page[Event]:
    return await rooms.store.events(listing.wanted(), page_size=listing.page_size, cursor=cursor)
