"""Finding deployments again, following them, and cancelling them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from app.api.deployments import stream
from app.audit import Action
from app.deployment.model import State
from app.store import Step
from tests.api.conftest import Bench
from tests.conftest import Clock

ALL = "/api/v1/deployments"
DEPLOY = "/api/v1/connectors/Shelf/deploy"


async def deployed(http: httpx.AsyncClient, asked: dict[str, Any], **more: object) -> str:
    found: str = (await http.post(DEPLOY, json={**asked, **more})).json()["id"]
    return found


def parsed(text: str) -> list[dict[str, str]]:
    """The events of a stream."""
    blocks = [block for block in text.split("\n\n") if block]
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]


async def test_a_list_is_newest_first_and_paged_without_a_gap(
    http: httpx.AsyncClient, asked: dict[str, Any]
) -> None:
    ids = [await deployed(http, asked) for _ in range(5)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await http.get(ALL, params={"page_size": "2", **cursor})).json()
        assert page["page_size"] == 2
        seen += [one["id"] for one in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == ids[::-1]


async def test_a_list_is_filtered(
    http: httpx.AsyncClient, bench: Bench, asked: dict[str, Any], now: Clock
) -> None:
    first = await deployed(http, asked)
    now.move(60)
    bench.queue.at_once = True
    second = await deployed(http, asked, metadata={"certificate_id": "other"})
    middle = bench.queue.deployments[0].created_at.isoformat()

    async def found(**wanted: str) -> list[str]:
        answer = await http.get(ALL, params=wanted)
        return [one["id"] for one in answer.json()["data"]]

    assert await found(state="succeeded") == [second]
    assert await found(certificate_id="mc-api") == [first]
    assert await found(created_after=middle) == [second]
    assert await found(certificate_name="api", target_type="Shelf") == [second, first]
    assert await found(vault_url="https://other.vault.azure.net/") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        pytest.param("stat=queued", "stat", id="a typo lists nothing"),
        pytest.param("state=gone", "state", id="no such state"),
        pytest.param("page_size=0", "page_size", id="too few"),
        pytest.param("page_size=501", "page_size", id="too many"),
        pytest.param("page_size=ten", "page_size", id="no number"),
        pytest.param("cursor=nonsense", "cursor", id="a cursor of nobody"),
        pytest.param("created_after=2026-03-01T12:00:00", "created_after", id="no offset"),
        pytest.param("created_after=1700000000", "created_after", id="seconds"),
        pytest.param("created_before=2026-02-30T12:00:00Z", "created_before", id="no such day"),
        pytest.param(
            "created_after=0001-01-01T00:00:00%2B14:00", "created_after", id="before-all-time"
        ),
        pytest.param(
            "created_before=9999-12-31T23:59:59-14:00", "created_before", id="after-all-time"
        ),
    ],
)
async def test_a_wrong_filter_is_refused(http: httpx.AsyncClient, query: str, field: str) -> None:
    answer = await http.get(f"{ALL}?{query}")
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("path", [ALL, "/api/v1/audit/events"])
@pytest.mark.parametrize(
    ("query", "fields"),
    [
        pytest.param("state=succeeded&state=failed", ["state"], id="two states"),
        pytest.param("state=failed&s%74ate=failed", ["state"], id="the same in other letters"),
        pytest.param("state=&state=failed", ["state"], id="one of them empty"),
        pytest.param("x%20y=1&x%20y=1&cursor=a&cursor=b", ["*", "cursor"], id="unknown, too"),
    ],
)
async def test_a_repeated_parameter_is_refused_by_name(
    http: httpx.AsyncClient, path: str, query: str, fields: list[str]
) -> None:
    answer = await http.get(f"{path}?{query}")
    assert answer.status_code == 422
    found = [(fault["field"], fault["code"]) for fault in answer.json()["errors"]]
    assert found == [(field, "repeated") for field in fields]


async def test_waiting_for_one_answers_when_it_ends(
    http: httpx.AsyncClient, bench: Bench, asked: dict[str, Any]
) -> None:
    id_ = await deployed(http, asked)
    await bench.queue.finish(bench.queue.deployments[0])
    answer = await http.get(f"{ALL}/{id_}", headers={"Prefer": "wait=99999999999"})
    assert answer.headers["preference-applied"] == "wait=120"
    body = answer.json()
    assert (body["state"], body["final"], body["success"]) == ("succeeded", True, True)
    assert body["result"]["deployment_id"] == "2"


async def test_one_that_failed_says_why_and_how_it_was_undone(
    http: httpx.AsyncClient, bench: Bench, asked: dict[str, Any]
) -> None:
    id_ = await deployed(http, asked)
    await bench.queue.fail(bench.queue.deployments[0])
    body = (await http.get(f"{ALL}/{id_}")).json()
    assert (body["state"], body["final"], body["success"]) == ("rolled_back", True, False)
    undone = {"plan": "same_key", "reason": None, "outcome": "restored", "version_id": "3"}
    assert body["rollback"] == undone
    assert (body["error"]["code"], body["error"]["step"]) == ("verification-failed", "verifying")
    assert body["error"]["azure"]["request_id"] == "az-1"
    assert body["snapshot"]["version_id"] == "1"


@pytest.mark.parametrize("prefer", ["wait", "wait=soon", "wait=-1", "respond-async", ""])
async def test_a_preference_that_says_nothing_is_ignored(
    http: httpx.AsyncClient, asked: dict[str, Any], prefer: str
) -> None:
    answer = await http.get(f"{ALL}/{await deployed(http, asked)}", headers={"Prefer": prefer})
    assert answer.status_code == 200
    assert "preference-applied" not in answer.headers


async def test_the_steps_are_listed_in_order(
    http: httpx.AsyncClient, bench: Bench, asked: dict[str, Any]
) -> None:
    bench.queue.at_once = True
    id_ = await deployed(http, asked)
    steps = (await http.get(f"{ALL}/{id_}/events")).json()["data"]
    states = ["queued", "snapshotting", "importing", "verifying", "succeeded"]
    assert [one["state"] for one in steps] == states
    assert [one["seq"] for one in steps] == [1, 2, 3, 4, 5]
    later = await http.get(f"{ALL}/{id_}/events", headers={"Last-Event-ID": "4"})
    assert [one["state"] for one in later.json()["data"]] == ["succeeded"]


async def test_the_steps_are_streamed_as_they_happen_to_the_last(
    http: httpx.AsyncClient, bench: Bench, asked: dict[str, Any]
) -> None:
    id_ = await deployed(http, asked)
    headers = {"Accept": "text/event-stream;q=0.9, */*;q=0.1"}
    streaming = asyncio.create_task(http.get(f"{ALL}/{id_}/events", headers=headers))
    await asyncio.sleep(0)
    await bench.queue.finish(bench.queue.deployments[0])
    answer = await streaming
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = parsed(answer.text)
    assert [one["id"] for one in events] == ["1", "2", "3", "4", "5"]
    assert events[-1]["event"] == "succeeded"
    assert '"action":"deployment.verified"' in events[-1]["data"]


async def test_a_stream_is_taken_up_where_it_broke_off(
    http: httpx.AsyncClient, bench: Bench, asked: dict[str, Any]
) -> None:
    bench.queue.at_once = True
    id_ = await deployed(http, asked)
    headers = {"Accept": "text/event-stream", "Last-Event-ID": "3"}
    answer = await http.get(f"{ALL}/{id_}/events", headers=headers)
    assert [one["id"] for one in parsed(answer.text)] == ["4", "5"]


async def test_a_stream_of_nothing_is_not_found(http: httpx.AsyncClient) -> None:
    answer = await http.get(f"{ALL}/dep-0/events", headers={"Accept": "text/event-stream"})
    assert answer.status_code == 404


class Steps:
    """Steps that come when they are let."""

    def __init__(self, now: Clock) -> None:
        self.let = asyncio.Event()
        self.closed = False
        self._now = now

    async def __call__(self) -> AsyncIterator[Step]:
        try:
            await self.let.wait()
            yield Step(
                seq=1, at=self._now(), state=State.QUEUED, action=Action.ACCEPTED, details={}
            )
        finally:
            self.closed = True


async def test_a_silent_stream_is_kept_alive(now: Clock) -> None:
    steps = Steps(now)
    chunks = stream(steps(), every=0.001)
    assert await anext(chunks) == b": keep-alive\n\n"
    steps.let.set()
    rest = [chunk async for chunk in chunks if not chunk.startswith(b":")]
    assert [chunk.partition(b"\n")[0] for chunk in rest] == [b"id: 1"]


async def test_a_stream_ends_when_the_service_stops(
    http: httpx.AsyncClient, bench: Bench, asked: dict[str, Any]
) -> None:
    id_ = await deployed(http, asked)
    headers = {"Accept": "text/event-stream"}
    streaming = asyncio.create_task(http.get(f"{ALL}/{id_}/events", headers=headers))
    await asyncio.sleep(0)
    bench.store.hurry()
    assert [one["event"] for one in parsed((await streaming).text)] == ["queued"]


async def test_a_stream_ends_when_the_record_goes_away(
    http: httpx.AsyncClient, bench: Bench, asked: dict[str, Any]
) -> None:
    chunks = stream(bench.store.follow(await deployed(http, asked)))
    assert (await anext(chunks)).startswith(b"id: 1\nevent: queued")

    await bench.store.aclose()

    assert [chunk async for chunk in chunks] == []


async def test_only_a_queued_deployment_can_be_cancelled(
    http: httpx.AsyncClient, asked: dict[str, Any]
) -> None:
    id_ = await deployed(http, asked)
    first = await http.post(f"{ALL}/{id_}/cancel")
    assert (first.status_code, first.json()["state"]) == (200, "cancelled")
    again = await http.post(f"{ALL}/{id_}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "not-cancellable")


async def test_the_trail_is_filtered_and_paged(
    http: httpx.AsyncClient, asked: dict[str, Any]
) -> None:
    ids = [await deployed(http, asked) for _ in range(3)]
    await http.post(f"{ALL}/{ids[0]}/cancel")
    wanted = {"action": "deployment.accepted", "page_size": "2"}
    page = (await http.get("/api/v1/audit/events", params=wanted)).json()
    assert [one["resource_id"] for one in page["data"]] == [ids[2], ids[1]]
    assert set(page["data"][0]) == {
        *("id", "timestamp", "actor", "actor_type", "action", "resource_type", "resource_id"),
        *("event_category", "details", "request_id", "trace_id"),
    }
    assert page["data"][0]["details"]["certificate_name"] == "api"
    rest = {**wanted, "cursor": page["next_cursor"]}
    page = (await http.get("/api/v1/audit/events", params=rest)).json()
    assert [one["resource_id"] for one in page["data"]] == [ids[0]]
    assert page["next_cursor"] is None


async def test_the_whole_trail_is_streamed_line_by_line(
    http: httpx.AsyncClient, asked: dict[str, Any]
) -> None:
    ids = [await deployed(http, asked) for _ in range(5)]
    answer = await http.get(
        "/api/v1/audit/events?page_size=2", headers={"Accept": "application/x-ndjson"}
    )
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    lines = [httpx.Response(200, text=line).json() for line in answer.text.splitlines()]
    assert [one["resource_id"] for one in lines] == ids[::-1]


async def test_a_cursor_of_another_list_is_refused(
    http: httpx.AsyncClient, asked: dict[str, Any]
) -> None:
    for _ in range(2):
        await deployed(http, asked)
    cursor = (await http.get(f"{ALL}?page_size=1")).json()["next_cursor"]
    with capture_logs():
        answer = await http.get("/api/v1/audit/events", params={"cursor": cursor})
    assert answer.json()["errors"][0]["code"] == "cursor-invalid"
