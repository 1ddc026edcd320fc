"""What a caller of deploy may rely on."""

import asyncio
import re
from typing import Any

import httpx
import pytest

from app import errors
from tests.api.conftest import Bench
from tests.certificates import Authority, Issued

DEPLOY = "/api/v1/connectors/Shelf/deploy"


async def test_a_deployment_is_accepted_recorded_and_found_at_its_location(
    http: httpx.AsyncClient, asked: dict[str, Any], issued: Issued
) -> None:
    answer = await http.post(DEPLOY, json=asked)
    assert answer.status_code == 202
    body = answer.json()
    assert body["state"] == "queued"
    assert body["certificate"]["dns_names"] == ["api.example.test"]
    assert body["created_at"].endswith("Z")
    assert (await http.get(answer.headers["location"])).json() == body
    assert issued.key_pem.splitlines()[1] not in answer.text


async def test_the_record_says_who_asked_and_under_which_ids(
    http: httpx.AsyncClient, bench: Bench, asked: dict[str, Any]
) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"X-Request-Id": "mine", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    await http.post(DEPLOY, json=asked, headers=headers)
    (event,) = (await http.get("/api/v1/audit/events")).json()["data"]
    assert event["action"] == "deployment.accepted"
    assert (event["actor"], event["actor_type"]) == ("anonymous", "anonymous")
    assert (event["request_id"], event["trace_id"]) == ("mine", trace)
    assert bench.queue.deployments[0].trace_id == trace


@pytest.mark.parametrize(
    "prefer",
    [
        pytest.param(["wait=30"], id="plain"),
        pytest.param(["respond-async, wait=30"], id="among others"),
        pytest.param(["handling=lenient", "wait=30"], id="in a second header"),
        pytest.param(['Wait = "30"; foo=bar'], id="quoted, with a parameter"),
        pytest.param(['x="a, wait=1", wait=30, wait=5'], id="the first one counts"),
    ],
)
async def test_waiting_is_preferred_as_the_rfc_says(
    http: httpx.AsyncClient, bench: Bench, asked: dict[str, Any], prefer: list[str]
) -> None:
    bench.queue.at_once = True
    headers = [("Prefer", one) for one in prefer]
    answer = await http.post(DEPLOY, json=asked, headers=headers)
    assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")
    assert answer.headers["preference-applied"] == "wait=30"


async def test_who_waits_is_answered_when_it_has_ended(
    http: httpx.AsyncClient, bench: Bench, asked: dict[str, Any]
) -> None:
    waiting = asyncio.create_task(http.post(DEPLOY, json=asked, headers={"Prefer": "wait=60"}))
    while not bench.queue.deployments:  # noqa: ASYNC110 - the fake has no event, and it is near
        await asyncio.sleep(0)
    await bench.queue.finish(bench.queue.deployments[0])
    answer = await waiting
    assert (answer.status_code, answer.json()["success"]) == (200, True)


async def test_who_waits_while_the_record_goes_away_is_told_that_it_was_accepted(
    bench: Bench, asked: dict[str, Any], http: httpx.AsyncClient
) -> None:
    waiting = asyncio.create_task(http.post(DEPLOY, json=asked, headers={"Prefer": "wait=60"}))
    while not bench.queue.deployments:  # noqa: ASYNC110 - the fake has no event, and it is near
        await asyncio.sleep(0)
    await bench.store.aclose()
    answer = await waiting

    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    assert answer.headers["location"].endswith(bench.queue.deployments[0].id)


async def test_who_waits_too_short_gets_the_state_so_far(
    http: httpx.AsyncClient, asked: dict[str, Any]
) -> None:
    answer = await http.post(DEPLOY, json=asked, headers={"Prefer": "wait=0"})
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    assert answer.headers["preference-applied"] == "wait=0"


async def test_the_same_request_under_the_same_key_is_accepted_once(
    http: httpx.AsyncClient, bench: Bench, asked: dict[str, Any]
) -> None:
    headers = {"Idempotency-Key": "renewal-1"}
    first = await http.post(DEPLOY, json=asked, headers=headers)
    again = await http.post(DEPLOY, json=dict(reversed(asked.items())), headers=headers)
    assert again.status_code == 202
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert [held.bundle is None for held in bench.queue.held] == [False, True]
    actions = [one["action"] for one in (await http.get("/api/v1/audit/events")).json()["data"]]
    assert sorted(actions) == ["deployment.accepted", "deployment.replayed"]


async def test_a_repeat_of_what_has_ended_is_answered_with_200(
    http: httpx.AsyncClient, bench: Bench, asked: dict[str, Any]
) -> None:
    bench.queue.at_once = True
    headers = {"Idempotency-Key": "renewal-1"}
    await http.post(DEPLOY, json=asked, headers=headers)
    bench.queue.at_once = False
    assert (await http.post(DEPLOY, json=asked, headers=headers)).status_code == 200


