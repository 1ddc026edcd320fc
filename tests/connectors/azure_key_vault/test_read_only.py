"""`plan` and `validate-deployment` only look, whatever the vault does: asked over the API.

An attempt that the vault refuses is no write, so what was asked of it is looked at as well.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

import httpx
import pytest

from app import pki
from app.api.access import Open
from app.api.rooms import Rooms
from app.api.underway import UnderWay
from app.connectors import REGISTRY
from app.emulator import (
    AnotherWriter,
    Answer,
    By,
    Delay,
    Drop,
    Fault,
    ForgetTags,
    StaleRead,
    StoreAnother,
)
from app.emulator.effects import Effect
from app.emulator.faults import Operation
from app.metrics import Metrics
from app.store import Store
from tests.api.conftest import client_of, furnished, ids
from tests.api.fakes import Line
from tests.certificates import Issued
from tests.conftest import Clock
from tests.connectors.azure_key_vault.playground import NAME, VAULT, Playground

READS: Final = {
    "get_certificate",
    "get_certificate_version",
    "get_secret",
    "get_deleted",
    "get_pending",
}
CONFIG: Final = {
    "vault_url": VAULT,
    "certificate_name": NAME,
    "credential_mode": "client_secret",
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """What the vault does, and what a caller is told of it; the old certificate is served."""

    when: str
    arrange: Callable[[Playground], object]
    action: str = "import"
    rollback: tuple[str, str | None] | None = ("secret", None)
    plan_code: str | None = None
    status: int = 200
    code: str | None = None
    valid: bool | None = True


def fault(effect: Effect, operation: Operation = "any") -> Callable[[Playground], object]:
    """Every call of an operation on the vault meets the effect."""
    lasting = Fault(operation=operation, effect=effect, vault="my-vault", count=None)
    return lambda play: play.emulator.faults.add(lasting)


def denial(action: str | None, by: By) -> Callable[[Playground], object]:
    return lambda play: play.emulator.deny("my-vault", action, by)


def blind(when: str, arrange: Callable[[Playground], object], status: int, code: str) -> Case:
    """Neither of the two can look."""
    return Case(
        when=when,
        arrange=arrange,
        action="blocked",
        rollback=None,
        plan_code=code,
        status=status,
        code=code,
        valid=None,
    )


def no_secret(when: str, arrange: Callable[[Playground], object], code: str) -> Case:
    """Only the plan looks at the secret, and it needs an answer."""
    return Case(when=when, arrange=arrange, action="blocked", rollback=None, plan_code=code)


def nothing_there(when: str, arrange: Callable[[Playground], object], **changes: Any) -> Case:  # noqa: ANN401 - fields of Case
    """The name seems to be free."""
    usual: dict[str, Any] = {"rollback": ("not_needed", None), "valid": False}
    return Case(when=when, arrange=arrange, **{**usual, **changes})


def deleted(play: Playground) -> None:
    play.vault.soft_delete(NAME)


def deleted_and_silent(play: Playground) -> None:
    play.vault.soft_delete(NAME)
    fault(Answer(status=503), "get_deleted")(play)


EFFECTS: Final = [
    blind("a 500", fault(Answer(status=500)), 502, "target-unavailable"),
    blind(
        "a 503 after the work", fault(Answer(status=503, applied=True)), 502, "target-unavailable"
    ),
    blind("throttling", fault(Answer(status=429, code="Throttled")), 503, "target-throttled"),
    blind("no identity", fault(Answer(status=401)), 502, "target-unauthenticated"),
    blind("a 403 of no known kind", fault(Answer(status=403)), 502, "target-forbidden"),
    blind("a 404 that names no certificate", fault(Answer(status=404)), 502, "target-unavailable"),
    blind("a cut connection", fault(Drop()), 504, "target-unreachable"),
    blind("a connection cut after the work", fault(Drop(applied=True)), 504, "target-unreachable"),
    Case(when="a delay", arrange=fault(Delay(seconds=0.01))),
    nothing_there("a stale read", fault(StaleRead())),
    Case(when="another writer", arrange=fault(AnotherWriter())),
    Case(when="another certificate stored", arrange=fault(StoreAnother())),
    Case(when="forgotten tags", arrange=fault(ForgetTags())),
    no_secret(
        "a 500 for the secret", fault(Answer(status=500), "get_secret"), "target-unavailable"
    ),
    no_secret("a cut connection for the secret", fault(Drop(), "get_secret"), "target-unreachable"),
    nothing_there("a deleted name", deleted, action="blocked", plan_code="name-soft-deleted"),
    nothing_there(
        "a deleted name that is not told",
        deleted_and_silent,
        action="blocked",
        rollback=None,
        plan_code="target-unavailable",
    ),
]


def denials(by: By) -> list[Case]:
    """The ways to be refused by one guard: everything, each kind of read, and the import."""
    code, secret = f"target-forbidden-{by}", "secrets/getSecret/action"
    unread = Case(
        when=f"{by} denies the secret",
        arrange=denial(secret, by),
        rollback=("impossible", "secret-permission-missing"),
    )
    # a firewall or a private link shuts out the whole vault, not one kind of read
    shut = no_secret(f"{by} denies the secret", denial(secret, by), code)
    return [
        blind(f"{by} denies all", denial(None, by), 502, code),
        blind(f"{by} denies reading", denial("certificates/read", by), 502, code),
        unread if by in {"rbac", "policy"} else shut,
        Case(when=f"{by} denies importing", arrange=denial("certificates/import/action", by)),
    ]


CASES: Final = [
    Case(when="nothing", arrange=lambda _: None),
    *EFFECTS,
    *(case for by in get_args(By) for case in denials(by)),
]
whatever_the_vault_does = pytest.mark.parametrize("case", CASES, ids=lambda case: case.when)


@pytest.fixture(name="http")
async def _http(play: Playground, now: Clock, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The API, with the connector over the embedded vault behind it."""
    store = await Store.open(f"sqlite:///{tmp_path}/store.db", now=now)
    rooms = Rooms(
        store=store,
        queue=Line(store, now),
        connectors={"AzureKeyVault": play.connector},
        kinds=REGISTRY,
        access=Open(),
        metrics=Metrics(version="1.2.3", build="abc"),
        now=now,
        new_id=ids(),
        under_way=UnderWay(),
        version="1.2.3",
        build="abc",
    )
    async with client_of(furnished(rooms)) as client:
        yield client
    await store.aclose()


