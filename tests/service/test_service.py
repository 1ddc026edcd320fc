"""The service as a process: signals, kills, ports, and what must never reach a disk or a log."""

import base64
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.emulator import Delay, Fault, StoreAnother
from tests.certificates import Authority, ec_key, key_pem, rsa_key
from tests.service.processes import DEPLOY, Home, Process, body

SecretKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def deploying(http: httpx.Client, request: dict[str, Any]) -> "Future[httpx.Response]":
    """A deployment that is waited for in a thread of its own."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(http.post, DEPLOY, json=request, headers={"Prefer": "wait=60"})
    pool.shutdown(wait=False)
    return future


def test_a_certificate_is_deployed_over_http_and_the_vault_serves_it(
    home: Home, ca: Authority
) -> None:
    issued = ca.issue()
    with home.service() as (_, http):
        answer = http.post(DEPLOY, json=body(issued), headers={"Prefer": "wait=60"})

    assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")
    served = home.emulator.vault("my-vault").latest("api-prod")
    assert served is not None
    assert served.certificate == issued.leaf


def test_a_wait_for_a_vaults_budget_is_told_by_the_metrics(home: Home, ca: Authority) -> None:
    issued = ca.issue()
    with home.service(AZURE__VAULT_IMPORTS="10") as (_, http):  # one, and the next in 1.2 s
        both = [deploying(http, body(issued, name)) for name in ("one", "two")]
        assert [one.result().json()["state"] for one in both] == ["succeeded"] * 2
        metrics = http.get("/metrics").text

    labels = '{operation="import_certificate",target_type="AzureKeyVault"}'
    assert f"certctl_target_budget_wait_seconds_count{labels} 1.0" in metrics


def test_no_key_is_found_in_any_file_or_log_whatever_happens(
    home: Home, ca: Authority, rsa_ca: Authority
) -> None:
    keys: list[SecretKey] = [rsa_key(2048), ec_key(), ec_key()]
    with home.service(LOG__LEVEL="debug") as (process, http):
        for key, issuer in zip(keys, (rsa_ca, ca, ca), strict=True):
            issued = issuer.issue(key=key)
            http.post(DEPLOY, json=body(issued), headers={"Prefer": "wait=60"})
            http.post(DEPLOY, json={**body(issued), "surprise": 1})
            http.post(DEPLOY, content=issued.key_pem)
            http.post(f"/api/v1/connectors/{issued.key_pem[:80]!r}/deploy", json=body(issued))
            home.emulator.faults.add(Fault(operation="import", effect=StoreAnother()))
        told = http.get("/api/v1/audit/events").text + http.get("/metrics").text
        process.signal(signal.SIGTERM)
        process.wait()
        log = process.log

    written = b"".join(path.read_bytes() for path in home.folder.rglob("*") if path.is_file())
    haystack = written + log.encode() + told.encode()
    assert b"deployment.rolled_back" in haystack, "the search must look where something is"
    assert not [trace for key in keys for trace in traces(key) if trace in haystack]


def traces(key: SecretKey) -> Iterator[bytes]:
    """What a leaked key would leave: its secret numbers in every usual writing."""
    for line in key_pem(key).splitlines()[2:-2]:
        yield line.encode()[4:-4]
    for number in secret_numbers(key):
        raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
        yield raw
        yield raw.hex().encode()
        yield str(number).encode()
        for shift in range(3):
            yield base64.b64encode(raw[shift:])[4:-8]


def secret_numbers(key: SecretKey) -> tuple[int, ...]:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return (key.private_numbers().private_value,)
    numbers = key.private_numbers()
    return (numbers.d, numbers.p, numbers.q)


def test_sigterm_finishes_what_runs_and_refuses_what_is_new(home: Home, ca: Authority) -> None:
    home.emulator.faults.add(Fault(operation="import", effect=Delay(seconds=1.5)))
    with home.service() as (process, http):
        running = deploying(http, body(ca.issue()))
        process.until("deployment.snapshot_taken")

        process.signal(signal.SIGTERM)
        process.until("service.draining")
        ready = http.get("/ready")
        refused = http.post(DEPLOY, json=body(ca.issue(), "another"))

        assert ready.status_code == 503
        assert (refused.status_code, refused.json()["code"]) == (503, "draining")
        assert int(refused.headers["Retry-After"]) > 0
        assert running.result().json()["state"] == "succeeded"
        assert process.wait() == 0


def test_what_waits_when_the_time_is_over_ends_interrupted(home: Home, ca: Authority) -> None:
    home.emulator.faults.add(Fault(operation="get_certificate", effect=Delay(seconds=30)))
    with home.service(WORKER__DRAIN_S="0.2", WORKER__CONCURRENCY="1") as (process, http):
        first = http.post(DEPLOY, json=body(ca.issue())).json()["id"]
        second = http.post(DEPLOY, json=body(ca.issue())).json()["id"]
        process.until("deployment.started")
        process.signal(signal.SIGTERM)
        assert process.wait() == 0

    with home.service() as (_, http):
        for id_ in (first, second):
            found = http.get(f"/api/v1/deployments/{id_}").json()
            assert (found["state"], found["error"]["code"]) == ("interrupted", "key-gone")
    assert home.emulator.writes == 0


def test_a_second_signal_ends_the_service_at_once(home: Home, ca: Authority) -> None:
    home.emulator.faults.add(Fault(operation="get_certificate", effect=Delay(seconds=60)))
    with home.service(WORKER__DRAIN_S="60") as (process, http):
        http.post(DEPLOY, json=body(ca.issue()))
        process.until("deployment.started")
        process.signal(signal.SIGTERM)
        process.until("service.draining")

        process.signal(signal.SIGTERM)

        assert process.wait() == 0


def test_a_caller_who_goes_away_while_sending_is_counted_as_gone_and_not_as_our_fault(
    home: Home,
) -> None:
    with home.service() as (process, http):
        with socket.create_connection((http.base_url.host, http.base_url.port)) as caller:
            caller.sendall(
                f"POST {DEPLOY} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {home.token}\r\n"
                "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{".encode()
            )
        line = process.until("http.request")
        metrics = http.get("/metrics").text

    assert (line["path"], line["status"]) == (DEPLOY, 499)
    counted = f'http_requests_total{{handler="{DEPLOY}",method="POST",status="499"}} 1.0'
    assert counted in metrics
    assert "Traceback" not in process.log


def test_metrics_have_a_port_of_their_own_when_asked(home: Home) -> None:
    with home.service(HTTP__METRICS_PORT="0") as (process, http):
        port = process.until("metrics.listening")["port"]

        apart = httpx.get(f"http://127.0.0.1:{port}/metrics")
        here = http.get("/metrics")

    assert "certctl_build_info" in apart.text
    assert here.status_code == 404


@pytest.mark.parametrize("name", ["HTTP__PORT", "HTTP__METRICS_PORT"])
def test_a_port_that_another_process_listens_on_is_told_before_anything_is_begun(
    home: Home, name: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, log = home.run("serve", **{name: str(taken.getsockname()[1])})

    assert code == 1
    (sentence,) = log.splitlines()
    assert sentence.startswith("certctl-connectors: Nothing can listen on 127.0.0.1, port ")
    assert f"{name} to a free port. ([Errno" in sentence
    assert not (home.folder / "record.db").exists()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        pytest.param({"ACCESS__FILE": "gone.toml"}, "access file", id="no-access-file"),
        pytest.param({"STORE__URL": "mysql://x"}, "sqlite", id="no-such-store"),
        pytest.param({"HTTP__HOTS": "x"}, "Unknown setting", id="unknown-setting"),
        pytest.param(
            {"HTTP__PORT": "9464", "HTTP__METRICS_PORT": "9464"},
            "another port",
            id="metrics-at-the-same-port",
        ),
        pytest.param({"AZURE__CA_BUNDLE": "gone.pem"}, "AZURE__CA_BUNDLE", id="no-ca-bundle"),
        pytest.param(
            {"ACCESS__MODE": "disabled", "HTTP__HOST": "0.0.0.0"},  # noqa: S104 - to be refused
            "loopback",
            id="open-to-the-world",
        ),
    ],
)
def test_what_cannot_work_refuses_to_start_with_a_sentence(
    home: Home, settings: dict[str, str], sentence: str
) -> None:
    process = Process(home.environment(**settings), home.folder)
    code = process.wait()
    process.end()

    assert code == 1
    assert sentence.lower() in process.log.lower()
    assert "Traceback" not in process.log
