"""The matrix: what could be put back, by what the import failed, and what the rollback met.

Every row asserts the same: what the record says is what the vault serves, with a key that works.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from app.connectors.azure_key_vault import previous
from app.deployment.model import Outcome, Plan, State
from app.emulator import (
    AnotherWriter,
    Answer,
    Drop,
    Fault,
    StaleRead,
    StoreAnother,
    StoredVersion,
)
from app.emulator.faults import Effect, Operation
from app.emulator.material import PEM
from tests.certificates import Authority, Issued, authority, self_signed
from tests.connectors.azure_key_vault.conftest import Open
from tests.connectors.azure_key_vault.playground import NAME, Happening, Playground, Run, holds

SECRETS = "secrets/getSecret/action"
MOST_SENT = 6  # three for the certificate, three for the rollback
STRANGER = authority("Stranger")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A vault before the deployment, and what is deployed."""

    new: Issued
    old: Issued | None = None
    previous_key: Issued | None = None
    force: bool = False


Set = Callable[[Playground, Authority], Scene]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A rollback plan and how it comes about."""

    name: str
    plan: Plan
    set: Set
    reason: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why a deployment fails, if it does: what happens at the import and at the read-back."""

    name: str
    end: str  # lands: the rollback has to act; none: nothing landed; fine: it succeeds
    importing: Sequence[Fault] = ()
    verifying: Sequence[Fault] = ()
    code: str | None = None


@dataclass(frozen=True, kw_only=True)
class Meets:
    """What the rollback meets, and how it must end where there is something to put back."""

    name: str
    end: State
    faults: Sequence[Fault] = ()
    stranger: bool = False
    code: str | None = None


def fault(operation: Operation, effect: Effect, nth: int = 1, count: int | None = 1) -> Fault:
    return Fault(operation=operation, effect=effect, nth=nth, count=count)


# ---- the plans


def _nothing_yet(play: Playground, ca: Authority) -> Scene:
    return Scene(new=ca.issue())


def _forced(play: Playground, ca: Authority) -> Scene:
    same = ca.issue()
    play.store(same)
    return Scene(new=same, old=same, force=True)


def _as_pfx(play: Playground, ca: Authority) -> Scene:
    scene = Scene(new=ca.issue(), old=ca.issue())
    play.store(_old(scene), tags={"owner": "web"})
    return scene


def _as_pem(play: Playground, ca: Authority) -> Scene:
    scene = Scene(new=ca.issue(), old=ca.issue())
    play.store(_old(scene), content_type=PEM)
    return scene


def _as_3des(play: Playground, ca: Authority) -> Scene:
    scene = Scene(new=ca.issue(), old=ca.issue())
    play.store(_old(scene), content_type=None)
    return scene


def _with_previous_key(play: Playground, ca: Authority) -> Scene:
    play.emulator.deny(action=SECRETS)
    scene = _as_pfx(play, ca)
    return replace(scene, previous_key=scene.old)


def _disabled_with_previous_key(play: Playground, ca: Authority) -> Scene:
    scene = _disabled(play, ca)
    return replace(scene, previous_key=scene.old)


def _self_signed_with_previous_key(play: Playground, ca: Authority) -> Scene:
    play.emulator.deny(action=SECRETS)
    old = self_signed("old.example", days=90)
    play.store(old)
    return Scene(new=ca.issue(), old=old, previous_key=old)


def _with_same_key(play: Playground, ca: Authority) -> Scene:
    play.emulator.deny(action=SECRETS, by="policy")
    scene = _as_pfx(play, ca)
    return replace(scene, new=ca.issue(key=_old(scene).key))


def _no_role(play: Playground, ca: Authority) -> Scene:
    play.emulator.deny(action=SECRETS)
    return _as_pfx(play, ca)


def _no_policy(play: Playground, ca: Authority) -> Scene:
    play.emulator.deny(action=SECRETS, by="policy")
    return _as_pfx(play, ca)


def _not_exportable(play: Playground, ca: Authority) -> Scene:
    scene = _as_3des(play, ca)
    play.change_policy(key_props={"exportable": False})
    return scene


