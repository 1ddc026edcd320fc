"""`kill -9` at every call to the outside: whatever was sent is found, nothing is sent twice.

A real process is killed while a call is held up, and started again on the same record.
"""

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from app.emulator import Delay, Drop, Fault, StoreAnother, StoredVersion
from app.emulator.faults import Operation
from tests.certificates import Authority, Issued
from tests.service.processes import DEPLOY, Home, body

WRONG = Fault(operation="import", effect=StoreAnother())
CUT = Drop(applied=True)


def held_up(operation: Operation, nth: int = 1) -> Fault:
    """The call at which the process is killed: it does not get further."""
    return Fault(operation=operation, nth=nth, effect=Delay(seconds=600))


@dataclass(frozen=True, kw_only=True)
class Kill:
    """Where the process is killed, what went wrong before, and how it ends.

    `imports` is how many versions the deployment may have made, over both lives.
    """

    at: Fault
    faults: Sequence[Fault] = ()
    state: str
    code: str | None = None
    imports: int


KILLS = {
    "looking-for-the-certificate": Kill(
        at=held_up("get_certificate"), state="interrupted", code="key-gone", imports=0
    ),
    "looking-for-its-secret": Kill(
        at=held_up("get_secret"), state="interrupted", code="key-gone", imports=0
    ),
    "logging-in": Kill(at=held_up("token"), state="interrupted", code="key-gone", imports=0),
    "sending-the-import": Kill(
        at=held_up("import"), state="interrupted", code="key-gone", imports=0
    ),
    "looking-for-an-import-that-landed-without-an-answer": Kill(
        faults=[Fault(operation="import", effect=CUT)],
        at=held_up("get_certificate", 2),
        state="succeeded",
        imports=1,
    ),
    "reading-back": Kill(at=held_up("get_certificate", 2), state="succeeded", imports=1),
    "looking-before-the-rollback": Kill(
        faults=[WRONG],
        at=held_up("get_certificate", 3),
        state="rolled_back",
        code="verification-failed",
        imports=2,
    ),
    "sending-the-rollback": Kill(
        faults=[WRONG],
        at=held_up("import", 2),
        state="rolled_back",
        code="verification-failed",
        imports=2,
    ),
    "looking-for-a-rollback-that-landed-without-an-answer": Kill(
        faults=[WRONG, Fault(operation="import", nth=2, effect=CUT)],
        at=held_up("get_certificate", 4),
        state="rolled_back",
        code="verification-failed",
        imports=2,
    ),
    "reading-back-the-rollback": Kill(
        faults=[WRONG],
        at=held_up("get_certificate", 4),
        state="rolled_back",
        code="verification-failed",
        imports=2,
    ),
}


@pytest.mark.parametrize("kill", KILLS.values(), ids=KILLS)
def test_after_a_kill_while(home: Home, ca: Authority, kill: Kill) -> None:
    old, new = ca.issue(), ca.issue()
    vault = home.emulator.vault("my-vault")
    vault.import_pem("api-prod", old.cert_pem, old.key_pem, old.chain_pem)

    id_ = _killed(home, kill, body(new))
    found = _after_a_start(home, id_)

    error = found["error"]
    assert (found["state"], error and error["code"]) == (kill.state, kill.code)
    versions = vault.versions("api-prod")
    assert len(versions) == 1 + kill.imports
    assert _serves(versions[-1], new if found["success"] else old)


def test_after_a_kill_a_rollback_whose_key_died_with_the_process_says_what_to_do(
    home: Home, ca: Authority
) -> None:
    old, new = ca.issue(), ca.issue()
    vault = home.emulator.vault("my-vault")
    before = vault.import_pem("api-prod", old.cert_pem, old.key_pem, old.chain_pem)
    kill = Kill(faults=[WRONG], at=held_up("import", 2), state="rollback_failed", imports=1)
    request = {**body(new), "previous_key_pem": old.key_pem}

    id_ = _killed(home, kill, request, AZURE__READ_PREVIOUS_SECRET="never")
    found = _after_a_start(home, id_, AZURE__READ_PREVIOUS_SECRET="never")

    assert (found["state"], found["rollback"]["plan"]) == ("rollback_failed", "previous_key")
    assert f"Put back version {before.version}" in found["error"]["message"]
    assert found["error"]["retryable"] is False
    assert len(vault.versions("api-prod")) == 2


def test_after_a_kill_what_still_waited_is_interrupted_and_may_be_sent_again(
    home: Home, ca: Authority
) -> None:
    first, second = ca.issue(), ca.issue()
    home.emulator.faults.add(held := held_up("import"))
    key = {"Idempotency-Key": "second"}
    with home.service() as (process, http):
        http.post(DEPLOY, json=body(first))
        home.emulator.faults.wait_until_met(held)
        waits = http.post(DEPLOY, json=body(second), headers=key).json()
        process.signal(signal.SIGKILL)
        process.wait()
    home.emulator.faults.clear()

    with home.service() as (_, http):
        ended = http.get(f"/api/v1/deployments/{waits['id']}", headers=_WAIT).json()
        again = http.post(DEPLOY, json=body(second), headers={**key, **_WAIT}).json()

    assert (waits["state"], ended["state"]) == ("queued", "interrupted")
    assert (again["state"], again["attempt"]) == ("succeeded", 2)
    assert again["previous_attempt"] == waits["id"]


_WAIT = {"Prefer": "wait=60"}


def _killed(home: Home, kill: Kill, request: dict[str, Any], **settings: str) -> str:
    """Deploy, kill where it is said, and let the vault be well again; the deployment's id."""
    for fault in (*kill.faults, kill.at):
        home.emulator.faults.add(fault)
    with home.service(**settings) as (process, http):
        accepted: httpx.Response = http.post(DEPLOY, json=request)
        home.emulator.faults.wait_until_met(kill.at)
        process.signal(signal.SIGKILL)
        process.wait()
    home.emulator.faults.clear()
    id_: str = accepted.json()["id"]
    return id_


def _after_a_start(home: Home, id_: str, **settings: str) -> dict[str, Any]:
    with home.service(**settings) as (_, http):
        found: dict[str, Any] = http.get(f"/api/v1/deployments/{id_}", headers=_WAIT).json()
        return found


def _serves(version: StoredVersion, issued: Issued) -> bool:
    key = version.private_key
    return (
        version.certificate == issued.leaf
        and key is not None
        and key.public_key() == (issued.leaf.public_key())
    )
