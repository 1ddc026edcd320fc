"""The OpenAPI document, taken at its word by a machine that tries what it allows and forbids."""

from dataclasses import replace
from itertools import count
from typing import Any, Final

import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error, positive_data_acceptance
from starlette.types import Receive, Scope, Send

from app.api.rooms import Rooms
from app.api.underway import UnderWay
from app.audit import Actor
from app.connectors import REGISTRY
from app.errors import Unauthenticated
from app.metrics import Metrics
from app.store import Store
from tests.api.conftest import furnished
from tests.api.fakes import Line, Shelf
from tests.certificates import NOW
from tests.conftest import Clock

_BEARER: Final = "Bearer cc_schemathesis"
# A certificate, its key and the name of a vault are more than a JSON Schema can say, and so is a
# cursor: what fits the schema may rightly be refused.
_BEYOND_A_SCHEMA: Final = [positive_data_acceptance]


class OneToken:
    """Access for one caller."""

    def caller(self, authorization: str | None) -> Actor:
        if authorization != _BEARER:
            raise Unauthenticated
        return Actor(name="schemathesis", kind="token")


class Reopening:
    """The app for a client that has an event loop for each request: so has the store."""

    def __init__(self) -> None:
        self._now = Clock(NOW)
        self._numbers = count(1)
        self._app: FastAPI | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        store = await Store.open("sqlite:///:memory:", now=self._now)
        try:
            await self._with(store)(scope, receive, send)
        finally:
            await store.aclose()

    def _with(self, store: Store) -> FastAPI:
        line = Line(store, self._now)
        line.at_once = True
        if self._app is None:
            self._app = furnished(self._rooms(store, line))
        rooms: Rooms = self._app.state.rooms
        self._app.state.rooms = replace(rooms, store=store, queue=line)
        return self._app

    def _rooms(self, store: Store, line: Line) -> Rooms:
        return Rooms(
            store=store,
            queue=line,
            connectors={kind.type: Shelf(kind.type, kind.config) for kind in REGISTRY.values()},
            kinds=REGISTRY,
            access=OneToken(),
            metrics=Metrics(version="1.2.3", build="abc"),
            now=self._now,
            new_id=lambda prefix: f"{prefix}-{next(self._numbers):08}",
            under_way=UnderWay(),
            version="1.2.3",
            build="abc",
        )


schema = schemathesis.openapi.from_asgi("/openapi.json", Reopening())


@schema.parametrize()
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_the_document_allows(case: schemathesis.Case[Any]) -> None:
    excluded = [*_BEYOND_A_SCHEMA]
    if case.path.endswith("/validate-only"):
        excluded.append(not_a_server_error)  # 501 is the answer that the contract wants
    case.call_and_validate(headers={"Authorization": _BEARER}, excluded_checks=excluded)
