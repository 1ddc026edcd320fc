"""The record, the audit trail and the advice name every version that was made, once it is known."""

from collections.abc import AsyncIterator

import pytest

from app.deployment import trail
from app.deployment.connector import Held
from app.deployment.model import Deployment, Outcome, State
from app.emulator import AnotherWriter, Answer, Drop, Fault, StaleRead, StoreAnother
from tests.certificates import NOW, Authority, Issued
from tests.connectors.azure_key_vault.middlebox import Middlebox
from tests.connectors.azure_key_vault.playground import NAME, Playground
from tests.connectors.azure_key_vault.rollback.leap import leaping, past_the_deadline

SPOILED = Fault(operation="import", effect=StoreAnother())
LOST = Fault(operation="import", effect=Drop(applied=True))
BLIND = Fault(operation="get_certificate", effect=Answer(status=503), count=2)
FORBIDDEN = Answer(status=403, code="Forbidden", inner="ForbiddenByRbac")
NO_READ_BACK = Fault(operation="get_certificate", effect=FORBIDDEN, nth=2, count=None)


@pytest.fixture(name="late")
async def _late(behind: Playground) -> AsyncIterator[Playground]:
    """A playground behind the box, whose time may be over at any moment."""
    with leaping():
        yield behind


def made(play: Playground) -> list[str]:
    return [one.version for one in play.vault.versions(NAME)]


def told(final: Deployment) -> tuple[object, object]:
    """What the audit trail says: our version, and that of the rollback."""
    details = trail.event(final, id="evt-1", at=NOW).details
    return details.get("version_id"), details.get("rollback_version_id")


async def test_a_first_import_found_by_the_rollback_is_named_and_said_to_have_been_made(
    play: Playground, new: Issued
) -> None:
    run = await play.deploy(new, at={State.IMPORTING: [LOST, BLIND]})

    (ours,) = made(play)
    assert run.final.state is State.FAILED
    assert (run.final.version_id, run.code) == (ours, "verification-failed")
    assert run.final.error is not None
    assert ours in run.final.error.message
    assert "import-outcome-unknown" in run.final.error.message
    assert told(run.final) == (ours, None)


async def test_a_first_import_that_nobody_found_is_not_said_to_have_been_made(
    play: Playground, new: Issued
) -> None:
    stale = Fault(operation="get_certificate", effect=StaleRead(), count=None)

    run = await play.deploy(new, at={State.IMPORTING: [LOST, BLIND], State.ROLLING_BACK: [stale]})

    assert (run.final.version_id, run.code) == (None, "import-outcome-unknown")


async def test_an_import_without_an_answer_is_named_once_it_is_found_and_undone(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)

    run = await play.deploy(new, at={State.IMPORTING: [LOST, BLIND]})

    _, failed, restored = made(play)
    assert run.final.state is State.ROLLED_BACK
    assert run.code == "import-outcome-unknown"
    assert told(run.final) == (failed, restored)


