"""A service told to stop answers whoever waits: with the end, with what is known, or with 503."""

import signal
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from tests.certificates import Authority
from tests.service.processes import DEPLOY, Home, Process, body, held_up

TYPE = "/api/v1/connectors/AzureKeyVault"
WAIT = {"Prefer": "wait=60"}
STREAM = {"Accept": "text/event-stream"}


def asking(http: httpx.Client, method: str, path: str, **more: Any) -> "Future[httpx.Response]":  # noqa: ANN401 - httpx's arguments
    """A request that is waited for in a thread of its own."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(http.request, method, path, **more)
    pool.shutdown(wait=False)
    return future


def stopped(process: Process) -> None:
    """It has ended well, and with no word of a fault."""
    assert process.wait() == 0
    assert "Traceback" not in process.log
    assert "Exception in ASGI" not in process.log


def told(process: Process, path: str) -> list[int | None]:
    """The statuses that the log has for requests to *path*."""
    return [line["status"] for line in process.every("http.request") if line["path"] == path]


def test_who_waits_for_an_accepted_deployment_is_told_its_state_when_the_time_is_over(
    home: Home, ca: Authority
) -> None:
    home.emulator.faults.add(fault := held_up("import"))
    with home.service(WORKER__DRAIN_S="2") as (process, http):
        deploying = asking(http, "POST", DEPLOY, json=body(ca.issue()), headers=WAIT)
        home.emulator.faults.wait_until_met(fault)
        one = f"/api/v1/deployments/{process.until('deployment.started')['resource_id']}"
        waiting = asking(http, "GET", one, headers=WAIT)
        with http.stream("GET", f"{one}/events", headers=STREAM) as following:
            steps = following.iter_lines()
            assert next(steps) == "id: 1"

            process.signal(signal.SIGTERM)

            assert "event: importing" in [*steps]  # to the end, where httpx is told of one
        taken, found = deploying.result(), waiting.result()
        stopped(process)
    assert (taken.status_code, taken.json()["state"]) == (202, "importing")
    assert taken.headers["Location"] == one
    assert taken.headers["X-Request-Id"]
    assert (found.status_code, found.json()["state"]) == (200, "importing")
    assert (told(process, DEPLOY), told(process, one)) == ([202], [200])


def test_who_waits_is_told_the_state_by_a_service_that_is_told_twice_to_stop(
    home: Home, ca: Authority
) -> None:
    home.emulator.faults.add(fault := held_up("import"))
    with home.service(WORKER__DRAIN_S="60") as (process, http):
        deploying = asking(http, "POST", DEPLOY, json=body(ca.issue()), headers=WAIT)
        home.emulator.faults.wait_until_met(fault)
        process.signal(signal.SIGTERM)
        process.until("service.draining")

        process.signal(signal.SIGTERM)

        taken = deploying.result()
        stopped(process)
    assert (taken.status_code, taken.json()["state"]) == (202, "importing")


@pytest.mark.parametrize("operation", ["plan", "validate-deployment"])
def test_a_question_that_cannot_be_answered_in_time_is_to_be_asked_again(
    home: Home, ca: Authority, operation: str
) -> None:
    home.emulator.faults.add(fault := held_up("get_certificate"))
    issued = ca.issue()
    asked = body(issued)
    if operation == "validate-deployment":
        asked = {
            "target_config": asked["target_config"],
            "thumbprint": issued.leaf.fingerprint(SHA256()).hex(),
        }
    with home.service(WORKER__DRAIN_S="0.2") as (process, http):
        asking_ = asking(http, "POST", f"{TYPE}/{operation}", json=asked)
        home.emulator.faults.wait_until_met(fault)

        process.signal(signal.SIGTERM)

        answer = asking_.result()
        assert (answer.status_code, answer.json()["code"]) == (503, "draining")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["X-Request-Id"] == answer.json()["request_id"]
        assert int(answer.headers["Retry-After"]) > 0
        stopped(process)
    assert told(process, f"{TYPE}/{operation}") == [503]


def test_a_question_under_way_is_answered_within_the_time(home: Home, ca: Authority) -> None:
    home.emulator.faults.add(fault := held_up("get_certificate", seconds=3))
    with home.service() as (process, http):
        planning = asking(http, "POST", f"{TYPE}/plan", json=body(ca.issue()))
        home.emulator.faults.wait_until_met(fault)

        process.signal(signal.SIGTERM)

        answer = planning.result()
        assert (answer.status_code, answer.json()["action"]) == (200, "import")
        stopped(process)