async def test_another_request_under_the_same_key_is_refused(
    http: httpx.AsyncClient, bench: Bench, asked: dict[str, Any]
) -> None:
    headers = {"Idempotency-Key": "renewal-1"}
    await http.post(DEPLOY, json=asked, headers=headers)
    answer = await http.post(DEPLOY, json={**asked, "force": True}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency-key-reused")
    assert bench.queue.held[1].bundle is None


@pytest.mark.parametrize("key", ["", "a b", "x" * 256], ids=["empty", "a space", "too long"])
async def test_an_idempotency_key_is_visible_ascii(
    http: httpx.AsyncClient, asked: dict[str, Any], key: str
) -> None:
    answer = await http.post(DEPLOY, json=asked, headers={"Idempotency-Key": key})
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["errors"]] == ["Idempotency-Key"]


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        pytest.param(errors.QueueFull(), "queue-full", id="full"),
        pytest.param(errors.SealingUnavailable(), "sealing-unavailable", id="unsealed"),
        pytest.param(errors.Draining(), "draining", id="stopping"),
        pytest.param(errors.StoreUnavailable(), "store-unavailable", id="no record"),
    ],
)
async def test_what_cannot_be_taken_now_says_when_to_come_again_and_lets_go_of_the_key(
    http: httpx.AsyncClient, bench: Bench, asked: dict[str, Any], trouble: Exception, code: str
) -> None:
    bench.queue.trouble = trouble
    answer = await http.post(DEPLOY, json=asked)
    assert (answer.status_code, answer.json()["code"]) == (503, code)
    assert answer.json()["retryable"]
    assert int(answer.headers["retry-after"]) > 0
    assert bench.queue.held[0].bundle is None


async def test_every_fault_is_named_at_once_and_no_value_is(
    http: httpx.AsyncClient, bench: Bench, asked: dict[str, Any], ca: Authority
) -> None:
    stranger = ca.issue("stranger.example.test")
    wrong = {
        **asked,
        "key_pem": stranger.key_pem,
        "target_config": {"shelf": "OAK", "certificate_name": "x" * 21, "colour": "red"},
        "metadata": {"job": 7},
        "force": "yes",
        "surprise": stranger.key_pem,
        "previous_key_pem": "no key",
        stranger.key_pem: 1,
    }
    answer = await http.post(DEPLOY, json=wrong)
    assert answer.status_code == 422
    assert {(fault["field"], fault["code"]) for fault in answer.json()["errors"]} == {
        ("key_pem", "key-mismatch"),
        ("target_config.shelf", "shelf-lower-case"),
        ("target_config.certificate_name", "too-long"),
        ("target_config.colour", "unknown-field"),
        ("metadata.job", "not-a-string"),
        ("force", "not-a-boolean"),
        ("surprise", "unknown-field"),
        ("*", "unknown-field"),
        ("previous_key_pem", "key-unreadable"),
    }
    secret = stranger.key_pem.splitlines()[1]
    assert secret not in answer.text
    assert "red" not in answer.text
    assert 'validate_failures_total{target_type="Shelf"} 1.0' in bench.metrics.render().decode()


async def test_faults_of_key_certificate_and_target_are_named_together(
    http: httpx.AsyncClient, asked: dict[str, Any], ca: Authority
) -> None:
    expired = ca.issue("old.example.test", days=-1)
    wrong = {
        **asked,
        "cert_pem": expired.cert_pem,
        "target_config": {"shelf": "locked", "certificate_name": "api"},
        "previous_key_pem": "no key",
    }
    for body in (wrong, {**wrong, "force": 1}):
        found = {one["code"] for one in (await http.post(DEPLOY, json=body)).json()["errors"]}
        expected = {"leaf-expired", "key-mismatch", "shelf-locked", "key-unreadable"}
        assert expected <= found


async def test_a_missing_field_is_named_once(
    http: httpx.AsyncClient, asked: dict[str, Any]
) -> None:
    del asked["key_pem"]
    answer = await http.post(DEPLOY, json=asked)
    assert [fault["code"] for fault in answer.json()["errors"]] == ["missing"]
    assert [fault["field"] for fault in answer.json()["errors"]] == ["key_pem"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        pytest.param(b"{", "application/json", id="cut off"),
        pytest.param(b'{"cert_pem": "\xff"}', "application/json", id="not UTF-8"),
        pytest.param(b"{}", "text/plain", id="not said to be JSON"),
        pytest.param(b"", "application/json", id="empty"),
    ],
)
async def test_what_is_no_json_is_malformed(
    http: httpx.AsyncClient, content: bytes, kind: str
) -> None:
    answer = await http.post(DEPLOY, content=content, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed-request")


async def test_a_body_that_is_no_object_is_a_fault(http: httpx.AsyncClient) -> None:
    answer = await http.post(DEPLOY, json=[1])
    assert answer.json()["errors"][0]["field"] == "body"


async def test_the_name_of_metadata_is_not_shown_when_it_may_be_a_value(
    http: httpx.AsyncClient, asked: dict[str, Any]
) -> None:
    asked["metadata"] = {"k" * 129: "v", "fine": "v" * 1025}
    answer = await http.post(DEPLOY, json=asked)
    fields = {fault["field"] for fault in answer.json()["errors"]}
    assert fields == {"metadata.*", "metadata.fine"}


async def test_warnings_are_on_the_record_and_no_refusal(
    http: httpx.AsyncClient, asked: dict[str, Any]
) -> None:
    asked["chain_pem"] = ""
    body = (await http.post(DEPLOY, json=asked)).json()
    assert [one["code"] for one in body["warnings"]] == ["leaf-without-issuer"]


async def test_nothing_of_a_key_is_logged(
    http: httpx.AsyncClient,
    asked: dict[str, Any],
    issued: Issued,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await http.post(f"{DEPLOY}?key=secret", json={**asked, "force": issued.key_pem})
    out = capsys.readouterr()
    assert "http.request" in out.out
    assert not re.search(f"secret|{re.escape(issued.key_pem.splitlines()[1])}", out.out + out.err)
