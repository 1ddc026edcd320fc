"""Deployments: the list, one of them, its steps as they happen, and cancelling while queued."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Header, Path, Query
from starlette.responses import Response, StreamingResponse

from app import errors
from app.api import answers, problems, wire
from app.api.callers import Called
from app.api.document import answered, refusals
from app.api.lists import DeploymentListing, EachOnce
from app.api.preferences import Prefer, accepts, wait_s
from app.store import Step

KEEP_ALIVE_S: Final = 15.0
_STREAM: Final = "text/event-stream"
_log = structlog.get_logger()

Id = Annotated[
    str,
    Path(
        max_length=128, description="As deploy answered it.", examples=["dep-0195a1b2c3d4e5f60718"]
    ),
]
LastEventId = Annotated[
    int | None,
    Header(
        alias="Last-Event-ID",
        ge=0,
        le=2**31,
        description="Only the steps after this one; a browser's EventSource sends it.",
        examples=[2],
    ),
]


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api/v1/deployments", tags=["deployments"])
    unknown = refusals(errors.DeploymentNotFound, errors.InvalidRequest)
    routes.add_api_route(
        "",
        _list,
        methods=["GET"],
        operation_id="listDeployments",
        summary="Deployments, newest first",
        description="Filtered and paged; unknown and repeated parameters are refused.",
        response_model=answers.DeploymentPage,
        responses={
            200: answered("Deployments", text="One page."),
            **refusals(errors.InvalidRequest),
        },
    )
    routes.add_api_route(
        "/{id}",
        _one,
        methods=["GET"],
        operation_id="getDeployment",
        summary="One deployment",
        description="Its newest state; with `Prefer: wait=N` the state in which it ended, or its "
        "newest after N seconds, or when the service stops.",
        response_model=answers.Deployment,
        responses={
            200: answered("Deployment", "Preference-Applied", text="The deployment."),
            **unknown,
        },
    )
    stepped = answered("Steps", text="The steps so far, or a stream of them.")
    stepped["content"][_STREAM] = {"schema": {"type": "string"}, "example": _EXAMPLE}
    routes.add_api_route(
        "/{id}/events",
        _events,
        methods=["GET"],
        operation_id="getDeploymentEvents",
        summary="The steps of a deployment",
        description=_EVENTS,
        response_model=answers.Steps,
        responses={200: stepped, **unknown},
    )
    routes.add_api_route(
        "/{id}/cancel",
        _cancel,
        methods=["POST"],
        operation_id="cancelDeployment",
        summary="Cancel a queued deployment",
        description="Only while it is queued; its key is dropped and nothing was changed.",
        response_model=answers.Deployment,
        responses={
            200: answered("Cancelled", text="Cancelled."),
            **unknown,
            **refusals(errors.NotCancellable),
        },
    )
    return routes


async def _list(
    call: Called,
    listing: Annotated[DeploymentListing, Query()],
    _: EachOnce = None,
) -> Response:
    page = await call.rooms.store.deployments(
        listing.wanted(), page_size=listing.page_size, cursor=listing.cursor
    )
    return wire.response(
        answers.DeploymentPage(
            data=tuple(map(wire.deployment, page.data)),
            next_cursor=page.next_cursor,
            page_size=listing.page_size,
        )
    )


async def _one(id: Id, call: Called, prefer: Prefer = None) -> Response:  # noqa: A002, ARG001 - the path's name; for the document
    wait = wait_s(call.request)
    if wait is None:
        return wire.response(wire.deployment(await call.rooms.store.get(id)))
    settled = await call.rooms.store.settled(id, within=wait)
    applied = {"Preference-Applied": f"wait={wait}"}
    return wire.response(wire.deployment(settled), headers=applied)


async def _cancel(id: Id, call: Called) -> Response:  # noqa: A002 - the path's name
    return wire.response(wire.deployment(await call.rooms.queue.cancel(id, call.actor)))


async def _events(id: Id, call: Called, last_event_id: LastEventId = None) -> Response:  # noqa: A002 - the path's name
    store, after = call.rooms.store, last_event_id or 0
    if not accepts(call.request, _STREAM):
        steps = await store.steps(id, after=after)
        return wire.response(answers.Steps(data=tuple(map(wire.step, steps))))
    await store.get(id)  # 404 while there is still a status to send
    return StreamingResponse(
        stream(store.follow(id, after=after)),
        media_type=_STREAM,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def stream(
    steps: AsyncIterator[Step], *, every: float = KEEP_ALIVE_S
) -> AsyncIterator[bytes]:
    """*steps* as server-sent events, to the last; a comment keeps the line alive in between.

    Where the record goes away, or cannot be read, it ends, as there is no status to send any more:
    whoever follows asks again by itself, from where it was.

    Args:
        steps: the steps as they happen.
        every: seconds of silence before a comment.
    """
    upcoming = asyncio.ensure_future(anext(steps, None))
    try:
        while True:
            done, _ = await asyncio.wait({upcoming}, timeout=every)
            if not done:
                yield b": keep-alive\n\n"
                continue
            try:
                step = upcoming.result()
            except (errors.StoreUnavailable, errors.InternalError) as gone:
                _log.warning("events.broken_off", code=gone.code, cause=problems.cause(gone))
                return
            if step is None:
                return
            yield _event(step)
            upcoming = asyncio.ensure_future(anext(steps, None))
    finally:
        upcoming.cancel()
        await asyncio.wait({upcoming})


def _event(step: Step) -> bytes:
    """https://html.spec.whatwg.org/multipage/server-sent-events.html."""
    data = wire.step(step).model_dump_json()
    return f"id: {step.seq}\nevent: {step.state.value}\ndata: {data}\n\n".encode()


_EVENTS: Final = """\
As JSON, or with `Accept: text/event-stream` as server-sent events, each step as it happens: `id` is
its number, `event` the state, `data` the step. The stream ends after the last step, or before it
when the service stops or its record is away, and is taken up again with `Last-Event-ID`.
"""
_EXAMPLE: Final = 'id: 1\nevent: queued\ndata: {"seq":1,"state":"queued"}\n\n'
