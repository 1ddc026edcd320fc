"""What the registry says, and the operations that change nothing."""

from typing import Any

import httpx
import pytest

from app import errors
from app.deployment.connector import Served, Standing
from app.deployment.model import Plan, Result, Rollback
from app.pki import Notice
from tests.api.conftest import Bench
from tests.api.fakes import lying

SHELF = "/api/v1/connectors/Shelf"
TARGET = {"shelf": "oak", "certificate_name": "api"}
THUMBPRINT = "ab" * 32


def served(*, enabled: bool = True) -> Served:
    return Served(
        version_id="1",
        serial="0a:0b",
        thumbprint=THUMBPRINT,
        address="shelf://oak/api/1",
        enabled=enabled,
    )


async def actions(http: httpx.AsyncClient) -> list[str]:
    return [one["action"] for one in (await http.get("/api/v1/audit/events")).json()["data"]]


async def test_the_registry_tells_types_capabilities_and_schemas(http: httpx.AsyncClient) -> None:
    (one,) = (await http.get("/api/v1/connectors")).json()["data"]
    assert (one["type"], one["title"]) == ("Shelf", "A shelf")
    plans = ["not_needed", "same_key", "impossible"]
    assert one["capabilities"] == {"validate_only": False, "rollback_plans": plans}
    assert set(one["config_schema"]["properties"]) == {"shelf", "certificate_name", "tags"}
    assert (await http.get(SHELF)).json() == one


async def test_a_right_configuration_is_answered_normalised(http: httpx.AsyncClient) -> None:
    answer = await http.post(f"{SHELF}/validate-config", json={"target_config": TARGET})
    assert answer.json() == {"valid": True, "target_config": {**TARGET, "tags": {}}}
    assert await actions(http) == ["config.validated"]


@pytest.mark.parametrize(
    ("config", "fields"),
    [
        pytest.param(
            {"shelf": "A", "x": 1},
            {"target_config.shelf", "target_config.certificate_name", "target_config.x"},
            id="its schema",
        ),
        pytest.param({**TARGET, "shelf": "locked"}, {"target_config.shelf"}, id="the target's own"),
    ],
)
async def test_a_wrong_configuration_is_refused_with_every_fault(
    http: httpx.AsyncClient, config: dict[str, Any], fields: set[str]
) -> None:
    answer = await http.post(f"{SHELF}/validate-config", json={"target_config": config})
    assert answer.status_code == 422
    assert {fault["field"] for fault in answer.json()["errors"]} == fields


async def test_a_target_without_a_dry_run_says_so_and_points_to_plan(
    http: httpx.AsyncClient,
) -> None:
    answer = await http.post(f"{SHELF}/validate-only", json={})
    assert (answer.status_code, answer.json()["code"]) == (501, "validate-only-not-supported")
    assert "plan" in answer.json()["detail"]


async def test_a_plan_tells_what_would_happen_and_keeps_no_key(
    http: httpx.AsyncClient, bench: Bench, asked: dict[str, Any]
) -> None:
    bench.shelf.standing = Standing(
        snapshot=lying(),
        unchanged=None,
        rollback=Rollback(plan=Plan.IMPOSSIBLE, reason="the key is gone"),
        warnings=(Notice(code="dusty", message="It is dusty."),),
        changes=("A new version.",),
        permissions={"put": "granted"},
    )
    plan = (await http.post(f"{SHELF}/plan", json=asked)).json()
    assert plan["action"] == "import"
    assert plan["certificate"]["dns_names"] == ["api.example.test"]
    assert plan["target"]["address"] == "shelf://oak/api"
    assert plan["target"]["current"]["version_id"] == "1"
    assert plan["rollback"] == {"plan": "impossible", "reason": "the key is gone"}
    assert plan["permissions"] == {"put": "granted"}
    assert plan["changes"] == ["A new version."]
    assert [one["code"] for one in plan["warnings"]] == ["dusty"]
    assert (plan["error"], plan["conflict"]) == (None, None)
    assert len(plan["plan_hash"]) == 64
    assert bench.shelf.held is not None
    assert bench.shelf.held.bundle is None
    assert await actions(http) == ["deployment.planned"]
    assert bench.queue.deployments == []


