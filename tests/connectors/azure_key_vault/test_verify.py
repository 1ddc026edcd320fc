"""A deployment succeeds when the version we made is read back as what the vault serves."""

from dataclasses import replace

import pytest

from app.deployment.connector import Held
from app.deployment.model import State
from app.emulator import Answer, Fault, ForgetTags, StaleRead, StoreAnother
from tests.certificates import Issued
from tests.connectors.azure_key_vault.conftest import Open
from tests.connectors.azure_key_vault.middlebox import Middlebox
from tests.connectors.azure_key_vault.playground import AT_ONCE, NAME, Playground, Run, serves


def on_read(effect: StaleRead | Answer, count: int | None = 1) -> Fault:
    return Fault(operation="get_certificate", effect=effect, count=count)


def told(run: Run) -> str:
    """What a person reads."""
    assert run.final.error is not None
    return run.final.error.message


async def test_a_newer_version_of_another_writer_is_left_alone(
    play: Playground, old: Issued, new: Issued
) -> None:
    run = await play.deploy(new, at={State.VERIFYING: [lambda: play.store(old)]})

    assert run.final.state is State.SUPERSEDED
    assert run.code == "superseded"
    assert serves(play.vault, old)
    assert run.final.version_id == play.vault.versions(NAME)[0].version
    assert play.imports() == 1


@pytest.mark.parametrize("before", ["first-import", "renewal"])
async def test_a_stale_read_is_looked_at_again(
    play: Playground, old: Issued, new: Issued, before: str
) -> None:
    if before == "renewal":
        play.store(old)

    run = await play.deploy(new, at={State.VERIFYING: [on_read(StaleRead(), 2)]})

    assert run.final.state is State.SUCCEEDED
    assert play.imports() == 1


async def test_a_first_import_that_never_shows_fails_with_its_code(
    play: Playground, new: Issued
) -> None:
    run = await play.deploy(new, at={State.VERIFYING: [on_read(StaleRead(), None)]})

    assert run.final.state is State.FAILED
    assert run.code == "verification-failed"
    assert told(run) == "The vault took the import but shows no certificate under this name."
    assert play.imports() == 1


async def test_the_version_from_before_proves_nothing_though_its_certificate_is_the_same(
    play: Playground, new: Issued
) -> None:
    play.store(new)

    run = await play.deploy(new, force=True, at={State.VERIFYING: [on_read(StaleRead(), 3)]})

    assert run.code == "verification-failed"
    assert told(run) == "The vault took the import but keeps serving what was there before."


async def test_another_certificate_under_our_version_is_found_out(
    play: Playground, new: Issued
) -> None:
    wrong = Fault(operation="import", effect=StoreAnother())

    run = await play.deploy(new, at={State.IMPORTING: [wrong]})

    assert run.code == "verification-failed"
    assert told(run) == "The new version holds another certificate."


async def test_a_version_disabled_at_once_is_found_out_and_rolled_back(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)

    run = await play.deploy(
        new,
        at={State.VERIFYING: [lambda: play.vault.set_enabled(NAME, play.latest.version, False)]},
    )

    assert run.final.state is State.ROLLED_BACK
    assert run.code == "verification-failed"
    assert told(run) == "The new version is disabled, so it is not served."
    assert serves(play.vault, old)


@pytest.mark.parametrize(
    ("before", "end"), [("first-import", "failed"), ("renewal", "rollback_failed")]
)
async def test_a_certificate_deleted_meanwhile_is_neither_verified_nor_recovered(
    play: Playground, old: Issued, new: Issued, before: str, end: str
) -> None:
    if before == "renewal":
        play.store(old)

    run = await play.deploy(new, at={State.VERIFYING: [lambda: play.vault.soft_delete(NAME)]})

    assert run.final.state is State(end)
    assert run.code == "verification-failed"
    assert play.vault.latest(NAME) is None
    assert NAME in play.vault.deleted


async def test_a_deletion_before_the_rollback_says_why_it_failed(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)

    run = await play.deploy(new, at={State.VERIFYING: [lambda: play.vault.soft_delete(NAME)]})

    assert run.final.rollback is not None
    assert run.final.rollback.reason == "name-soft-deleted"
    assert told(run).startswith("The certificate was deleted from the vault meanwhile.")


