"""Several replicas on one PostgreSQL, each a process of its own, some of them killed."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.emulator import Drop, Fault
from app.sealing import new_sealing_key
from tests.certificates import Authority, ec_key, rsa_key
from tests.service.processes import DEPLOY, Home, Process, body, held_up
from tests.service.test_service import SecretKey, traces

Replica = tuple[Process, httpx.Client]
_WAIT = {"Prefer": "wait=60"}


@pytest.fixture(name="settings")
def _settings(home: Home, postgres_url: str) -> dict[str, str]:
    """What replicas share, with a database that is migrated."""
    settings = {
        "STORE__URL": postgres_url,
        "QUEUE__MODE": "postgres",
        "QUEUE__SEALING_KEYS": new_sealing_key(),
        "QUEUE__HEARTBEAT_S": "0.5",
        "QUEUE__TAKEOVER_S": "3",
    }
    code, log = home.run("migrate", **settings)
    assert code == 0, log
    return settings


@pytest.fixture(name="replicas")
def _replicas(home: Home, settings: dict[str, str]) -> Iterator[tuple[Replica, Replica]]:
    with ExitStack() as stack:
        one, other = (stack.enter_context(home.service(**settings)) for _ in range(2))
        yield one, other


def ended(http: httpx.Client, id_: str) -> dict[str, Any]:
    found: dict[str, Any] = http.get(f"/api/v1/deployments/{id_}", headers=_WAIT).json()
    return found


def pass_by(url: str, *, seconds: int) -> None:
    """Let the last signs of life be so much older; who lives gives a new one at once."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "UPDATE procrastinate_workers"
            " SET last_heartbeat = last_heartbeat - %s * interval '1 s'",
            (seconds,),
        )


def carrier(replicas: tuple[Replica, Replica]) -> tuple[Replica, Replica]:
    """Whoever carries the only deployment, and the other."""
    one, other = replicas
    mine = any('"deployment.started"' in line for line in one[0].lines)
    return (one, other) if mine else (other, one)


def test_the_order_of_a_target_is_kept_whichever_replica_took_a_deployment(
    home: Home, ca: Authority, replicas: tuple[Replica, Replica]
) -> None:
    issued = [ca.issue() for _ in range(6)]
    https = [http for _, http in replicas] * 3

    taken = [
        http.post(DEPLOY, json=body(one)).json()["id"]
        for http, one in zip(https, issued, strict=True)
    ]
    states = [ended(https[0], id_)["state"] for id_ in taken]

    assert states == ["succeeded"] * 6
    served = [found.certificate for found in home.emulator.vault("my-vault").versions("api-prod")]
    assert served == [one.leaf for one in issued]


@pytest.mark.parametrize(
    ("faults", "at"),
    [
        pytest.param([], held_up("get_certificate"), id="looking"),
        pytest.param([], held_up("import"), id="sending"),
        pytest.param(
            [Fault(operation="import", effect=Drop(applied=True))],
            held_up("get_certificate", 2),
            id="looking-for-an-import-without-an-answer",
        ),
        pytest.param([], held_up("get_certificate", 2), id="reading-back"),
    ],
)
def test_a_killed_replica_is_taken_over_with_its_key_and_nothing_is_imported_twice(
    home: Home,
    ca: Authority,
    replicas: tuple[Replica, Replica],
    postgres_url: str,
    faults: list[Fault],
    at: Fault,
) -> None:
    for fault in (*faults, at):
        home.emulator.faults.add(fault)
    first, second = ca.issue(), ca.issue()
    taken = replicas[0][1].post(DEPLOY, json=body(first)).json()["id"]
    home.emulator.faults.wait_until_met(at)
    (process, http), (_, elsewhere) = carrier(replicas)
    waits = http.post(DEPLOY, json=body(second)).json()["id"]

    process.signal(signal.SIGKILL)
    process.wait()
    home.emulator.faults.clear()
    pass_by(postgres_url, seconds=25)

    assert [ended(elsewhere, id_)["state"] for id_ in (taken, waits)] == ["succeeded"] * 2
    served = [found.certificate for found in home.emulator.vault("my-vault").versions("api-prod")]
    assert served == [first.leaf, second.leaf]


def test_the_api_and_the_workers_can_be_processes_apart(
    home: Home, ca: Authority, settings: dict[str, str]
) -> None:
    with (
        home.service("serve", "--no-worker", **settings) as (_, http),
        home.service("serve", "--no-worker", **settings) as (_, elsewhere),
    ):
        id_ = http.post(DEPLOY, json=body(ca.issue())).json()["id"]
        assert ended_soon(elsewhere, id_) == "queued"
        with (
            elsewhere.stream(
                "GET",
                f"/api/v1/deployments/{id_}/events",
                headers={"Accept": "text/event-stream"},
            ) as stream,
            home.service("work", **settings) as (worker, probes),
        ):
            told = [line for line in stream.iter_lines() if line.startswith("event:")]
            worker.until("deployment.verified")
            answers = [probes.get(path).status_code for path in ("/health", "/ready", "/metrics")]
            refused = probes.post(DEPLOY, json=body(ca.issue()))

    assert len(told) == 5
    assert answers == [200, 200, 200]
    assert (refused.status_code, refused.json()["code"]) == (404, "not-found")


