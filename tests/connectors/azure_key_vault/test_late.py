"""What got no answer and lands late, on top of what was done meanwhile, is waited for."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

import pytest

from app.connectors.azure_key_vault.tags import DEPLOYMENT_ID, ROLLBACK_OF
from app.deployment.model import State
from app.emulator import Answer, Drop, Fault, StoreAnother
from tests.certificates import Issued, authority
from tests.connectors.azure_key_vault.conftest import Open
from tests.connectors.azure_key_vault.middlebox import Middlebox
from tests.connectors.azure_key_vault.playground import (
    AT_ONCE,
    NAME,
    Happening,
    Happenings,
    Playground,
    serves,
)

LOOKS_LATE: Final = replace(AT_ONCE, late=(0.06,) * 10)
CURRENT: Final = f"/certificates/{NAME}/"
SPOILED: Final = Fault(operation="import", effect=StoreAnother())


@pytest.fixture(name="slow")
async def _slow(open_playground: Open, box: Middlebox) -> AsyncIterator[Playground]:
    """A playground behind the box, which looks for what is late for 0.6 s."""
    where = {"connect_to": f"127.0.0.1:{box.port}", "ca_bundle": box.ca_bundle}
    async with open_playground(patience=LOOKS_LATE, **where) as playground:
        yield playground


def unanswered(box: Middlebox, times: int) -> None:
    box.on("POST", "/import", status=504, times=times)


def lands(
    play: Playground, box: Middlebox, issued: Issued, *, before_looks: tuple[int, ...]
) -> None:
    """What got no answer lands just before these looks, counted from now."""
    ours = {DEPLOYMENT_ID: f"dep-{play.made}"}
    for look in range(1, max(before_looks) + 1):
        late = (lambda: play.store(issued, tags=ours)) if look in before_looks else None
        box.on("GET", CURRENT, first=late)


def holds(play: Playground) -> list[object]:
    return [one.certificate for one in play.vault.versions(NAME)]


@pytest.mark.parametrize("times", [2, 3])
async def test_imports_without_an_answer_are_all_waited_for_before_one_is_undone(
    slow: Playground, box: Middlebox, old: Issued, new: Issued, times: int
) -> None:
    slow.store(old)
    refused = [Fault(operation="import", effect=Answer(status=403))] if times == 2 else []
    late = [lambda: lands(slow, box, new, before_looks=(1, 5))]
    at: Happenings = {
        State.IMPORTING: [lambda: unanswered(box, times), *refused],
        State.ROLLING_BACK: late,
    }

    run = await slow.deploy(new, at=at)

    assert run.final.state is State.ROLLED_BACK
    assert run.code == "import-outcome-unknown"
    assert holds(slow) == [old.leaf, new.leaf, new.leaf, old.leaf]
    assert serves(slow.vault, old)


async def test_an_import_without_an_answer_beside_one_that_is_undone_is_waited_for(
    slow: Playground, box: Middlebox, old: Issued, new: Issued
) -> None:
    slow.store(old)
    late = [lambda: lands(slow, box, new, before_looks=(4,))]
    at: Happenings = {
        State.IMPORTING: [lambda: unanswered(box, 1), SPOILED],
        State.ROLLING_BACK: late,
    }

    run = await slow.deploy(new, at=at)

    assert run.final.state is State.ROLLED_BACK
    assert run.code == "verification-failed"
    assert holds(slow)[2:] == [new.leaf, old.leaf]
    assert serves(slow.vault, old)


async def test_a_single_import_without_an_answer_is_undone_as_soon_as_it_is_found(
    open_playground: Open, old: Issued, new: Issued
) -> None:
    lost = Fault(operation="import", effect=Drop(applied=True))
    blind = Fault(operation="get_certificate", effect=Answer(status=503), count=2)
    async with open_playground(patience=replace(AT_ONCE, late=(60,))) as play:
        play.store(old)

        run = await play.deploy(new, at={State.IMPORTING: [lost, blind]})

        assert run.final.state is State.ROLLED_BACK
        assert serves(play.vault, old)


def lands_again(play: Playground, box: Middlebox, issued: Issued, *, before_look: int) -> None:
    """A rollback that got no answer lands just before this look, counted from now."""

    def late() -> None:
        mine = {DEPLOYMENT_ID: f"dep-{play.made}", ROLLBACK_OF: play.latest.version}
        play.store(issued, tags=mine)

    for look in range(1, before_look + 1):
        box.on("GET", CURRENT, first=late if look == before_look else None)


@pytest.mark.parametrize("refused", [False, True], ids=["silent-thrice", "silent-and-refused"])
async def test_a_rollback_without_an_answer_that_lands_late_is_found(
    slow: Playground, box: Middlebox, old: Issued, new: Issued, refused: object
) -> None:
    """After the third import, or the refused one, no other look would come."""
    slow.store(old)
    forbidden = Fault(operation="import", effect=Answer(status=403), nth=2, count=None)
    sent, looks = (1, 9) if refused else (3, 13)
    rolling_back: list[Happening] = [
        lambda: unanswered(box, sent),
        lambda: lands_again(slow, box, old, before_look=looks),
    ]
    at: Happenings = {State.IMPORTING: [SPOILED, forbidden], State.ROLLING_BACK: rolling_back}

    run = await slow.deploy(new, at=at)

    assert run.final.state is State.ROLLED_BACK
    assert run.final.rollback is not None
    assert run.final.rollback.version_id == slow.latest.version
    assert serves(slow.vault, old)
    assert len(holds(slow)) == 3


async def test_a_rollback_that_never_lands_ends_as_one_that_nobody_knows_of(
    slow: Playground, box: Middlebox, old: Issued, new: Issued
) -> None:
    slow.store(old)
    rolling_back: list[Happening] = [lambda: unanswered(box, 3)]
    at: Happenings = {State.IMPORTING: [SPOILED], State.ROLLING_BACK: rolling_back}

    run = await slow.deploy(new, at=at)

    assert run.final.state is State.ROLLBACK_FAILED
    assert run.final.rollback is not None
    assert run.final.rollback.reason == "import-outcome-unknown"


async def test_another_writer_who_comes_while_a_rollback_is_late_is_left_alone(
    slow: Playground, box: Middlebox, old: Issued, new: Issued
) -> None:
    slow.store(old)
    theirs = authority("Stranger").issue()

    def come() -> None:
        for _ in range(12):
            box.on("GET", CURRENT)
        box.on("GET", CURRENT, first=lambda: slow.store(theirs))

    rolling_back: list[Happening] = [lambda: unanswered(box, 3), come]
    at: Happenings = {State.IMPORTING: [SPOILED], State.ROLLING_BACK: rolling_back}

    run = await slow.deploy(new, at=at)

    assert run.final.state is State.SUPERSEDED
    assert serves(slow.vault, theirs)