async def test_a_plan_agreed_to_is_still_the_same_plan(
    http: httpx.AsyncClient, asked: dict[str, Any]
) -> None:
    plan = (await http.post(f"{SHELF}/plan", json=asked)).json()
    asked["expected_plan_hash"] = plan["plan_hash"]
    assert (await http.post(f"{SHELF}/plan", json=asked)).json() == plan


def lying_there(bench: Bench) -> Result:
    """What is told of a version that lies there already."""
    return Result(
        target_address="shelf://oak/api/1",
        deployment_id="1",
        message="",
        deployed_at=bench.rooms.now(),
        metadata={},
    )


async def test_a_plan_with_nothing_to_do_says_none_unless_forced(
    http: httpx.AsyncClient, bench: Bench, asked: dict[str, Any]
) -> None:
    bench.shelf.standing = Standing(
        snapshot=lying(), unchanged=lying_there(bench), rollback=Rollback(plan=Plan.NOT_NEEDED)
    )
    assert (await http.post(f"{SHELF}/plan", json=asked)).json()["action"] == "none"
    forced = {**asked, "force": True}
    assert (await http.post(f"{SHELF}/plan", json=forced)).json()["action"] == "import"


async def test_a_plan_tells_what_stands_in_the_way_of_a_first_import(
    http: httpx.AsyncClient, bench: Bench, asked: dict[str, Any]
) -> None:
    bench.shelf.hindrance = errors.NameSoftDeleted()
    plan = (await http.post(f"{SHELF}/plan", json=asked)).json()
    assert (plan["action"], plan["conflict"]["code"]) == ("blocked", "name-soft-deleted")


async def test_a_plan_tells_what_stands_in_the_way_of_an_import_over_what_is_there(
    http: httpx.AsyncClient, bench: Bench, asked: dict[str, Any]
) -> None:
    bench.shelf.standing = Standing(
        snapshot=lying(), unchanged=None, rollback=Rollback(plan=Plan.SECRET)
    )
    bench.shelf.hindrance = errors.PendingOperation()
    plan = (await http.post(f"{SHELF}/plan", json=asked)).json()
    assert (plan["action"], plan["conflict"]["code"]) == ("blocked", "pending-operation")


async def test_nothing_stands_in_the_way_where_nothing_is_to_do(
    http: httpx.AsyncClient, bench: Bench, asked: dict[str, Any]
) -> None:
    bench.shelf.standing = Standing(
        snapshot=lying(), unchanged=lying_there(bench), rollback=Rollback(plan=Plan.NOT_NEEDED)
    )
    bench.shelf.hindrance = errors.PendingOperation()
    plan = (await http.post(f"{SHELF}/plan", json=asked)).json()
    assert (plan["action"], plan["conflict"]) == ("none", None)


async def test_a_plan_tells_that_what_was_expected_does_not_hold(
    http: httpx.AsyncClient, asked: dict[str, Any]
) -> None:
    asked["expected_version"] = "7"
    plan = (await http.post(f"{SHELF}/plan", json=asked)).json()
    assert (plan["action"], plan["error"]["code"]) == ("blocked", "version-conflict")


async def test_a_target_that_refuses_to_be_looked_at_is_a_blocked_plan(
    http: httpx.AsyncClient, bench: Bench, asked: dict[str, Any]
) -> None:
    seen = errors.TargetAnswer(status=403, code="Forbidden", request_id="az-1")
    bench.shelf.trouble = errors.TargetForbiddenRbac(answer=seen)
    answer = await http.post(f"{SHELF}/plan", json=asked)
    plan = answer.json()
    assert (answer.status_code, plan["action"], plan["plan_hash"]) == (200, "blocked", None)
    assert plan["error"]["code"] == "target-forbidden-rbac"
    assert plan["error"]["azure"]["request_id"] == "az-1"
    assert bench.shelf.held is not None
    assert bench.shelf.held.bundle is None