def ended_soon(http: httpx.Client, id_: str) -> str:
    state: str = http.get(f"/api/v1/deployments/{id_}", headers={"Prefer": "wait=1"}).json()[
        "state"
    ]
    return state


def test_who_waits_for_the_end_gets_it_from_a_replica_that_does_not_do_the_work(
    home: Home, ca: Authority, settings: dict[str, str]
) -> None:
    with (
        home.service("work", **settings),
        home.service("serve", "--no-worker", **settings) as (_, http),
    ):
        answer = http.post(DEPLOY, json=body(ca.issue()), headers=_WAIT)

    assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")


def test_who_waits_at_a_replica_that_stops_gets_the_end_from_another_within_its_time(
    home: Home, ca: Authority, settings: dict[str, str]
) -> None:
    home.emulator.faults.add(at := held_up("import", seconds=3))
    with (
        home.service("work", **settings),
        home.service("serve", "--no-worker", **settings) as (process, http),
        ThreadPoolExecutor(1) as pool,
    ):
        answer = pool.submit(http.post, DEPLOY, json=body(ca.issue()), headers=_WAIT)
        home.emulator.faults.wait_until_met(at)

        process.signal(signal.SIGTERM)

        assert (answer.result().status_code, answer.result().json()["state"]) == (200, "succeeded")
        assert process.wait() == 0


def test_who_waits_at_a_replica_that_stops_is_told_that_it_was_accepted(
    home: Home, ca: Authority, settings: dict[str, str]
) -> None:
    with (
        home.service("serve", "--no-worker", **settings, WORKER__DRAIN_S="0.2") as (process, http),
        ThreadPoolExecutor(1) as pool,
    ):
        answer = pool.submit(http.post, DEPLOY, json=body(ca.issue()), headers=_WAIT)
        process.until("deployment.accepted")

        process.signal(signal.SIGTERM)

        assert (answer.result().status_code, answer.result().json()["state"]) == (202, "queued")
        assert process.wait() == 0
        assert "Traceback" not in process.log


def test_a_queued_deployment_is_cancelled_from_another_replica(
    home: Home, ca: Authority, replicas: tuple[Replica, Replica]
) -> None:
    home.emulator.faults.add(at := held_up("get_certificate"))
    (_, http), (_, elsewhere) = replicas
    http.post(DEPLOY, json=body(ca.issue()))
    home.emulator.faults.wait_until_met(at)
    waits = http.post(DEPLOY, json=body(ca.issue())).json()["id"]

    answer = elsewhere.post(f"/api/v1/deployments/{waits}/cancel")
    again = http.post(f"/api/v1/deployments/{waits}/cancel")

    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert (again.status_code, again.json()["code"]) == (409, "not-cancellable")


def test_sigterm_leaves_what_runs_to_another_replica_at_once(
    home: Home, ca: Authority, settings: dict[str, str]
) -> None:
    patient = {**settings, "QUEUE__TAKEOVER_S": "600", "WORKER__DRAIN_S": "0.2"}
    home.emulator.faults.add(at := held_up("get_certificate"))
    with home.service(**patient) as (process, http):
        id_ = http.post(DEPLOY, json=body(ca.issue())).json()["id"]
        home.emulator.faults.wait_until_met(at)
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    home.emulator.faults.clear()

    with home.service(**patient) as (_, elsewhere):
        assert ended(elsewhere, id_)["state"] == "succeeded"


def test_a_key_in_a_vault_seals_what_waits(
    home: Home, ca: Authority, settings: dict[str, str]
) -> None:
    key = home.emulator.vault("my-sealing").add_key(
        "queue", rsa_key(2048), operations=("wrapKey", "unwrapKey"), enabled=True
    )
    in_vault = {
        **{name: value for name, value in settings.items() if name != "QUEUE__SEALING_KEYS"},
        "AZURE__SEALING_KEYS": '["https://my-sealing.vault.azure.net/keys/queue"]',
        "AZURE__SEALING_CREDENTIAL_MODE": "client_secret",
    }

    with home.service(**in_vault) as (_, http):
        answer = http.post(DEPLOY, json=body(ca.issue()), headers=_WAIT)

    assert answer.json()["state"] == "succeeded"
    assert key.version.encode() in database(settings["STORE__URL"])
    code, log = home.run("serve", **{**settings, **in_vault})
    assert code == 1
    assert "in a vault too" in log


