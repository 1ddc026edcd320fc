"""Probes, metrics, version, and the documentation of all of it."""

import platform
from typing import Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles

from app import errors
from app.api import answers, problems, wire
from app.api.callers import Called
from app.api.document import answered, refusals
from app.api.rooms import Rooms, rooms_of


def router(*, metrics_here: bool) -> APIRouter:
    """The routes; /metrics only where it is served here, and not on a port of its own."""
    routes = probes(metrics_here=metrics_here)
    routes.add_api_route(
        "/api/v1/version",
        _version,
        methods=["GET"],
        operation_id="version",
        summary="What runs here",
        description="Name, version, build, Python, and the kinds of targets.",
        response_model=answers.Version,
        responses={200: answered("Version", text="This.")},
    )
    return routes


def probes(*, metrics_here: bool) -> APIRouter:
    """The routes for whoever keeps the process running, who needs no token."""
    routes = APIRouter(tags=["system"])
    routes.add_api_route(
        "/health",
        _health,
        methods=["GET"],
        operation_id="health",
        summary="Is the process alive?",
        description="Touches nothing else, so that a failing store does not restart the process.",
        response_model=answers.Health,
        responses={200: answered("Health", text="It is.")},
    )
    routes.add_api_route(
        "/ready",
        _ready,
        methods=["GET"],
        operation_id="ready",
        summary="Can it take work?",
        description="The store can be written, the workers run, and the service is not stopping.",
        response_model=answers.Ready,
        responses={
            200: answered("Ready", text="It can."),
            **refusals(errors.StoreUnavailable, errors.Draining),
        },
    )
    if metrics_here:
        routes.add_api_route(
            "/metrics",
            _metrics,
            methods=["GET"],
            operation_id="metrics",
            summary="The metrics",
            description="In Prometheus' text format.",
            response_class=_Exposition,
            responses={200: {"content": {CONTENT_TYPE_LATEST: {"example": _EXAMPLE}}}},
        )
    return routes


class _Exposition(Response):
    media_type = CONTENT_TYPE_LATEST


def document(app: FastAPI) -> None:
    """Serve the OpenAPI document and a page to read it."""

    async def openapi(_: Request) -> Response:
        return JSONResponse(app.openapi())

    async def docs(_: Request) -> Response:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="certctl-connectors",
            swagger_js_url="/docs/swagger-ui-bundle.js",
            swagger_css_url="/docs/swagger-ui.css",
            swagger_favicon_url="/docs/favicon.png",
        )

    # Its scripts come from here, not from the network: people paste keys into that page.
    app.mount("/docs/", StaticFiles(packages=[("fastapi_offline", "static")]))
    app.add_route("/openapi.json", openapi, include_in_schema=False)
    app.add_route("/docs", docs, include_in_schema=False)


async def _health() -> Response:
    return wire.response(answers.Health(status="ok"))


async def _ready(request: Request) -> Response:
    wrong = await _unready(rooms_of(request))
    if wrong:
        names = list(wrong)
        return problems.answer(request.scope, wrong[names[0]], extra={"checks": names})
    return wire.response(
        answers.Ready(status="ready", checks=dict.fromkeys(("store", "worker", "queue"), "ok"))
    )


async def _unready(rooms: Rooms) -> dict[str, errors.Trouble]:
    """What does not work, by name: a cause stands before what it causes, and is told first."""
    wrong: dict[str, errors.Trouble] = {}
    if rooms.queue.draining:
        wrong["queue"] = errors.Draining()
    try:
        await rooms.store.check()
    except errors.StoreUnavailable as unavailable:
        wrong["store"] = unavailable
    if not (rooms.queue.draining or rooms.queue.alive):
        text = "The workers, or the queue that they share, do not answer; see the log."
        wrong["worker"] = errors.Draining(text)
    return wrong


async def _version(call: Called) -> Response:
    return wire.response(
        answers.Version(
            name="certctl-connectors",
            version=call.rooms.version,
            build=call.rooms.build,
            python=platform.python_version(),
            connectors=tuple(call.rooms.kinds),
        )
    )


async def _metrics(request: Request) -> Response:
    return _Exposition(rooms_of(request).metrics.render())


_EXAMPLE: Final = 'certctl_build_info{build="0123abc",version="1.0.0"} 1.0\n'
