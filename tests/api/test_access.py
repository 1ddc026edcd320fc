"""Who may call, and what becomes of those who may not."""

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from app.api.access import AccessFile, hash_token, new_token
from app.errors import Unauthenticated
from tests.api.conftest import Bench, client_of, furnished, unread


def entry(name: str, token: str) -> str:
    return f'[[callers]]\nname = "{name}"\ntoken_sha256 = "{hash_token(token)}"\n'


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    file = tmp_path / "access.toml"
    file.write_text(entry("portal", "old") + entry("portal", "new") + entry("certctl", "cc_1"))
    return file


@pytest.fixture(name="http")
async def _http(bench: Bench, file: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(furnished(replace(bench.rooms, access=AccessFile(file)))) as client:
        yield client


@pytest.mark.parametrize("token", ["old", "new"])
def test_a_name_may_have_two_tokens_while_one_is_changed(file: Path, token: str) -> None:
    actor = AccessFile(file).caller(f"Bearer {token}")
    assert (actor.name, actor.kind) == ("portal", "token")


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param("Bearer", id="no token"),
        pytest.param("Bearer wrong", id="an unknown token"),
        pytest.param("Basic old", id="another scheme"),
        pytest.param("old", id="no scheme"),
    ],
)
def test_whoever_is_not_in_the_file_is_nobody(file: Path, header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        AccessFile(file).caller(header)


def test_a_changed_file_is_read_again(file: Path) -> None:
    access = AccessFile(file)
    file.write_text(entry("someone", "else"))
    assert access.caller("bearer else").name == "someone"
    with pytest.raises(Unauthenticated):
        access.caller("Bearer old")


@pytest.mark.parametrize("text", ["no toml", ""], ids=["broken", "empty"])
def test_a_broken_new_file_is_reported_once_and_locks_nobody_out(file: Path, text: str) -> None:
    access = AccessFile(file)
    file.write_text(text)
    with capture_logs() as logs:
        assert access.caller("Bearer old").name == "portal"
        assert access.caller("Bearer new").name == "portal"
    assert [one["event"] for one in logs] == ["access.file_broken"]


def test_a_file_that_is_gone_locks_nobody_out(file: Path) -> None:
    access = AccessFile(file)
    file.unlink()
    assert access.caller("Bearer old").name == "portal"


def test_a_file_put_in_place_of_the_old_one_is_read(file: Path, tmp_path: Path) -> None:
    access = AccessFile(file)
    seen = file.stat()
    other = tmp_path / "other.toml"
    other.write_text(file.read_text().replace("portal", "berlin"))
    os.utime(other, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    other.replace(file)
    assert access.caller("Bearer old").name == "berlin"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param(None, "cannot be read", id="missing"),
        pytest.param(b"[[callers", "is not TOML", id="broken"),
        pytest.param(b"\xff", "is not TOML", id="not UTF-8"),
        pytest.param(b"", "names no caller", id="empty"),
        pytest.param(b"callers = 1", "names no caller", id="no list"),
        pytest.param(b"callers = [1]", "caller 1", id="no table"),
        pytest.param(b'[[callers]]\nname = "a"', "caller 1", id="no token"),
        pytest.param(
            b'[[callers]]\nname = "a"\ntoken_sha256 = "cc_plain"', "caller 1", id="not hashed"
        ),
        pytest.param(
            entry("a", "t").encode() + b'role = "admin"', "caller 1", id="an unknown field"
        ),
        pytest.param(entry("a", "t").encode() + entry("", "t").encode(), "caller 2", id="no name"),
    ],
)
def test_a_file_that_cannot_be_used_stops_the_start(
    tmp_path: Path, text: bytes | None, sentence: str
) -> None:
    file = tmp_path / "access.toml"
    if text is not None:
        file.write_bytes(text)
    with pytest.raises(ValueError, match=sentence):
        AccessFile(file)


def test_a_new_token_is_long_and_known_by_its_hash(file: Path) -> None:
    token = new_token()
    assert token.startswith("cc_")
    assert len(token) == 46
    file.write_text(entry("new", token))
    assert AccessFile(file).caller(f"Bearer {token}").name == "new"


async def test_who_is_refused_is_in_the_trail_and_the_token_is_not(
    http: httpx.AsyncClient, asked: dict[str, Any]
) -> None:
    path = "/api/v1/connectors/Shelf/deploy"
    answer = await http.post(path, json=asked, headers={"Authorization": "Bearer cc_wrong"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    trail = await http.get("/api/v1/audit/events", headers={"Authorization": "Bearer cc_1"})
    (event,) = trail.json()["data"]
    assert event["action"] == "access.denied"
    assert event["event_category"] == "access"
    assert (event["resource_type"], event["resource_id"]) == ("operation", f"POST {path}")
    assert "cc_wrong" not in trail.text


async def test_a_caller_is_known_before_its_request_is_judged(http: httpx.AsyncClient) -> None:
    for path in ("Shelf/deploy", "Shelf/plan", "Shelf/validate-only", "Nothing/deploy"):
        answer = await http.post(f"/api/v1/connectors/{path}", content=unread())
        assert answer.status_code == 401
    assert (await http.get("/api/v1/deployments?page_size=x")).status_code == 401


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/docs", "/openapi.json"])
async def test_probes_and_documents_are_open(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.get(path)).status_code == 200


async def test_the_version_is_for_callers_only(http: httpx.AsyncClient) -> None:
    assert (await http.get("/api/v1/version")).status_code == 401


async def test_the_record_names_the_caller(
    http: httpx.AsyncClient, bench: Bench, asked: dict[str, Any]
) -> None:
    headers = {"Authorization": "Bearer new"}
    await http.post("/api/v1/connectors/Shelf/deploy", json=asked, headers=headers)
    assert bench.queue.deployments[0].actor.name == "portal"