async def test_a_deletion_right_after_the_rollback_is_told(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    wrong = Fault(operation="import", effect=StoreAnother())
    gone = Answer(status=404, code="CertificateNotFound")

    run = await play.deploy(
        new,
        at={
            State.IMPORTING: [wrong],
            State.ROLLING_BACK: [
                Fault(operation="get_certificate", effect=gone, nth=2, count=None)
            ],
        },
    )

    assert run.final.state is State.ROLLBACK_FAILED
    assert run.final.rollback is not None
    assert run.final.rollback.reason == "verification-failed"
    said = "(verification-failed): The certificate was deleted from the vault meanwhile."
    assert said in told(run)


async def test_a_read_back_that_shows_the_version_from_before_proves_no_rollback(
    behind: Playground, box: Middlebox, old: Issued, new: Issued
) -> None:
    """The certificate is the right one, but not the version that puts it back."""
    behind.store(old)
    before = behind.vault.entries[NAME]

    def stale() -> None:
        behind.vault.entries[NAME] = before

    run = await behind.deploy(
        new,
        at={
            State.IMPORTING: [Fault(operation="import", effect=StoreAnother())],
            State.ROLLING_BACK: [lambda: box.on("POST", "/import", then=stale)],
        },
    )

    assert run.final.state is State.ROLLBACK_FAILED
    assert "): The vault keeps serving what the rollback undoes. " in told(run)


async def test_a_rollback_that_is_disabled_at_once_is_no_rollback(
    behind: Playground, box: Middlebox, old: Issued, new: Issued
) -> None:
    behind.store(old)

    def disabled() -> None:
        behind.vault.set_enabled(NAME, behind.latest.version, False)

    run = await behind.deploy(
        new,
        at={
            State.IMPORTING: [Fault(operation="import", effect=StoreAnother())],
            State.ROLLING_BACK: [lambda: box.on("POST", "/import", then=disabled)],
        },
    )

    assert run.final.state is State.ROLLBACK_FAILED
    assert "): What is served after the rollback is something else. " in told(run)
    assert not serves(behind.vault, old)


async def test_the_very_same_certificate_imported_once_more_needs_no_rollback(
    play: Playground, new: Issued
) -> None:
    play.store(new)
    unreadable = on_read(Answer(status=503), 2)

    run = await play.deploy(new, force=True, at={State.VERIFYING: [unreadable]})

    assert run.final.state is State.ROLLED_BACK
    assert run.final.rollback is not None
    assert run.final.rollback.version_id == play.latest.version
    assert play.imports() == 1


async def test_tags_that_were_forgotten_are_a_warning(play: Playground, new: Issued) -> None:
    forgets = Fault(operation="import", effect=ForgetTags())

    run = await play.deploy(new, at={State.IMPORTING: [forgets]})

    assert run.final.state is State.SUCCEEDED
    assert run.warnings == ["tags-differ"]
    text = "The vault serves the certificate, but without the tags that were sent."
    assert run.final.warnings[0].message == text


async def test_a_rollback_whose_tags_were_forgotten_is_known_by_its_version(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)

    run = await play.deploy(
        new,
        at={
            State.IMPORTING: [Fault(operation="import", effect=StoreAnother())],
            State.ROLLING_BACK: [Fault(operation="import", effect=ForgetTags())],
        },
    )

    assert run.final.state is State.ROLLED_BACK
    assert run.final.rollback is not None
    assert run.final.rollback.version_id == play.latest.version
    assert serves(play.vault, old)


async def test_a_rollback_whose_form_was_changed_at_once_is_known_by_its_version_as_well(
    behind: Playground, box: Middlebox, old: Issued, new: Issued
) -> None:
    behind.store(old)

    def changed() -> None:
        behind.change_policy(key_props={"exportable": False})

    run = await behind.deploy(
        new,
        at={
            State.IMPORTING: [Fault(operation="import", effect=StoreAnother())],
            State.ROLLING_BACK: [
                Fault(operation="import", effect=ForgetTags()),
                lambda: box.on("POST", "/import", then=changed),
            ],
        },
    )

    assert run.final.state is State.ROLLED_BACK
    assert serves(behind.vault, old)


async def test_verifying_twice_tells_the_same(play: Playground, new: Issued) -> None:
    run = await play.deploy(new)
    again = replace(run.final, state=State.VERIFYING, result=None)

    first = await play.connector.verify(again)
    second = await play.connector.verify(again)

    assert first == second
    assert first.result == run.final.result


@pytest.mark.parametrize("what", ["first-import", "renewal"])
async def test_rolling_back_what_never_landed_puts_nothing_back(
    play: Playground, old: Issued, new: Issued, what: str
) -> None:
    if what == "renewal":
        play.store(old)
    held = Held(new.bundle())
    waiting = play.deployment(new)
    standing = await play.connector.snapshot(waiting, held)
    lost = replace(
        waiting,
        state=State.ROLLING_BACK,
        snapshot=standing.snapshot,
        rollback=standing.rollback,
    )

    assert await play.connector.roll_back(lost, held) is None
    assert play.imports() == 0


async def test_a_vault_that_cannot_be_read_for_a_while_is_no_reason_to_undo(
    open_playground: Open, new: Issued
) -> None:
    async with open_playground(patience=replace(AT_ONCE, down=(0, 0))) as play:
        run = await play.deploy(new, at={State.VERIFYING: [on_read(Answer(status=503), 5)]})

        assert run.final.state is State.SUCCEEDED
        assert play.imports() == 1