def _not_exportable_pem(play: Playground, ca: Authority) -> Scene:
    scene = _as_pem(play, ca)
    play.change_policy(key_props={"exportable": False})
    return scene


def _disabled(play: Playground, ca: Authority) -> Scene:
    scene = _as_pfx(play, ca)
    play.vault.set_enabled(NAME, play.latest.version, False)
    return scene


def _expired(play: Playground, ca: Authority) -> Scene:
    scene = Scene(new=ca.issue(), old=ca.issue(days=-1))
    play.store(_old(scene))
    return scene


def _other_issuer(play: Playground, ca: Authority) -> Scene:
    play.emulator.deny(action=SECRETS)
    old = STRANGER.issue()
    play.store(old)
    return Scene(new=ca.issue(), old=old, previous_key=old)


def _old(scene: Scene) -> Issued:
    assert scene.old is not None
    return scene.old


CAN = (
    Case(name="same-certificate-forced", plan=Plan.NOT_NEEDED, set=_forced),
    Case(name="secret-pfx", plan=Plan.SECRET, set=_as_pfx),
    Case(name="secret-pem", plan=Plan.SECRET, set=_as_pem),
    Case(name="secret-3des", plan=Plan.SECRET, set=_as_3des),
    Case(name="previous-key", plan=Plan.PREVIOUS_KEY, set=_with_previous_key),
    Case(
        name="previous-key-of-a-disabled-version",
        plan=Plan.PREVIOUS_KEY,
        set=_disabled_with_previous_key,
    ),
    Case(
        name="previous-key-of-a-self-signed-leaf",
        plan=Plan.PREVIOUS_KEY,
        set=_self_signed_with_previous_key,
    ),
    Case(name="same-key", plan=Plan.SAME_KEY, set=_with_same_key),
)
FIRST = Case(name="first-import", plan=Plan.NOT_NEEDED, set=_nothing_yet)
CANNOT = tuple(
    Case(name=name, plan=Plan.IMPOSSIBLE, reason=reason, set=setting, options=options)
    for name, reason, setting, options in (
        ("no-role", previous.NO_PERMISSION, _no_role, {}),
        ("no-policy", previous.NO_PERMISSION, _no_policy, {}),
        ("not-asked", previous.NOT_ASKED, _as_pfx, {"read_previous_secret": "never"}),
        ("not-exportable", previous.NOT_EXPORTABLE, _not_exportable, {}),
        ("not-exportable-pem", previous.NOT_EXPORTABLE, _not_exportable_pem, {}),
        ("disabled", previous.DISABLED, _disabled, {}),
        ("expired", previous.EXPIRED, _expired, {}),
        ("other-issuer", previous.CHAIN_UNKNOWN, _other_issuer, {}),
    )
)

_503 = Answer(status=503, code="ServiceUnavailable")
_APPLIED_503 = Answer(status=503, code="ServiceUnavailable", applied=True)
_403 = Answer(status=403, code="Forbidden", inner="ForbiddenByRbac")
_429 = Answer(status=429, code="Throttled")

