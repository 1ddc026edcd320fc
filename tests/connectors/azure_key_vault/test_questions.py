"""A question changes nothing, and is answered truly, or as the vault says, or not at all."""

from collections.abc import Mapping
from typing import Final

import pytest

from app.deployment.model import State
from app.emulator import Answer, Fault, StaleRead
from app.emulator.effects import Effect
from app.emulator.faults import Operation
from app.errors import NameSoftDeleted, TargetError, TargetUnavailable
from tests.certificates import Issued
from tests.connectors.azure_key_vault.playground import NAME, Playground
from tests.connectors.azure_key_vault.troubles import LOOKS

PLACES = ["there", "deleted", "never-there"]
TOLD_NONE = {"gone-it-says", "stale", "stale-twice", "stale-thrice"}
# what was deleted is never told as it was before: a stale read is one of a certificate
ANSWERS = {name: told for name, told in LOOKS.items() if not isinstance(told[0], StaleRead)}


def troubles(looks: Mapping[str, tuple[Effect, int]]) -> pytest.MarkDecorator:
    told = [(name, *trouble) for name, trouble in looks.items()]
    return pytest.mark.parametrize(("name", "effect", "count"), told, ids=looks.keys())


def _set(play: Playground, old: Issued, place: str) -> str | None:
    """The version that is served."""
    if place != "never-there":
        play.store(old)
    if place == "deleted":
        play.vault.soft_delete(NAME)
    return play.latest.version if place == "there" else None


@pytest.mark.parametrize("place", PLACES)
@troubles(LOOKS)
async def test_what_is_served_is_told_truly_or_not_at_all(
    play: Playground, old: Issued, name: str, effect: Effect, count: int, place: str
) -> None:
    served = _set(play, old, place)
    play.emulator.faults.add(Fault(operation="get_certificate", effect=effect, count=count))

    try:
        found = await play.connector.served(play.target())
        assert (found and found.version_id) == (None if name in TOLD_NONE else served)
    except TargetError:
        assert name not in TOLD_NONE
    assert play.emulator.writes == 0


@pytest.mark.parametrize("place", PLACES)
@troubles(ANSWERS)
async def test_a_deleted_name_is_told_truly_or_not_at_all(
    play: Playground, old: Issued, name: str, effect: Effect, count: int, place: str
) -> None:
    _set(play, old, place)
    play.emulator.faults.add(Fault(operation="get_deleted", effect=effect, count=count))
    told_none = name in {"gone-it-says", "no-vault-it-says"}

    try:
        found = await play.connector.conflict(play.target())
        assert isinstance(found, NameSoftDeleted) is (place == "deleted" and not told_none)
    except TargetError:
        assert "it-says" not in name
    assert play.emulator.writes == 0


BAD: Final = {
    "bad-request": Answer(status=400, code="BadParameter", message="Invalid version 4f7c"),
    "a-proxys": Answer(status=400, body="<html>Bad Request</html>"),
    "too-large": Answer(status=413, body=""),
}


@pytest.mark.parametrize("operation", ["get_certificate", "get_secret"])
@pytest.mark.parametrize("answer", BAD.values(), ids=BAD)
async def test_a_question_taken_for_a_bad_request_is_no_verdict_on_a_certificate(
    play: Playground, old: Issued, new: Issued, answer: Answer, operation: Operation
) -> None:
    play.store(old)
    play.emulator.faults.add(Fault(operation=operation, effect=answer, count=None))

    run = await play.deploy(new)

    assert (run.final.state, run.code) == (State.FAILED, "target-unavailable")
    assert run.final.error is not None
    assert run.final.error.message.startswith("The target took a question of ours for a bad")
    assert run.final.error.answer is not None
    assert run.final.error.answer.status == answer.status
    assert "4f7c" not in repr(run.saved)
    assert play.imports() == 0


async def test_what_the_vault_is_asked_in_between_is_no_verdict_either(play: Playground) -> None:
    bad = Fault(operation="get_certificate", effect=BAD["bad-request"], count=None)
    play.emulator.faults.add(bad)

    with pytest.raises(TargetUnavailable):
        await play.connector.served(play.target())


async def test_an_import_taken_for_a_bad_request_is_a_verdict_on_its_certificate(
    play: Playground, new: Issued
) -> None:
    play.emulator.faults.add(Fault(operation="import", effect=BAD["bad-request"]))

    run = await play.deploy(new)

    assert (run.final.state, run.code) == (State.FAILED, "certificate-rejected")


async def test_a_read_back_taken_for_a_bad_request_is_rolled_back_under_its_own_name(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    bad = Fault(operation="get_certificate", effect=BAD["bad-request"])

    run = await play.deploy(new, at={State.VERIFYING: [bad]})

    assert (run.final.state, run.code) == (State.ROLLED_BACK, "target-unavailable")
