"""What holds for every request: ids, limits, one line in the log, and no bug told to callers."""

from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.testing import capture_logs

from app import errors
from app.api import problems
from app.api.middleware import MOST_BODY_BYTES, Envelope, trace_id
from tests.api.conftest import Bench, unread

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
DEPLOY = "/api/v1/connectors/Shelf/deploy"


class Exchange:
    """One request put to an app by hand, and what it sent. `None` is the caller going away."""

    def __init__(self, *chunks: bytes | None, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.chunks = list(chunks)
        self.headers = [(b"content-type", b"application/json"), *headers]
        self.sent: list[Message] = []

    async def put(self, app: ASGIApp, path: str = DEPLOY, method: str = "POST") -> None:
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": self.headers,
        }
        await app(scope, self.receive, self.send)

    async def receive(self) -> Message:
        chunk = self.chunks.pop(0)
        if chunk is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": chunk, "more_body": bool(self.chunks)}

    async def send(self, message: Message) -> None:
        self.sent.append(message)


async def test_an_id_of_the_caller_is_kept_and_any_other_is_made(http: httpx.AsyncClient) -> None:
    async def answered(**headers: str) -> str:
        return (await http.get("/health", headers=headers)).headers["x-request-id"]

    assert await answered(**{"X-Request-Id": "abc-1.2_3"}) == "abc-1.2_3"
    for odd in ("", "a b", 'x"}', "x" * 129):
        assert (await answered(**{"X-Request-Id": odd})).startswith("req-")


async def test_a_problem_names_the_request(http: httpx.AsyncClient) -> None:
    answer = await http.get("/nowhere", headers={"X-Request-Id": "mine"})
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "mine"


@pytest.mark.parametrize(
    ("header", "found"),
    [
        pytest.param(f"00-{TRACE}-{SPAN}-01", TRACE, id="as the standard says"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01-more", TRACE, id="a later version may say more"),
        pytest.param(f"00-{TRACE}-{SPAN}-01-more", None, id="this version may not"),
        pytest.param(f"ff-{TRACE}-{SPAN}-01", None, id="the forbidden version"),
        pytest.param(f"00-{'0' * 32}-{SPAN}-01", None, id="no trace"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", None, id="no span"),
        pytest.param(f"00-{TRACE.upper()}-{SPAN}-01", None, id="upper case"),
        pytest.param(None, None, id="none"),
    ],
)
def test_the_trace_is_read_from_traceparent(header: str | None, found: str | None) -> None:
    assert trace_id(header) == found


async def test_a_body_that_says_it_is_too_large_is_refused_unread(http: httpx.AsyncClient) -> None:
    for length in (str(MOST_BODY_BYTES + 1), "9" * 5000):
        answer = await http.post(DEPLOY, content=unread(), headers={"Content-Length": length})
        assert (answer.status_code, answer.json()["code"]) == (413, "request-too-large")


@pytest.mark.parametrize(
    "headers", [(), ((b"content-length", b"2"),)], ids=["chunked", "a length that lies"]
)
async def test_a_body_that_grows_too_large_is_refused_while_it_is_read(
    bench: Bench, headers: Iterable[tuple[bytes, bytes]]
) -> None:
    half = b" " * (MOST_BODY_BYTES // 2)
    exchange = Exchange(half, half, b" ", b"never read", headers=headers)
    await exchange.put(bench.app)
    assert exchange.sent[0]["status"] == 413
    assert exchange.chunks == [b"never read"]


async def test_a_body_of_the_largest_size_is_read(
    http: httpx.AsyncClient, asked: dict[str, Any]
) -> None:
    asked["chain_pem"] = "x"
    rest = MOST_BODY_BYTES - len(httpx.Request("POST", "http://x", json=asked).content)
    asked["chain_pem"] = "x" * (rest + 1)
    assert (await http.post(DEPLOY, json=asked)).status_code == 422


async def test_a_length_that_is_no_number_is_malformed(bench: Bench) -> None:
    exchange = Exchange(b"", headers=[(b"content-length", b"-1")])
    await exchange.put(bench.app)
    assert exchange.sent[0]["status"] == 400


async def test_a_method_that_nobody_knows_is_no_label_of_a_metric(bench: Bench) -> None:
    exchange = Exchange(b"")
    await exchange.put(bench.app, method="BREW")
    assert exchange.sent[0]["status"] == 405
    assert b"BREW" not in bench.metrics.render()


async def test_each_request_is_one_line_without_its_query(http: httpx.AsyncClient) -> None:
    with capture_logs() as logs:
        await http.get("/health?token=secret")
    (line,) = logs
    assert (line["event"], line["method"], line["path"]) == ("http.request", "GET", "/health")
    assert line["status"] == 200
    assert line["duration_ms"] >= 0
    assert "secret" not in str(logs)


async def test_a_bug_is_logged_and_the_caller_learns_its_request_id_only(
    http: httpx.AsyncClient, bench: Bench, asked: dict[str, Any]
) -> None:
    bench.queue.trouble = RuntimeError("a detail that is nobody's business")
    with capture_logs() as logs:
        answer = await http.post(DEPLOY, json=asked)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal-error")
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert "business" not in answer.text
    assert [line["event"] for line in logs] == ["http.failed", "http.request"]
    assert bench.queue.held[0].bundle is None


async def test_a_bug_in_an_answer_under_way_breaks_the_connection(bench: Bench) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError

    exchange = Exchange(b"")
    with pytest.raises(RuntimeError), capture_logs():
        await exchange.put(Envelope(broken, rooms=bench.rooms))
    assert len(exchange.sent) == 1


async def test_a_caller_who_left_while_sending_is_no_fault_of_ours(bench: Bench) -> None:
    exchange = Exchange(b"{", None)
    with capture_logs() as logs:
        await exchange.put(bench.app)
    assert [(line["event"], line["status"]) for line in logs] == [("http.request", 499)]
    counted = bench.metrics.render().decode()
    assert f'http_requests_total{{handler="{DEPLOY}",method="POST",status="499"}} 1.0' in counted
    assert 'status="500"' not in counted


async def test_what_is_no_request_passes(bench: Bench) -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    exchange = Exchange()
    await Envelope(app, rooms=bench.rooms)({"type": "lifespan"}, exchange.receive, exchange.send)
    assert seen == ["lifespan"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        pytest.param("GET", "/nowhere", 404, "not-found", id="no such path"),
        pytest.param("GET", "/health/", 404, "not-found", id="a slash too many"),
        pytest.param("DELETE", "/health", 405, "method-not-allowed", id="no such method"),
        pytest.param("GET", DEPLOY, 405, "method-not-allowed", id="deploy is a POST"),
        pytest.param("POST", "/api/v1/connectors/X/deploy", 404, "unknown-connector", id="POST"),
        pytest.param("GET", "/api/v1/connectors/X", 404, "unknown-connector", id="GET"),
        pytest.param("GET", "/api/v1/deployments/x", 404, "deployment-not-found", id="one"),
        pytest.param("GET", "/api/v1/deployments/x/events", 404, "deployment-not-found", id="its"),
        pytest.param("POST", "/api/v1/deployments/x/cancel", 404, "deployment-not-found", id="end"),
    ],
)
async def test_whatever_is_not_there_is_a_problem_document(
    http: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await http.request(method, path)
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["instance"] == path
    assert ("allow" in answer.headers) == (status == 405)


def test_every_error_has_a_status_of_its_own_or_of_its_kind() -> None:
    for kind in errors.every():
        assert 400 <= problems.status(kind) < 600, kind