def test_a_deployment_whose_sealing_key_is_gone_is_interrupted_and_says_so(
    home: Home, ca: Authority, settings: dict[str, str]
) -> None:
    home.emulator.faults.add(at := held_up("import"))
    with home.service(**settings) as (process, http):
        id_ = http.post(DEPLOY, json=body(ca.issue())).json()["id"]
        home.emulator.faults.wait_until_met(at)
        process.signal(signal.SIGKILL)
        process.wait()
    home.emulator.faults.clear()

    pass_by(settings["STORE__URL"], seconds=25)

    rotated = {**settings, "QUEUE__SEALING_KEYS": new_sealing_key()}
    with home.service(**rotated) as (_, http):
        found = ended(http, id_)

    assert (found["state"], found["error"]["code"]) == ("interrupted", "sealing-key-gone")
    assert home.emulator.writes == 0


def test_no_plain_key_is_found_in_the_database_or_its_log_of_writes_or_any_other_log(
    home: Home, ca: Authority, rsa_ca: Authority, settings: dict[str, str]
) -> None:
    keys: list[SecretKey] = [rsa_key(2048), ec_key()]
    ids: list[str] = []
    with home.service(LOG__LEVEL="debug", **settings) as (process, http):
        for key, issuer in zip(keys, (rsa_ca, ca), strict=True):
            request = body(issuer.issue(key=key), f"canary-{len(ids)}")
            ids.append(http.post(DEPLOY, json=request, headers=_WAIT).json()["id"])
        log = process.log
    written = database(settings["STORE__URL"])

    assert all(id_.encode() in written for id_ in ids), "the search must look where something is"
    assert b"certctl-connectors seal" in written, "nor may it miss what was sealed"
    ders = [
        key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())[-64:] for key in keys
    ]
    for haystack in (written, log.encode()):
        assert not [trace for key in keys for trace in traces(key) if trace in haystack]
        assert not [der for der in ders if der in haystack]
    assert "certctl-connectors seal" not in log
    assert settings["QUEUE__SEALING_KEYS"] not in log
    assert settings["QUEUE__SEALING_KEYS"].encode() not in written


def database(url: str) -> bytes:
    """Everything that PostgreSQL has written, and its log of writes."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None
    files = (path for path in Path(row[0]).rglob("*") if path.is_file())
    return b"".join(path.read_bytes() for path in files)


@pytest.mark.parametrize(
    ("command", "changed", "sentence"),
    [
        pytest.param(
            ["serve"], {"QUEUE__SEALING_KEYS": ""}, "needs a key that seals", id="no-sealing-key"
        ),
        pytest.param(
            ["serve"],
            {"QUEUE__SEALING_KEYS": "c2hvcnQ="},
            "Sealing key 1 is not base64 of 32 octets",
            id="no-such-sealing-key",
        ),
        pytest.param(["serve"], {"QUEUE__MODE": "memory"}, "go together", id="no-queue"),
        pytest.param(
            ["work"], {"STORE__URL": "sqlite:///record.db"}, "go together", id="no-postgresql"
        ),
        pytest.param(
            ["work"],
            {"STORE__URL": "sqlite:///record.db", "QUEUE__MODE": "memory"},
            "can only be apart",
            id="work-in-memory",
        ),
        pytest.param(
            ["serve", "--no-worker"],
            {"STORE__URL": "sqlite:///record.db", "QUEUE__MODE": "memory"},
            "can only be apart",
            id="nobody-to-work",
        ),
        pytest.param(
            ["serve"], {"QUEUE__TAKEOVER_S": "1"}, "QUEUE__TAKEOVER_S must be", id="hasty"
        ),
        pytest.param(
            ["serve"], {"QUEUE__SEALING_KEYS_FILE": "keys"}, "not both", id="keys-in-two-places"
        ),
    ],
)
def test_what_cannot_work_refuses_to_start_with_a_sentence(
    home: Home,
    settings: dict[str, str],
    command: list[str],
    changed: dict[str, str],
    sentence: str,
) -> None:
    code, log = home.run(*command, **{**settings, **changed})

    assert code == 1
    assert sentence in log
    assert "Traceback" not in log
    assert "c2hvcnQ=" not in log


def test_a_database_that_was_not_migrated_is_refused_with_a_sentence(
    home: Home, postgres_url: str
) -> None:
    settings = {
        "STORE__URL": postgres_url,
        "QUEUE__MODE": "postgres",
        "QUEUE__SEALING_KEYS": new_sealing_key(),
    }

    code, log = home.run("serve", **settings)

    assert code == 1
    assert "python -m app migrate" in log
