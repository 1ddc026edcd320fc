"""A key's text goes as soon as it was read: none is left while a caller waits for the end."""

import asyncio
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import httpx
import orjson
import pytest
from starlette.types import Message

from tests.api.conftest import Bench
from tests.certificates import Issued


def frames(waiting: object) -> Iterator[FrameType]:
    """The frames of all that a task waits for, outermost first."""
    while waiting is not None:
        if frame := getattr(waiting, "cr_frame", None):
            yield frame
        waiting = getattr(waiting, "cr_await", None)


def held(value: object, text: str, seen: set[int]) -> bool:
    """Whether *text* can be reached from *value*."""
    if id(value) in seen:
        return False
    seen.add(id(value))
    if isinstance(value, str | bytes):
        return text in (value if isinstance(value, str) else value.decode("latin-1"))
    if isinstance(value, dict):
        return any(held(one, text, seen) for pair in value.items() for one in pair)
    if isinstance(value, list | tuple | set | frozenset):
        return any(held(one, text, seen) for one in value)
    return held(getattr(value, "__dict__", None), text, seen)


async def test_no_text_of_a_key_is_left_while_its_sender_waits(
    bench: Bench, asked: dict[str, Any], issued: Issued
) -> None:
    chunks = [orjson.dumps(asked)]
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": chunks.pop(), "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    request = httpx.Request("POST", "http://x/api/v1/connectors/Shelf/deploy")
    scope = {
        "type": "http",
        "method": request.method,
        "path": request.url.path,
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"prefer", b"wait=60")],
    }
    serving = asyncio.create_task(bench.app(scope, receive, send))
    while not bench.queue.deployments:  # noqa: ASYNC110 - the fake has no event, and it is near
        await asyncio.sleep(0)
    await bench.store.check()  # one round through the store later it waits
    found = list(frames(serving.get_coro()))
    assert "settled" in {frame.f_code.co_name for frame in found}
    text = issued.key_pem.splitlines()[1]
    assert held({"proof": [text]}, text, set())
    assert [frame for frame in found if held(dict(frame.f_locals), text, set())] == []
    await bench.queue.finish(bench.queue.deployments[0])
    await serving
    assert sent[0]["status"] == 200


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param(lambda key: {"metadata": {"note": key}}, "metadata", id="metadata"),
        pytest.param(lambda key: {"metadata": {key: "x"}}, "metadata", id="a-name-in-metadata"),
        pytest.param(lambda key: {"expected_version": key}, "expected_version", id="a-version"),
    ],
)
async def test_a_key_in_the_wrong_field_is_refused_and_not_stored(
    http: httpx.AsyncClient,
    asked: dict[str, Any],
    issued: Issued,
    change: Callable[[str], dict[str, object]],
    field: str,
) -> None:
    answer = await http.post(
        "/api/v1/connectors/Shelf/deploy", json={**asked, **change(issued.key_pem)}
    )

    assert answer.status_code == 422
    assert {fault["field"].partition(".")[0] for fault in answer.json()["errors"]} == {field}
    assert issued.key_pem.splitlines()[1] not in answer.text
    assert (await http.get("/api/v1/deployments")).json()["data"] == []