LANDS = (
    Cause(
        name="wrong-certificate",
        end="lands",
        importing=[fault("import", StoreAnother())],
        code="verification-failed",
    ),
    Cause(
        name="wrong-certificate-and-503",
        end="lands",
        importing=[fault("import", StoreAnother()), fault("import", _APPLIED_503)],
        code="verification-failed",
    ),
    Cause(
        name="read-back-fails",
        end="lands",
        verifying=[fault("get_certificate", _503, count=2)],
        code="target-unavailable",
    ),
    Cause(
        name="forbidden-in-between",
        end="lands",
        verifying=[fault("get_certificate", _403)],
        code="target-forbidden-rbac",
    ),
    Cause(
        name="read-back-stale",
        end="lands",
        verifying=[fault("get_certificate", StaleRead(), count=3)],
        code="verification-failed",
    ),
)
HARMLESS = (
    Cause(name="503-applied", end="fine", importing=[fault("import", _APPLIED_503)]),
    Cause(name="503-once", end="fine", importing=[fault("import", _503)]),
    Cause(name="dropped-after", end="fine", importing=[fault("import", Drop(applied=True))]),
    Cause(name="dropped-before-once", end="fine", importing=[fault("import", Drop())]),
    Cause(name="throttled-once", end="fine", importing=[fault("import", _429)]),
    Cause(
        name="503-always",
        end="none",
        importing=[fault("import", _503, count=None)],
        code="target-unavailable",
    ),
    Cause(
        name="504-always",
        end="none",
        importing=[fault("import", Answer(status=504), count=None)],
        code="import-outcome-unknown",
    ),
    Cause(
        name="dropped-always",
        end="none",
        importing=[fault("import", Drop(), count=None)],
        code="import-outcome-unknown",
    ),
    Cause(
        name="throttled-always",
        end="none",
        importing=[fault("import", _429, count=None)],
        code="target-throttled",
    ),
    Cause(
        name="forbidden",
        end="none",
        importing=[fault("import", _403)],
        code="target-forbidden-rbac",
    ),
)
WORKS = Meets(name="works", end=State.ROLLED_BACK)
STRANGERS = Meets(name="a-stranger-before", end=State.SUPERSEDED, stranger=True)
MEETS = (
    WORKS,
    STRANGERS,
    Meets(
        name="a-stranger-after",
        end=State.SUPERSEDED,
        faults=[fault("import", AnotherWriter())],
    ),
    Meets(
        name="a-stranger-after-503",
        end=State.SUPERSEDED,
        faults=[fault("import", AnotherWriter()), fault("import", _APPLIED_503)],
    ),
    Meets(
        name="403",
        end=State.ROLLBACK_FAILED,
        faults=[fault("import", _403, count=None)],
    ),
    Meets(name="503-applied", end=State.ROLLED_BACK, faults=[fault("import", _APPLIED_503)]),
    Meets(name="503-once", end=State.ROLLED_BACK, faults=[fault("import", _503)]),
    Meets(name="503-always", end=State.ROLLBACK_FAILED, faults=[fault("import", _503, count=None)]),
    Meets(
        name="dropped-after", end=State.ROLLED_BACK, faults=[fault("import", Drop(applied=True))]
    ),
    Meets(name="throttled-once", end=State.ROLLED_BACK, faults=[fault("import", _429)]),
    Meets(
        name="throttled-always",
        end=State.ROLLBACK_FAILED,
        faults=[fault("import", _429, count=None)],
    ),
    Meets(
        name="one-stale-read",
        end=State.ROLLED_BACK,
        faults=[fault("get_certificate", StaleRead(), nth=2)],
    ),
    Meets(
        name="stale-look",
        end=State.ROLLED_BACK,
        faults=[fault("get_certificate", StaleRead(), count=3)],
    ),
    Meets(
        name="stale-reads",
        end=State.ROLLBACK_FAILED,
        faults=[fault("get_certificate", StaleRead(), nth=2, count=None)],
    ),
    Meets(
        name="no-read",
        end=State.ROLLBACK_FAILED,
        faults=[fault("get_certificate", _503, count=None)],
    ),
    Meets(
        name="wrong-again",
        end=State.ROLLBACK_FAILED,
        faults=[fault("import", StoreAnother())],
    ),
)

ASKED_EVERYTHING = {"first-import", "same-certificate-forced", "secret-pfx", "no-role"}
ONE_OF_EACH_END = [one for one in HARMLESS if one.name in {"503-applied", "503-always"}]
MET_BY_EVERYTHING = {"wrong-certificate"}
TELLING = {"works", "a-stranger-before", "403", "503-applied", "stale-reads"}
MOST_TELLING = [one for one in MEETS if one.name in TELLING]


def _rows() -> Iterator[tuple[Case, Cause, Meets, State]]:
    """Every plan with every cause and every meeting, without repeating what cannot differ."""
    for case in (FIRST, *CAN, *CANNOT):
        for cause in HARMLESS if case.name in ASKED_EVERYTHING else ONE_OF_EACH_END:
            end = State.SUCCEEDED if cause.end == "fine" else State.FAILED
            yield case, cause, WORKS, end
    for cause in LANDS:
        for meets in MEETS if cause.name in MET_BY_EVERYTHING else MOST_TELLING:
            yield from ((case, cause, meets, _end(case, cause, meets)) for case in CAN)
        for case in (FIRST, *CANNOT):
            yield case, cause, WORKS, State.FAILED if case is FIRST else State.ROLLBACK_FAILED
    for case in (FIRST, *CANNOT):
        yield case, LANDS[0], STRANGERS, State.SUPERSEDED


