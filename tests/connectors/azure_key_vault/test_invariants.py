"""The invariants can fail: what is told otherwise than it was is found out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from app.deployment.model import SUCCESS, Failure, Outcome, State
from app.emulator import AnotherWriter, Fault, StoreAnother
from tests.certificates import Issued
from tests.connectors.azure_key_vault import invariants
from tests.connectors.azure_key_vault.auditor import auditing
from tests.connectors.azure_key_vault.doings import Stage
from tests.connectors.azure_key_vault.overheard import overhearing
from tests.connectors.azure_key_vault.playground import Playground
from tests.connectors.azure_key_vault.proving import Proving, proving
from tests.connectors.azure_key_vault.secrecy import needles
from tests.connectors.azure_key_vault.troubles import Trouble
from tests.connectors.azure_key_vault.witness import Seen

WHY = Failure(
    code="verification-failed", message="It is not.", retryable=False, step=State.VERIFYING
)
Lie = Callable[[Seen], Seen]


@pytest.fixture(name="proves")
def _proves(play: Playground, old: Issued) -> Iterator[Proving]:
    play.store(old)
    with proving(play) as found:
        yield found


def at_import(effect: Any) -> Trouble:  # noqa: ANN401 - an effect
    return Trouble(name="told", at=State.IMPORTING, does=Fault(operation="import", effect=effect))


def told(state: State, **changes: Any) -> Lie:  # noqa: ANN401 - the fields of Deployment
    """The same deployment, told to have ended otherwise."""

    said: dict[str, Any] = {"error": WHY, "result": None} if state not in SUCCESS else {}

    def lie(seen: Seen) -> Seen:
        final = replace(seen.final, state=state, **said, **changes)
        return replace(seen, final=final, saved=(*seen.saved[:-1], final))

    return lie


def told_restored(seen: Seen) -> Seen:
    assert seen.final.rollback is not None
    assert seen.now is not None
    restored = replace(seen.final.rollback, outcome=Outcome.RESTORED, version_id=seen.now.version)
    return told(State.ROLLED_BACK, rollback=restored)(seen)


def without_looks(seen: Seen) -> Seen:
    return replace(seen, moments=tuple(one for one in seen.moments if not one.looked))


def imported_twice(seen: Seen) -> Seen:
    """The import once more, after a look that showed it."""
    again = [one for one in seen.moments if one.what == "import"]
    return replace(seen, moments=(*seen.moments, *again))


def unnamed(seen: Seen) -> Seen:
    """The record without the versions that were made."""
    assert seen.final.rollback is not None
    rollback = replace(seen.final.rollback, version_id=None)
    return replace(seen, final=replace(seen.final, version_id=None, rollback=rollback))


def not_exportable(seen: Seen) -> Seen:
    """What was put back has a key that nobody can read, though one could before."""
    *earlier, last = seen.moments
    assert last.looked
    assert last.after is not None
    entry = replace(last.after, policy={**last.after.policy, "key_props": {"exportable": False}})
    return replace(seen, moments=(*earlier, replace(last, before=entry, after=entry)))


def made_twice(seen: Seen) -> Seen:
    """The import once more, after a look that showed what had been there before it."""
    looks = [one for one in seen.moments if one.looked and one.state is State.SNAPSHOTTING]
    (sent,) = [one for one in seen.moments if one.what == "import"]
    return replace(seen, moments=(*looks, sent, *seen.moments))


WORKS: tuple[Trouble, ...] = ()
SPOILED = (at_import(StoreAnother()),)
OVERTAKEN = (at_import(AnotherWriter()),)
LIES = {
    "failed-but-served": (WORKS, told(State.FAILED)),
    "superseded-but-ours": (WORKS, told(State.SUPERSEDED)),
    "interrupted-but-served": (WORKS, told(State.INTERRUPTED)),
    "unchanged-but-imported": (WORKS, told(State.UNCHANGED)),
    "an-import-without-a-look": (WORKS, without_looks),
    "an-import-of-what-was-seen": (WORKS, imported_twice),
    "failed-but-rolled-back": (SPOILED, told(State.FAILED)),
    "superseded-but-rolled-back": (SPOILED, told(State.SUPERSEDED)),
    "succeeded-but-rolled-back": (SPOILED, told(State.SUCCEEDED)),
    "rollback-failed-but-rolled-back": (SPOILED, told(State.ROLLBACK_FAILED)),
    "rolled-back-but-overtaken": (OVERTAKEN, told_restored),
    "failed-but-overtaken": (OVERTAKEN, told(State.FAILED)),
    "made-but-not-named": (WORKS, unnamed),
    "made-twice-without-need": (WORKS, made_twice),
    "rolled-back-but-not-named": (SPOILED, unnamed),
    "rolled-back-but-not-exportable": (SPOILED, not_exportable),
    "no-way-there": (WORKS, lambda seen: replace(seen, saved=(*seen.saved[:-2], seen.saved[-1]))),
}


@pytest.mark.parametrize(("troubles", "lie"), LIES.values(), ids=LIES.keys())
async def test_a_deployment_told_otherwise_than_it_was_is_found_out(
    proves: Proving, old: Issued, new: Issued, troubles: Sequence[Trouble], lie: Lie
) -> None:
    seen = await proves.deploy(Stage(play=proves.play, new=new, old=old), troubles)

    with auditing(proves.play.emulator) as auditor:
        invariants.hold(seen, auditor)
        with pytest.raises(AssertionError):
            invariants.hold(lie(seen), auditor)


async def test_a_key_in_what_is_said_or_saved_is_found_out(
    proves: Proving, old: Issued, new: Issued
) -> None:
    seen = await proves.deploy(Stage(play=proves.play, new=new, old=old))
    secrets = [*needles(new.key), *needles(old.key)]
    leaking = replace(seen.final, metadata={"note": f"{secrets[-1]}"})

    invariants.keep_secrets(seen, "nothing", secrets)
    with pytest.raises(AssertionError):
        invariants.keep_secrets(seen, f"a log line with {secrets[0]}", secrets)
    with pytest.raises(AssertionError):
        invariants.keep_secrets(replace(seen, saved=(leaking,)), "nothing", secrets)


async def test_logs_and_exceptions_are_overheard(play: Playground, new: Issued) -> None:
    play.emulator.deny(action="certificates/import/action")

    with overhearing(play) as heard:
        await play.deploy(new)

        said = heard.taken()
    assert "Request method: 'POST'" in said
    assert "TargetForbiddenRbac(" in said