@pytest.fixture(name="untouched")
def _untouched(play: Playground, old: Issued) -> Callable[[], bool]:
    """The vault serves the old certificate; says later whether it was asked, and only read."""
    play.store(old)

    def untouched() -> bool:
        asked = set(play.calls)
        return play.emulator.writes == 0 and bool(asked) and asked <= READS

    return untouched


def error_of(planned: dict[str, Any]) -> str | None:
    """What stands in the way, be it an error or a conflict."""
    found = planned["error"] or planned["conflict"]
    return found["code"] if found else None


@whatever_the_vault_does
async def test_a_plan_changes_nothing_and_says_what_it_saw(
    http: httpx.AsyncClient,
    play: Playground,
    untouched: Callable[[], bool],
    new: Issued,
    case: Case,
) -> None:
    case.arrange(play)
    asked = {"cert_pem": new.cert_pem, "chain_pem": new.chain_pem, "key_pem": new.key_pem}

    answer = await http.post(
        "/api/v1/connectors/AzureKeyVault/plan", json={**asked, "target_config": CONFIG}
    )

    planned = answer.json()
    assert answer.status_code == 200
    assert (planned["action"], error_of(planned)) == (case.action, case.plan_code)
    rollback = planned["rollback"] and (planned["rollback"]["plan"], planned["rollback"]["reason"])
    assert rollback == case.rollback
    assert untouched()


@whatever_the_vault_does
async def test_validating_a_deployment_changes_nothing_and_says_what_it_saw(
    http: httpx.AsyncClient,
    play: Playground,
    untouched: Callable[[], bool],
    old: Issued,
    case: Case,
) -> None:
    case.arrange(play)
    asked = {"thumbprint": pki.thumbprint(old.leaf), "target_config": CONFIG}

    answer = await http.post("/api/v1/connectors/AzureKeyVault/validate-deployment", json=asked)

    told = answer.json()
    assert (answer.status_code, told.get("code")) == (case.status, case.code)
    assert told.get("valid") is case.valid
    assert untouched()
