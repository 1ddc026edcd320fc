"""What the pairs and the machine found, each as a scenario of its own."""

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from app import errors
from app.deployment.connector import Held
from app.deployment.model import Deployment, State
from app.emulator import Answer, Delay, Drop, Fault, ForgetTags, StoreAnother
from app.emulator.material import PEM, PFX
from tests.certificates import Issued, authority
from tests.connectors.azure_key_vault.conftest import Open
from tests.connectors.azure_key_vault.playground import AT_ONCE, NAME, Playground, serves

SPOILED = Fault(operation="import", effect=StoreAnother())


@pytest.mark.parametrize("when", [State.VERIFYING, State.ROLLING_BACK])
async def test_another_writer_who_keeps_the_tags_of_our_version_is_not_overwritten(
    play: Playground, old: Issued, new: Issued, when: State
) -> None:
    """Some tools carry the tags over to their own version, and with them our deployment's id."""
    play.store(old)
    theirs = authority("Stranger").issue()
    at = {when: [lambda: play.store(theirs, tags=dict(play.latest.tags))]}

    run = await play.deploy(new, at={State.IMPORTING: [SPOILED], **at})

    assert run.final.state is State.SUPERSEDED
    assert serves(play.vault, theirs)
    assert play.imports() == 1


async def test_a_refusal_is_not_said_to_be_its_own_cause(play: Playground, new: Issued) -> None:
    refused = Fault(operation="import", effect=Answer(status=403))
    held, waiting = Held(new.bundle()), play.deployment(new, state=State.IMPORTING)
    play.emulator.faults.add(refused)

    with pytest.raises(errors.TargetForbidden) as caught:
        await play.connector.import_certificate(waiting, held)

    assert caught.value.__cause__ is not caught.value


def _dies_before_it_is_saved(reached: Deployment) -> bool:
    return reached.state is State.VERIFYING


async def test_an_import_that_cannot_be_looked_for_after_a_crash_is_not_said_to_have_failed(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    waiting, held = play.deployment(new), Held(new.bundle())
    died = await play.run(waiting, held, dies=_dies_before_it_is_saved)
    play.emulator.deny(action="certificates/read")

    run = await play.run(died.final)

    assert serves(play.vault, new)  # it had landed
    assert run.final.state is State.ROLLBACK_FAILED
    assert run.code == "import-outcome-unknown"
    assert run.final.error is not None
    assert run.final.error.answer is not None  # what kept us from looking
    assert run.final.error.answer.inner_code == "ForbiddenByRbac"


async def test_a_refusal_after_an_import_without_an_answer_is_told_where_nobody_can_look(
    play: Playground, new: Issued
) -> None:
    refused = Fault(operation="import", effect=Answer(status=403), nth=2)
    looks = 1 + len(AT_ONCE.stale)
    blind = Fault(operation="get_certificate", effect=Answer(status=503), nth=looks + 1, count=None)

    run = await play.deploy(
        new, at={State.IMPORTING: [Fault(operation="import", effect=Drop()), refused, blind]}
    )

    assert run.code == "import-outcome-unknown"
    assert play.imports() == 2
    assert run.final.error is not None
    assert run.final.error.answer is not None
    assert run.final.error.answer.status == 403


async def test_a_vault_that_is_down_for_a_while_after_a_crash_is_asked_again(
    open_playground: Open, old: Issued, new: Issued
) -> None:
    async with open_playground(patience=replace(AT_ONCE, down=(0, 0))) as play:
        play.store(old)
        waiting, held = play.deployment(new), Held(new.bundle())
        died = await play.run(waiting, held, dies=_dies_before_it_is_saved)
        down = Fault(operation="get_certificate", effect=Answer(status=503), count=5)
        play.emulator.faults.add(down)

        run = await play.run(died.final)

        assert run.final.state is State.SUCCEEDED
        assert play.imports() == 1


async def test_an_import_on_its_way_when_the_process_died_is_waited_for(
    open_playground: Open, old: Issued, new: Issued
) -> None:
    """A request outlives the connection that it came by."""
    async with open_playground(patience=replace(AT_ONCE, late=(0.1,) * 20)) as play:
        play.store(old)
        waiting = play.deployment(new)
        standing = await play.connector.snapshot(waiting, Held(new.bundle()))
        sending = replace(
            waiting,
            state=State.IMPORTING,
            snapshot=standing.snapshot,
            rollback=standing.rollback,
        )
        late = Fault(operation="import", effect=Delay(seconds=0.5))
        play.emulator.faults.add(late)
        held = Held(new.bundle())
        held.looked = asyncio.get_running_loop().time()
        dying = asyncio.create_task(play.run(sending, held))
        await asyncio.to_thread(play.emulator.faults.wait_until_met, late)
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)

        run = await play.run(sending)

        assert run.final.state is State.SUCCEEDED
        assert serves(play.vault, new)
        assert play.imports() == 1


