"""HTTP in, problem+json out: the wiring hands over the rooms, and `install` furnishes the app."""

from collections.abc import Mapping
from functools import cache, partial
from typing import Any

from fastapi import FastAPI
from prometheus_fastapi_instrumentator import Instrumentator

from app.api import audit, connectors, deployments, document, problems, system
from app.api.middleware import Envelope
from app.api.rooms import Kind, Rooms
from app.api.underway import Limit

__all__ = ["Rooms", "described", "install", "install_probes"]


def install(app: FastAPI, rooms: Rooms, *, metrics_here: bool, docs: bool) -> None:
    """Put the API into *app*, which should be new.

    Args:
        app: FastAPI's own pages go; the document is served here, or nowhere.
        rooms: what the API works with.
        metrics_here: whether /metrics is one of the paths.
        docs: whether /docs and /openapi.json are.
    """
    _route(_furnished(app, rooms), rooms.kinds, metrics_here=metrics_here)
    if docs:
        system.document(app)
    Instrumentator(
        should_group_status_codes=False,
        should_exclude_streaming_duration=True,
        registry=rooms.metrics.registry,
    ).instrument(app)
    app.add_middleware(Envelope, rooms=rooms)  # last, so that it is the outermost
    made = cache(partial(_document, app, rooms.kinds, rooms.version))
    app.openapi = made  # type: ignore[method-assign] # FastAPI's documented way to extend it


def install_probes(app: FastAPI, rooms: Rooms, *, metrics_here: bool) -> None:
    """Put only the probes and the metrics into *app*, for a process that takes no requests."""
    routes = system.probes(metrics_here=metrics_here).routes
    _furnished(app, rooms).router.routes.extend(routes)
    app.add_middleware(Envelope, rooms=rooms)


def _furnished(app: FastAPI, rooms: Rooms) -> FastAPI:
    """*app* with nothing of FastAPI's own but the rooms, and errors told as ours."""
    app.state.rooms = rooms
    app.router.routes.clear()
    app.router.redirect_slashes = False  # a redirect would have a key posted twice
    problems.install(app)
    app.add_middleware(Limit, under_way=rooms.under_way)  # first: what it answers is counted
    return app


def described(kinds: Mapping[str, Kind], *, version: str) -> dict[str, Any]:
    """The OpenAPI document of an API with these *kinds*; nothing is opened for it."""
    app = FastAPI(openapi_url=None)
    _route(app, kinds, metrics_here=True)
    return _document(app, kinds, version)


def _route(app: FastAPI, kinds: Mapping[str, Kind], *, metrics_here: bool) -> None:
    """Add the routes themselves: an included router would match each request twice more."""
    for router in (
        connectors.router(kinds),
        deployments.router(),
        audit.router(),
        system.router(metrics_here=metrics_here),
    ):
        app.router.routes.extend(router.routes)


def _document(app: FastAPI, kinds: Mapping[str, Kind], version: str) -> dict[str, Any]:
    return document.document(app, version=version, models=connectors.models(kinds))