def _end(case: Case, cause: Cause, meets: Meets) -> State:
    """As the rollback's own; but a stale read of the same certificate, still there, is true."""
    lets_it_stand = cause.importing == () and case.name == "same-certificate-forced"
    if meets.name == "stale-reads" and lets_it_stand:
        return State.ROLLED_BACK
    return meets.end


ROWS = [
    pytest.param(*row, id=f"{row[0].name}--{row[1].name}--rollback-{row[2].name}")
    for row in _rows()
]


@pytest.mark.parametrize(("case", "cause", "meets", "end"), ROWS)
async def test_what_the_record_says_is_what_the_vault_serves(
    open_playground: Open, ca: Authority, case: Case, cause: Cause, meets: Meets, end: State
) -> None:
    async with open_playground(**case.options) as play:
        scene = case.set(play, ca)
        before = play.vault.versions(NAME)
        rolling_back: list[Happening] = list(meets.faults)
        if meets.stranger:
            rolling_back.append(lambda: play.store(STRANGER.issue("stranger.example")))

        run = await play.deploy(
            scene.new,
            previous_key=scene.previous_key,
            force=scene.force,
            at={
                State.IMPORTING: cause.importing,
                State.VERIFYING: cause.verifying,
                State.ROLLING_BACK: rolling_back,
            },
        )

        assert run.final.rollback is not None
        assert run.saved[0].rollback is not None  # said before anything changed
        assert (run.saved[0].rollback.plan, run.saved[0].rollback.reason) == (
            case.plan,
            case.reason,
        )
        assert run.code == cause.code
        assert run.final.state is end
        _is_true(run, scene, before)
        _is_bounded(play, run)


def _is_true(run: Run, scene: Scene, before: list[StoredVersion]) -> None:
    """What is said is what is served, and nobody else's version was overwritten."""
    final, now = run.final, run.vault.versions(NAME)
    assert now[: len(before)] == before
    strangers = [one for one in now[len(before) :] if not one.tags]
    if strangers:
        assert now[-1] is strangers[-1]
    match final.state:
        case State.SUCCEEDED:
            _succeeded(run, scene, now[-1])
        case State.ROLLED_BACK:
            _rolled_back(run, scene, now[-1])
        case State.SUPERSEDED:
            assert strangers
        case State.FAILED:
            assert now == before or not before
            assert final.result is None
        case _:
            assert final.state is State.ROLLBACK_FAILED
            assert final.rollback is not None
            assert final.rollback.outcome is Outcome.ALSO_FAILED
            assert final.rollback.reason


def _succeeded(run: Run, scene: Scene, latest: StoredVersion) -> None:
    assert latest.enabled
    assert holds(latest, scene.new)
    assert run.final.result is not None
    assert run.final.result.deployment_id == latest.version
    assert latest.tags["certctl-deployment-id"] == run.final.id
    assert run.final.rollback is not None
    assert run.final.rollback.outcome is None


def _rolled_back(run: Run, scene: Scene, latest: StoredVersion) -> None:
    assert scene.old is not None
    assert run.final.snapshot is not None
    assert run.final.rollback is not None
    assert holds(latest, scene.old)
    assert latest.enabled is run.final.snapshot.enabled
    assert run.final.rollback.outcome is Outcome.RESTORED
    assert run.final.result is None
    failed = {one.version for one in run.vault.versions(NAME)} - {run.final.snapshot.version_id}
    assert latest.tags["certctl-rollback-of"] in failed
    assert latest.tags["certctl-deployment-id"] == run.final.id
    assert run.final.snapshot.tags.items() <= latest.tags.items()
    assert run.final.rollback.version_id in failed


def _is_bounded(play: Playground, run: Run) -> None:
    assert play.imports() <= MOST_SENT
    ours = [one for one in run.vault.versions(NAME) if "certctl-deployment-id" in one.tags]
    assert len(ours) <= 2
