"""Probes, metrics, version."""

import platform
from typing import Any

import httpx
import pytest

from tests.api.conftest import Bench, client_of, furnished


async def test_the_process_is_alive_even_without_a_store(
    http: httpx.AsyncClient, bench: Bench
) -> None:
    await bench.store.aclose()
    assert (await http.get("/health")).json() == {"status": "ok"}


async def test_it_is_ready_when_everything_works(http: httpx.AsyncClient) -> None:
    checks = {"store": "ok", "worker": "ok", "queue": "ok"}
    assert (await http.get("/ready")).json() == {"status": "ready", "checks": checks}


async def test_it_is_not_ready_while_it_stops(http: httpx.AsyncClient, bench: Bench) -> None:
    bench.queue.draining = True
    answer = await http.get("/ready")
    assert (answer.status_code, answer.json()["code"]) == (503, "draining")
    assert answer.json()["checks"] == ["queue"]


async def test_it_is_not_ready_without_its_workers_or_its_store(
    http: httpx.AsyncClient, bench: Bench
) -> None:
    bench.queue.alive = False
    await bench.store.aclose()
    answer = await http.get("/ready")
    assert (answer.status_code, answer.json()["code"]) == (503, "store-unavailable")
    assert answer.json()["checks"] == ["store", "worker"]


async def test_it_tells_what_runs_here(http: httpx.AsyncClient) -> None:
    assert (await http.get("/api/v1/version")).json() == {
        "name": "certctl-connectors",
        "version": "1.2.3",
        "build": "abc",
        "python": platform.python_version(),
        "connectors": ["Shelf"],
    }


async def test_requests_are_counted_by_path_template_only(
    http: httpx.AsyncClient, asked: dict[str, Any]
) -> None:
    await http.post("/api/v1/connectors/Shelf/deploy", json=asked)
    await http.get("/api/v1/deployments/dep-chosen-by-a-caller")
    await http.get("/a-path-chosen-by-a-caller")
    text = (await http.get("/metrics")).text
    for handler in ("/api/v1/connectors/Shelf/deploy", "/api/v1/deployments/{id}", "none"):
        assert f'handler="{handler}"' in text
    assert "chosen-by-a-caller" not in text
    assert 'certctl_build_info{build="abc",version="1.2.3"} 1.0' in text


@pytest.mark.parametrize("path", ["/metrics", "/docs", "/openapi.json", "/redoc"])
async def test_what_is_switched_off_is_not_there(bench: Bench, path: str) -> None:
    app = furnished(bench.rooms, metrics_here=False, docs=False)
    async with client_of(app) as http:
        assert (await http.get(path)).status_code == 404
