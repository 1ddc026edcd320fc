"""The API over a real store in a file, a shelf as the target, and a queue that waits."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app import api
from app.api.access import Open
from app.api.rooms import Rooms
from app.api.underway import UnderWay
from app.metrics import Metrics
from app.store import Store
from tests.api.fakes import Line, Shelf, ShelfKind
from tests.certificates import Authority, Issued
from tests.conftest import Clock


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The app, and what stands behind it."""

    app: FastAPI
    rooms: Rooms
    store: Store
    queue: Line
    shelf: Shelf
    metrics: Metrics


def ids() -> Callable[[str], str]:
    """Ids that count."""
    numbers = count(1)
    return lambda prefix: f"{prefix}-{next(numbers):06}"


def furnished(rooms: Rooms, *, metrics_here: bool = True, docs: bool = True) -> FastAPI:
    app = FastAPI()
    api.install(app, rooms, metrics_here=metrics_here, docs=docs)
    return app


def client_of(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app)
    return httpx.AsyncClient(transport=transport, base_url="http://service.test")


async def unread() -> AsyncIterator[bytes]:
    """A body that must not be read."""
    for chunk in (b"{", b"}"):
        assert not chunk, "the body was read"
        yield chunk


@pytest.fixture(name="store")
async def _store(tmp_path: Path, now: Clock) -> AsyncIterator[Store]:
    store = await Store.open(f"sqlite:///{tmp_path}/store.db", now=now)
    yield store
    await store.aclose()


@pytest.fixture(name="bench")
def _bench(store: Store, now: Clock) -> Bench:
    shelf, queue, metrics = Shelf(), Line(store, now), Metrics(version="1.2.3", build="abc")
    rooms = Rooms(
        store=store,
        queue=queue,
        connectors={"Shelf": shelf},
        kinds={"Shelf": ShelfKind()},
        access=Open(),
        metrics=metrics,
        now=now,
        new_id=ids(),
        under_way=UnderWay(),
        version="1.2.3",
        build="abc",
    )
    return Bench(
        app=furnished(rooms), rooms=rooms, store=store, queue=queue, shelf=shelf, metrics=metrics
    )


@pytest.fixture(name="http")
async def _http(bench: Bench) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(bench.app) as client:
        yield client


@pytest.fixture(scope="session", name="issued")
def _issued(ca: Authority) -> Issued:
    return ca.issue("api.example.test")


@pytest.fixture(name="asked")
def _asked(issued: Issued) -> dict[str, Any]:
    """A deploy request that can be taken."""
    return {
        "cert_pem": issued.cert_pem,
        "chain_pem": issued.chain_pem,
        "key_pem": issued.key_pem,
        "target_config": {"shelf": "oak", "certificate_name": "api"},
        "metadata": {"certificate_id": "mc-api"},
    }
