"""`kill -9` at every call to the outside: whatever was sent is found, nothing is sent twice.

A real process is killed while a call is held up, and started again on the same record. Most of a
story is waiting for an import that may still be on its way, so all are lived through side by side.
"""

import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.emulator import Drop, Emulator, Fault, StoreAnother, StoredVersion
from tests.certificates import Authority, Issued
from tests.service.processes import DEPLOY, Home, body, held_up

WRONG = Fault(operation="import", effect=StoreAnother())
CUT = Drop(applied=True)


@dataclass(frozen=True, kw_only=True)
class Kill:
    """Where the process is killed, what went wrong before, and how it ends.

    `imports` is how many versions the deployment may have made, over both lives. With `no_secret`
    the previous key comes with the request, for its secret may not be read.
    """

    at: Fault
    faults: Sequence[Fault] = ()
    state: str
    code: str | None = None
    imports: int
    no_secret: bool = False


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


_SIDE_BY_SIDE = 6  # for each starts a service, twice
KEY_DIED = "sending-a-rollback-whose-key-dies-with-the-process"
STORIES = {
    **KILLS,
    KEY_DIED: Kill(
        faults=[WRONG],
        at=held_up("import", 2),
        state="rollback_failed",
        code="key-gone",
        imports=1,
        no_secret=True,
    ),
}


@dataclass(frozen=True, kw_only=True)
class End:
    """How it ended: the record, the versions, and which of the two certificates is served."""

    found: dict[str, Any]
    versions: Sequence[StoredVersion]
    old: Issued
    new: Issued


@pytest.fixture(name="ends", scope="module")
def _ends(ca: Authority, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, End]:
    homes = [tmp_path_factory.mktemp("home") for _ in STORIES]
    olds, news = ([ca.issue() for _ in STORIES] for _ in range(2))
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as side_by_side:
        ends = side_by_side.map(_live, homes, STORIES.values(), olds, news)
        return dict(zip(STORIES, ends, strict=True))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("story", KILLS)
def test_after_a_kill_while(ends: Mapping[str, End], story: str) -> None:
    kill, end = STORIES[story], ends[story]

    error = end.found["error"]
    assert (end.found["state"], error and error["code"]) == (kill.state, kill.code)
    assert len(end.versions) == 1 + kill.imports
    assert _serves(end.versions[-1], end.new if end.found["success"] else end.old)


@pytest.mark.timeout(300)
def test_after_a_kill_a_rollback_whose_key_died_with_the_process_says_what_to_do(
    ends: Mapping[str, End],
) -> None:
    found, versions = ends[KEY_DIED].found, ends[KEY_DIED].versions

    assert (found["state"], found["rollback"]["plan"]) == ("rollback_failed", "previous_key")
    assert f"Put back version {versions[0].version}" in found["error"]["message"]
    assert found["error"]["retryable"] is False
    assert len(versions) == 2


def test_after_a_kill_what_still_waited_is_interrupted_and_may_be_sent_again(
    home: Home, ca: Authority
) -> None:
    first, second = ca.issue(), ca.issue()
    home.emulator.faults.add(held := held_up("get_certificate"))
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


def _live(folder: Path, kill: Kill, old: Issued, new: Issued) -> End:
    """Deploy *new* over *old*, kill where it is said, let the vault be well, and start again."""
    with Emulator().running() as emulator:
        home, vault = Home(folder, emulator), emulator.vault("my-vault")
        vault.import_pem("api-prod", old.cert_pem, old.key_pem, old.chain_pem)
        settings = {"AZURE__READ_PREVIOUS_SECRET": "never"} if kill.no_secret else {}
        previous = {"previous_key_pem": old.key_pem} if kill.no_secret else {}
        for fault in (*kill.faults, kill.at):
            emulator.faults.add(fault)
        with home.service(**settings) as (process, http):
            id_ = http.post(DEPLOY, json={**body(new), **previous}).json()["id"]
            emulator.faults.wait_until_met(kill.at)
            process.signal(signal.SIGKILL)
            process.wait()
        emulator.faults.clear()
        with home.service(**settings) as (_, http):
            found = http.get(f"/api/v1/deployments/{id_}", headers=_WAIT).json()
        return End(found=found, versions=vault.versions("api-prod"), old=old, new=new)


def _serves(version: StoredVersion, issued: Issued) -> bool:
    key = version.private_key
    return (
        version.certificate == issued.leaf
        and key is not None
        and key.public_key() == (issued.leaf.public_key())
    )