async def test_an_import_without_an_answer_is_named_where_its_rollback_is_refused(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    refused = Fault(operation="import", effect=FORBIDDEN)

    run = await play.deploy(new, at={State.IMPORTING: [LOST, BLIND], State.ROLLING_BACK: [refused]})

    _, failed = made(play)
    assert run.final.state is State.ROLLBACK_FAILED
    assert run.final.error is not None
    assert f"Ours is version {failed}." in run.final.error.message
    assert told(run.final) == (failed, None)


async def test_a_rollback_that_cannot_be_read_back_names_the_version_it_made(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)

    run = await play.deploy(
        new, at={State.IMPORTING: [SPOILED], State.ROLLING_BACK: [NO_READ_BACK]}
    )

    _, failed, restored = made(play)
    assert run.final.state is State.ROLLBACK_FAILED
    assert run.final.rollback is not None
    assert run.final.rollback.outcome is Outcome.ALSO_FAILED
    assert run.final.rollback.version_id == restored
    assert run.final.error is not None
    assert f"The rollback made version {restored}." in run.final.error.message
    assert told(run.final) == (failed, restored)


async def test_a_spoiled_rollback_whose_tags_left_no_room_for_our_id_is_not_taken_for_a_strangers(
    play: Playground, old: Issued, new: Issued
) -> None:
    """The version that it undoes is known from a look only, and its tag alone tells whose it is."""
    play.store(old, tags={f"tag-{number}": "x" for number in range(15)})

    run = await play.deploy(
        new, at={State.IMPORTING: [LOST, BLIND], State.ROLLING_BACK: [SPOILED, LOST]}
    )

    _, failed, restored = made(play)
    assert "certctl-deployment-id" not in play.latest.tags
    assert run.final.state is State.ROLLBACK_FAILED
    assert told(run.final) == (failed, restored)


async def test_a_rollback_whose_time_is_over_before_its_read_back_names_the_version_it_made(
    late: Playground, box: Middlebox, old: Issued, new: Issued
) -> None:
    late.store(old)
    box.on("GET", f"/certificates/{NAME}", times=3)  # the snapshot, the read-back, the look
    box.on("GET", f"/certificates/{NAME}", then=past_the_deadline)

    run = await late.deploy(new, at={State.IMPORTING: [SPOILED]})

    _, failed, restored = made(late)
    assert run.final.state is State.ROLLBACK_FAILED
    assert run.final.rollback is not None
    assert run.final.rollback.reason == "deadline-exceeded"
    assert told(run.final) == (failed, restored)


async def test_a_rollback_done_before_a_crash_is_named_where_it_is_not_what_it_should_be(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    at = {State.IMPORTING: [SPOILED], State.ROLLING_BACK: [SPOILED]}
    held, waiting = Held(new.bundle()), play.deployment(new)
    died = await play.run(waiting, held, at=at, dies=lambda reached: reached.final)

    run = await play.run(died.final)

    _, failed, restored = made(play)
    assert run.final.state is State.ROLLBACK_FAILED
    assert told(run.final) == (failed, restored)


async def test_what_a_crash_took_of_a_failed_import_is_told_by_the_tag_of_its_rollback(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    held, waiting = Held(new.bundle()), play.deployment(new)
    at = {State.IMPORTING: [LOST, BLIND]}
    died = await play.run(waiting, held, at=at, dies=lambda reached: reached.final)

    run = await play.run(died.final)

    _, failed, restored = made(play)
    assert died.final.version_id is None
    assert run.final.state is State.ROLLED_BACK
    assert told(run.final) == (failed, restored)


async def test_a_rollback_that_another_writer_overtook_names_the_version_it_made(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    overtaken = Fault(operation="import", effect=AnotherWriter())

    run = await play.deploy(new, at={State.IMPORTING: [SPOILED], State.ROLLING_BACK: [overtaken]})

    _, failed, restored, _ = made(play)
    assert run.final.state is State.SUPERSEDED
    assert run.final.rollback is not None
    assert run.final.rollback.outcome is None
    assert told(run.final) == (failed, restored)


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("version-disabled", "is disabled: enable it first, then put it back, or"),
        ("certificate-expired", "has expired: import a certificate that is right."),
    ],
)
async def test_a_person_is_told_what_can_be_done_with_a_version_that_cannot_be_put_back(
    play: Playground, ca: Authority, new: Issued, reason: str, advice: str
) -> None:
    expired = reason == "certificate-expired"
    there = play.store(ca.issue(days=-1 if expired else 90)).version
    if not expired:
        play.vault.set_enabled(NAME, there, False)

    run = await play.deploy(new, at={State.IMPORTING: [SPOILED]})

    assert run.final.state is State.ROLLBACK_FAILED
    assert run.final.rollback is not None
    assert run.final.rollback.reason == reason
    assert run.final.error is not None
    assert f"Version {there} was there before, but {advice}" in run.final.error.message
    assert "Put back version" not in run.final.error.message