FORGETS = Fault(operation="import", effect=ForgetTags())
LOST = Fault(operation="import", effect=Drop(applied=True))


async def test_a_rollback_without_answer_whose_tags_were_forgotten_is_known_by_its_certificate(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)

    run = await play.deploy(
        new, at={State.IMPORTING: [SPOILED], State.ROLLING_BACK: [FORGETS, LOST]}
    )

    assert run.final.state is State.ROLLED_BACK
    assert serves(play.vault, old)
    assert play.imports() == 2


async def test_a_forced_import_without_answer_whose_tags_were_forgotten_is_known_by_its_certificate(
    play: Playground, new: Issued
) -> None:
    play.store(new)

    run = await play.deploy(new, force=True, at={State.IMPORTING: [FORGETS, LOST]})

    assert run.final.state is State.SUCCEEDED
    assert run.warnings == ["tags-differ"]
    assert play.imports() == 1


async def test_a_previous_certificate_that_another_deployment_put_back_is_theirs(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    theirs = {"certctl-managed-by": "certctl", "certctl-deployment-id": "dep-other"}
    at = {State.ROLLING_BACK: [lambda: play.store(old, tags=theirs)]}

    run = await play.deploy(new, at={State.IMPORTING: [SPOILED], **at})

    assert run.final.state is State.SUPERSEDED
    assert play.imports() == 1


async def test_a_previous_certificate_that_somebody_put_back_is_a_rollback_only_in_its_form(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    found = {}
    for form in (PFX, PEM):
        at = {State.ROLLING_BACK: [partial(play.store, old, content_type=form)]}
        found[form] = (await play.deploy(new, at={State.IMPORTING: [SPOILED], **at})).final.state
        play.emulator.faults.clear()

    assert found == {PFX: State.ROLLED_BACK, PEM: State.SUPERSEDED}


async def test_a_rollback_with_a_key_of_the_caller_leaves_a_pem_secret_a_pem(
    play: Playground, old: Issued, new: Issued
) -> None:
    """Who reads the secret reads what they read before."""
    play.emulator.deny(action="secrets/getSecret/action")
    before = play.store(old, content_type=PEM)

    run = await play.deploy(new, previous_key=old, at={State.IMPORTING: [SPOILED]})

    assert run.final.state is State.ROLLED_BACK
    assert play.latest.content_type == PEM
    assert play.latest.chain == before.chain
    assert serves(play.vault, old)


async def test_a_rollback_of_the_same_certificate_leaves_a_pem_secret_a_pem(
    play: Playground, new: Issued
) -> None:
    play.store(new, content_type=PEM)

    run = await play.deploy(new, force=True, at={State.IMPORTING: [SPOILED]})

    assert run.final.state is State.ROLLED_BACK
    assert play.latest.content_type == PEM
    assert serves(play.vault, new)


@pytest.mark.parametrize("exportable", [True, False])
async def test_a_rollback_leaves_the_key_as_exportable_as_it_was(
    play: Playground, old: Issued, new: Issued, exportable: object
) -> None:
    play.store(old)
    play.change_policy(key_props={"exportable": exportable})

    run = await play.deploy(new, previous_key=old, at={State.IMPORTING: [SPOILED]})

    assert run.final.state is State.ROLLED_BACK
    assert play.vault.policy(NAME)["key_props"]["exportable"] is exportable


@pytest.mark.parametrize("status", [201, 202, 204, 302])
async def test_an_odd_answer_to_an_import_is_followed_by_a_look(
    play: Playground, old: Issued, new: Issued, status: int
) -> None:
    play.store(old)
    odd = Fault(operation="import", effect=Answer(status=status, body="", applied=True))

    run = await play.deploy(new, at={State.IMPORTING: [odd]})

    assert run.final.state is State.SUCCEEDED
    assert serves(play.vault, new)
    assert play.imports() == 1


async def test_a_look_is_as_old_as_its_question_however_long_its_secret_took(
    play: Playground, old: Issued, new: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.connectors.azure_key_vault.before._FRESH_S", 0.1)
    play.store(old)
    theirs = authority("Stranger").issue()
    play.emulator.faults.add(Fault(operation="get_secret", effect=Delay(seconds=0.2)))

    run = await play.deploy(new, at={State.IMPORTING: [lambda: play.store(theirs)]})

    assert run.final.state is State.SUPERSEDED
    assert serves(play.vault, theirs)
    assert play.imports() == 0


def _purge(play: Playground) -> None:
    play.vault.soft_delete(NAME)
    play.vault.purge(NAME)


async def test_a_certificate_deleted_before_the_import_is_not_made_anew(
    play: Playground, old: Issued, new: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.connectors.azure_key_vault.before._FRESH_S", 0)
    play.store(old)

    run = await play.deploy(new, at={State.IMPORTING: [lambda: _purge(play)]})

    assert (run.final.state, run.code) == (State.FAILED, "version-conflict")
    assert run.final.error is not None
    said = "The certificate was deleted meanwhile; it is not made anew."
    assert run.final.error.message == said
    assert play.vault.latest(NAME) is None


async def test_a_certificate_purged_before_the_rollback_is_not_made_anew(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    run = await play.deploy(
        new, at={State.IMPORTING: [SPOILED], State.ROLLING_BACK: [lambda: _purge(play)]}
    )

    assert run.final.state is State.ROLLBACK_FAILED
    assert run.final.error is not None
    said = "(verification-failed): The certificate was deleted from the vault meanwhile."
    assert said in run.final.error.message
    assert play.vault.latest(NAME) is None


async def test_a_rollback_that_cannot_be_read_back_at_once_is_read_back_later(
    open_playground: Open, old: Issued, new: Issued
) -> None:
    async with open_playground(patience=replace(AT_ONCE, down=(0,))) as play:
        play.store(old)
        down = Fault(operation="get_certificate", nth=2, count=2, effect=Answer(status=503))

        run = await play.deploy(new, at={State.IMPORTING: [SPOILED], State.ROLLING_BACK: [down]})

        assert run.final.state is State.ROLLED_BACK
        assert serves(play.vault, old)


async def test_a_rollback_on_its_way_when_the_process_died_is_waited_for(
    open_playground: Open, old: Issued, new: Issued
) -> None:
    async with open_playground(patience=replace(AT_ONCE, late=(0.1,) * 20)) as play:
        play.store(old)
        late = Fault(operation="import", nth=2, effect=Delay(seconds=0.5))
        play.emulator.faults.add(late)
        saved: list[Deployment] = []
        dying = asyncio.create_task(
            play.run(
                play.deployment(new),
                Held(new.bundle()),
                at={State.IMPORTING: [SPOILED]},
                dies=lambda reached: bool(saved.append(reached)),  # type: ignore[func-returns-value] # it never dies of itself
            )
        )
        await asyncio.to_thread(play.emulator.faults.wait_until_met, late)
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
        before = len(play.counted)

        run = await play.run(saved[-1])

        assert run.final.state is State.ROLLED_BACK
        assert serves(play.vault, old)
        assert ("import_certificate", "200") not in play.counted[before:]  # nothing more was sent


@pytest.mark.parametrize("how", ["deleted", "purged"])
async def test_an_import_whose_name_was_deleted_during_a_crash_is_not_said_to_have_failed(
    play: Playground, old: Issued, new: Issued, how: str
) -> None:
    """Nobody can tell any more, and who recovers the name may find our certificate there."""
    play.store(old)
    waiting, held = play.deployment(new), Held(new.bundle())
    died = await play.run(waiting, held, dies=_dies_before_it_is_saved)
    play.vault.soft_delete(NAME)
    if how == "purged":
        play.vault.purge(NAME)

    run = await play.run(died.final)

    assert run.final.state is State.ROLLBACK_FAILED
    assert run.code == "import-outcome-unknown"
    assert play.imports() == 1
