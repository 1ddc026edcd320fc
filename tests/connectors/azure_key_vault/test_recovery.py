"""After a crash the same function runs again on what was saved, with every key gone."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from app.deployment.connector import Held
from app.deployment.model import Deployment, Insist, Plan, State
from app.emulator import Answer, Fault, StoreAnother
from tests.certificates import Authority, Issued, authority
from tests.connectors.azure_key_vault.conftest import Open
from tests.connectors.azure_key_vault.middlebox import Middlebox
from tests.connectors.azure_key_vault.playground import (
    AT_ONCE,
    Crashed,
    Happenings,
    Playground,
    Run,
    serves,
)

WRONG: Happenings = {State.IMPORTING: [Fault(operation="import", effect=StoreAnother())]}
UNREADABLE = Fault(operation="get_certificate", effect=Answer(status=503), count=None)
SECRETS = "secrets/getSecret/action"


def before(state: State) -> Callable[[Deployment], bool]:
    """The process dies before *state* is saved: its step was done, and nobody knows."""
    return lambda reached: reached.state is state


async def _crashed(
    play: Playground,
    new: Issued,
    dies_before: State,
    *,
    at: Happenings | None = None,
    previous: Issued | None = None,
) -> Run:
    key = previous.bundle().key if previous else None
    held = Held(new.bundle(), key)
    run = await play.run(play.deployment(new), held, at=at, dies=before(dies_before))
    assert not run.final.final
    return run


async def test_a_crash_before_the_snapshot_was_saved_interrupts(
    play: Playground, new: Issued
) -> None:
    run = await play.run(play.deployment(new))

    assert run.final.state is State.INTERRUPTED
    assert run.code == "key-gone"
    assert play.emulator.writes == 0


async def test_a_crash_before_the_snapshot_was_saved_still_finds_it_unchanged(
    play: Playground, new: Issued
) -> None:
    await play.deploy(new)

    run = await play.run(play.deployment(new))

    assert run.final.state is State.UNCHANGED


async def test_a_crash_before_the_import_was_sent_interrupts(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    waiting = play.deployment(new)
    standing = await play.connector.snapshot(waiting, Held(new.bundle()))
    from_disk = play.deployment(
        new, state=State.IMPORTING, snapshot=standing.snapshot, rollback=standing.rollback
    )

    run = await play.run(from_disk)

    assert run.final.state is State.INTERRUPTED
    assert serves(play.vault, old)
    assert play.imports() == 0


async def test_an_import_that_landed_before_the_crash_is_verified(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    crashed = await _crashed(play, new, State.VERIFYING)

    run = await play.run(crashed.final)

    assert crashed.final.state is State.IMPORTING
    assert run.states == [State.VERIFYING, State.SUCCEEDED]
    assert serves(play.vault, new)
    assert play.imports() == 1


async def test_a_wrong_import_that_landed_before_the_crash_is_rolled_back(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    crashed = await _crashed(play, new, State.VERIFYING, at=WRONG)

    run = await play.run(crashed.final)

    assert run.final.state is State.ROLLED_BACK
    assert serves(play.vault, old)


async def test_an_import_whose_key_is_still_held_is_sent_after_a_look(
    play: Playground, new: Issued
) -> None:
    resumed = play.deployment(new, state=State.IMPORTING)

    run = await play.run(resumed, Held(new.bundle()))

    assert run.final.state is State.SUCCEEDED
    assert play.calls[:4] == ["get_certificate", "get_certificate", "get_certificate", "import"]


async def test_a_stranger_who_wrote_during_the_crash_is_left_alone(
    play: Playground, old: Issued, new: Issued
) -> None:
    crashed = await _crashed(play, new, State.VERIFYING)
    play.store(old)

    run = await play.run(crashed.final)

    assert run.final.state is State.SUPERSEDED
    assert serves(play.vault, old)


async def test_a_verification_is_done_again(play: Playground, new: Issued) -> None:
    crashed = await _crashed(play, new, State.SUCCEEDED)

    run = await play.run(crashed.final)

    assert run.states == [State.SUCCEEDED]
    assert run.final.result is not None
    assert play.imports() == 1


async def test_a_rollback_by_secret_reads_the_previous_secret_again(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    died = await play.run(
        play.deployment(new), Held(new.bundle()), at={**WRONG, State.ROLLING_BACK: [_dies]}
    )
    assert died.final.state is State.ROLLING_BACK

    run = await play.run(died.final)

    assert run.final.state is State.ROLLED_BACK
    assert serves(play.vault, old)
    assert play.calls[-4:] == ["get_certificate_version", "get_secret", "import", "get_certificate"]


async def test_a_rollback_that_was_done_before_the_crash_is_not_done_twice(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    died = await _crashed(play, new, State.ROLLED_BACK, at=WRONG)

    run = await play.run(died.final)

    assert run.final.state is State.ROLLED_BACK
    assert run.final.rollback is not None
    assert run.final.rollback.version_id == play.latest.version
    assert play.imports() == 2


@pytest.mark.parametrize("plan", [Plan.PREVIOUS_KEY, Plan.SAME_KEY])
async def test_a_rollback_whose_key_died_with_the_process_says_so(
    play: Playground, ca: Authority, old: Issued, new: Issued, plan: Plan
) -> None:
    play.emulator.deny(action=SECRETS)
    play.store(old)
    sent = new if plan is Plan.PREVIOUS_KEY else ca.issue(key=old.key)
    died = await _crashed(
        play, sent, State.ROLLING_BACK, at=WRONG, previous=old if sent is new else None
    )
    assert died.final.rollback is not None
    assert died.final.rollback.plan is plan

    run = await play.run(died.final)

    assert run.final.state is State.ROLLBACK_FAILED
    assert run.code == "verification-failed"
    assert run.final.rollback is not None
    assert run.final.rollback.reason == "rollback-impossible"
    assert play.imports() == 1


@pytest.mark.parametrize("gone", ["secret", "key"])
async def test_a_previous_secret_that_cannot_be_read_again_fails_the_rollback(
    play: Playground, old: Issued, new: Issued, gone: str
) -> None:
    play.store(old)
    died = await _crashed(play, new, State.ROLLING_BACK, at=WRONG)
    if gone == "secret":
        missing = Answer(status=404, code="SecretNotFound")
        play.emulator.faults.add(Fault(operation="get_secret", effect=missing))
    else:
        play.change_policy(key_props={"exportable": False})

    run = await play.run(died.final)

    assert run.final.state is State.ROLLBACK_FAILED
    assert run.final.error is not None
    said = "The previous version's secret is no longer there with its key."
    assert f"(rollback-impossible): {said}" in run.final.error.message
    assert play.imports() == 1


async def test_another_writer_who_came_while_the_previous_secret_was_read_again_is_left_alone(
    behind: Playground,
    box: Middlebox,
    old: Issued,
    new: Issued,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.connectors.azure_key_vault.before._FRESH_S", 0)
    behind.store(old)
    died = await _crashed(behind, new, State.ROLLING_BACK, at=WRONG)
    theirs = authority("Stranger").issue()
    box.on("GET", "/secrets/", then=lambda: behind.store(theirs))

    run = await behind.run(died.final)

    assert run.final.state is State.SUPERSEDED
    assert serves(behind.vault, theirs)


async def test_a_rollback_of_the_same_certificate_needs_its_key(
    play: Playground, new: Issued
) -> None:
    play.store(new)
    held = Held(new.bundle())
    died = await play.run(
        play.deployment(new, force=True), held, at=WRONG, dies=before(State.ROLLING_BACK)
    )

    run = await play.run(died.final)

    assert run.final.state is State.ROLLBACK_FAILED


async def test_a_crash_in_the_middle_of_the_waits_of_an_unclear_import_is_settled_by_looking(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    faults = [Fault(operation="import", effect=Answer(status=503, applied=True))]
    crashed = await _crashed(play, new, State.VERIFYING, at={State.IMPORTING: faults})

    run = await play.run(crashed.final)

    assert run.final.state is State.SUCCEEDED
    assert play.imports() == 1


async def test_an_import_that_may_have_landed_before_the_crash_is_not_said_to_have_changed_nothing(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    crashed = await _crashed(play, new, State.VERIFYING)
    play.emulator.faults.add(UNREADABLE)

    run = await play.run(crashed.final)

    assert run.final.state is State.ROLLBACK_FAILED
    assert run.code == "import-outcome-unknown"
    assert serves(play.vault, new)


async def test_a_vault_that_cannot_be_read_for_a_while_after_a_crash_is_waited_for(
    open_playground: Open, old: Issued, new: Issued
) -> None:
    async with open_playground(patience=replace(AT_ONCE, down=(0, 0))) as play:
        play.store(old)
        crashed = await _crashed(play, new, State.VERIFYING)
        play.emulator.faults.add(replace(UNREADABLE, count=5))

        run = await play.run(crashed.final)

        assert run.final.state is State.SUCCEEDED
        assert play.imports() == 1


async def test_insisting_on_a_rollback_does_not_stop_a_recovery(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    waiting = play.deployment(new, insist=Insist.REQUIRED)
    crashed = await play.run(waiting, Held(new.bundle()), dies=before(State.VERIFYING))

    run = await play.run(crashed.final)

    assert run.final.state is State.SUCCEEDED


def _dies() -> None:
    """The process dies right after a state was saved."""
    raise Crashed
