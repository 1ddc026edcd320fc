"""A first import has nothing to put back, so no failure to see it is a failed rollback."""

from collections.abc import AsyncIterator

import pytest

from app.connectors.azure_key_vault import tags
from app.deployment.connector import Held
from app.deployment.model import Plan, Rollback, State
from app.emulator import Answer, Drop, Fault, StaleRead
from app.emulator.effects import Effect
from tests.certificates import Issued
from tests.connectors.azure_key_vault.middlebox import Middlebox
from tests.connectors.azure_key_vault.playground import NAME, Playground, Run
from tests.connectors.azure_key_vault.rollback.leap import leaping, past_the_deadline

FORBIDDEN = Answer(status=403, code="Forbidden", inner="ForbiddenByRbac")
UNREADABLE: dict[str, Effect] = {
    "forbidden": FORBIDDEN,
    "unavailable": Answer(status=503),
    "not-found": Answer(status=404, code="CertificateNotFound"),
    "nowhere": Answer(status=404, code="NotFound"),
    "stale": StaleRead(),
    "dropped": Drop(),
}
LOST = Fault(operation="import", effect=Drop(applied=True))


@pytest.fixture(name="late")
async def _late(behind: Playground) -> AsyncIterator[Playground]:
    """A playground behind the box, whose time may be over at any moment."""
    with leaping():
        yield behind


def from_then_on(effect: Effect) -> Fault:
    return Fault(operation="get_certificate", effect=effect, count=None)


def ended_without_a_page(run: Run) -> None:
    assert run.final.state is State.FAILED
    assert run.final.rollback == Rollback(plan=Plan.NOT_NEEDED)
    assert run.final.error is not None
    assert "rollback" not in run.final.error.message
    assert "A person must look" not in run.final.error.message


@pytest.mark.parametrize("effect", UNREADABLE.values(), ids=UNREADABLE)
async def test_a_first_import_that_can_never_be_read_back_ends_failed_and_says_that_it_was_made(
    play: Playground, new: Issued, effect: Effect
) -> None:
    run = await play.deploy(new, at={State.VERIFYING: [from_then_on(effect)]})

    ended_without_a_page(run)
    assert run.code == "verification-failed"
    assert run.final.version_id == play.latest.version
    assert play.imports() == 1


async def test_its_message_says_once_what_kept_it_from_being_read_back(
    play: Playground, new: Issued
) -> None:
    run = await play.deploy(new, at={State.VERIFYING: [from_then_on(FORBIDDEN)]})

    assert run.final.error is not None
    said = f"Version {play.latest.version} was made, the first under this name, but not read back"
    assert run.final.error.message.startswith(f"{said} (target-forbidden-rbac): ")
    assert run.final.error.message.count("No Azure role assignment") == 1
    assert run.final.error.answer is not None
    assert run.final.error.answer.inner_code == "ForbiddenByRbac"


async def test_a_first_import_that_nobody_can_look_for_keeps_the_code_that_says_so(
    play: Playground, new: Issued
) -> None:
    run = await play.deploy(new, at={State.IMPORTING: [LOST, from_then_on(Answer(status=503))]})

    ended_without_a_page(run)
    assert (run.final.version_id, run.code) == (None, "import-outcome-unknown")
    assert run.final.error is not None
    assert not run.final.error.retryable


async def test_a_first_import_whose_rollback_takes_too_long_to_look_has_nothing_to_put_back(
    late: Playground, box: Middlebox, new: Issued
) -> None:
    box.on("GET", f"/certificates/{NAME}")  # the snapshot
    box.on("GET", f"/certificates/{NAME}", status=403, body=b"{}")  # the read-back
    box.on("GET", f"/certificates/{NAME}", then=past_the_deadline)

    run = await late.deploy(new)

    ended_without_a_page(run)
    assert (run.code, run.final.version_id) == ("verification-failed", late.latest.version)


async def test_a_first_import_that_cannot_be_read_after_a_crash_either_ends_failed(
    play: Playground, new: Issued
) -> None:
    def forbid() -> None:
        play.emulator.deny()

    begun = play.deployment(new)
    at = {State.VERIFYING: [forbid]}
    died = await play.run(begun, Held(new.bundle()), at=at, dies=lambda reached: reached.final)

    run = await play.run(died.final)

    ended_without_a_page(run)
    assert (run.code, run.final.version_id) == ("verification-failed", play.latest.version)
    assert play.latest.tags[tags.DEPLOYMENT_ID] == begun.id


async def test_another_writer_on_top_of_an_unread_first_import_is_still_seen(
    play: Playground, new: Issued, old: Issued
) -> None:
    once = Fault(operation="get_certificate", effect=FORBIDDEN)

    run = await play.deploy(
        new, at={State.VERIFYING: [once], State.ROLLING_BACK: [lambda: play.store(old)]}
    )

    assert run.final.state is State.SUPERSEDED
