"""What the pairs and the machine found, each as a scenario of its own."""

import pytest

from app import errors
from app.deployment.connector import Held
from app.deployment.model import State
from app.emulator import Answer, Fault, StoreAnother
from tests.certificates import Issued, authority
from tests.connectors.azure_key_vault.playground import NAME, Playground, serves

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