async def test_a_target_that_does_not_answer_in_time_is_a_blocked_plan(
    http: httpx.AsyncClient, bench: Bench, asked: dict[str, Any]
) -> None:
    bench.shelf.trouble = TimeoutError()
    plan = (await http.post(f"{SHELF}/plan", json=asked)).json()
    assert (plan["error"]["code"], plan["error"]["retryable"]) == ("target-unavailable", True)


async def test_a_plan_for_a_wrong_certificate_is_refused_like_a_deploy(
    http: httpx.AsyncClient, asked: dict[str, Any]
) -> None:
    asked["key_pem"] = "none"
    assert (await http.post(f"{SHELF}/plan", json=asked)).status_code == 422


@pytest.mark.parametrize(
    ("sought", "verdict"),
    [
        pytest.param({"serial": "0a:0b"}, True, id="serial"),
        pytest.param({"serial": "0xA0B"}, True, id="serial with 0x and no leading zero"),
        pytest.param({"serial": "0000A0B"}, True, id="serial with more zeros"),
        pytest.param({"serial": "0a:0c"}, False, id="another serial"),
        pytest.param({"thumbprint": THUMBPRINT}, True, id="thumbprint"),
        pytest.param({"thumbprint": ":".join(["AB"] * 32)}, True, id="with colons"),
        pytest.param({"thumbprint": "cd" * 32}, False, id="another thumbprint"),
        pytest.param({"serial": "a0b", "thumbprint": "cd" * 32}, False, id="only one fits"),
    ],
)
async def test_what_is_served_is_compared_with_what_should_be(
    http: httpx.AsyncClient, bench: Bench, sought: dict[str, str], verdict: object
) -> None:
    bench.shelf.served_now = served()
    body = {"target_config": TARGET, "metadata": {"job": "1"}, **sought}
    found = (await http.post(f"{SHELF}/validate-deployment", json=body)).json()
    assert found["valid"] is verdict
    assert (found["serial"], found["thumbprint"]) == ("0a:0b", THUMBPRINT)
    assert found["target_address"] == "shelf://oak/api/1"
    assert found["metadata"] == {"job": "1"}
    assert found["validated_at"].endswith("Z")
    assert await actions(http) == ["deployment.validated"]


@pytest.mark.parametrize(
    ("now_served", "word"),
    [(None, "no certificate"), (served(enabled=False), "disabled")],
    ids=["nothing", "disabled"],
)
async def test_what_is_served_to_nobody_is_not_valid(
    http: httpx.AsyncClient, bench: Bench, now_served: Served | None, word: str
) -> None:
    bench.shelf.served_now = now_served
    body = {"target_config": TARGET, "serial": "a0b"}
    found = (await http.post(f"{SHELF}/validate-deployment", json=body)).json()
    assert found["valid"] is False
    assert word in found["message"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({}, "body", id="neither serial nor thumbprint"),
        pytest.param({"serial": "xyz"}, "serial", id="no hex"),
        pytest.param({"thumbprint": "ab" * 20}, "thumbprint", id="SHA-1"),
    ],
)
async def test_what_to_look_for_must_be_said(
    http: httpx.AsyncClient, body: dict[str, str], field: str
) -> None:
    answer = await http.post(f"{SHELF}/validate-deployment", json={"target_config": TARGET, **body})
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("trouble", "status"),
    [
        (errors.TargetUnauthenticated(), 502),
        (errors.TargetForbiddenFirewall(answer=errors.TargetAnswer(status=403)), 502),
        (errors.TargetNotFound(), 502),
        (errors.TargetUnavailable(), 502),
        (errors.TargetThrottled(), 503),
        (errors.TargetUnreachable(), 504),
    ],
    ids=lambda value: value.code if isinstance(value, errors.Trouble) else "",
)
async def test_a_target_that_cannot_be_asked_is_a_problem(
    http: httpx.AsyncClient, bench: Bench, trouble: errors.TargetError, status: int
) -> None:
    bench.shelf.trouble = trouble
    body = {"target_config": TARGET, "serial": "a0b"}
    answer = await http.post(f"{SHELF}/validate-deployment", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, trouble.code)
    assert ("retry-after" in answer.headers) == (status == 503)
    assert ("azure" in answer.json()) == (trouble.answer is not None)
