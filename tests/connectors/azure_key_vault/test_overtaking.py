"""A stranger's version counts where it stays: a stale look may show one that ours has replaced."""

import asyncio

import pytest

from app.connectors.azure_key_vault.answers import Version
from app.connectors.azure_key_vault.current import landed
from app.connectors.azure_key_vault.patience import Patience
from app.connectors.azure_key_vault.whose import Whose
from app.deployment.model import State
from app.emulator import Drop, Fault, StaleRead, StoreAnother
from app.errors import Superseded
from tests.certificates import Issued, authority
from tests.connectors.azure_key_vault.middlebox import Middlebox
from tests.connectors.azure_key_vault.playground import Happenings, Playground, serves
from tests.connectors.azure_key_vault.shown import OLD, OTHER, Shown, importing, version

THEIRS = authority("Stranger").issue("stranger.example")
SPOILED = Fault(operation="import", effect=StoreAnother())
STALE = Fault(operation="get_certificate", effect=StaleRead())


def overtaken(play: Playground, box: Middlebox) -> None:
    """Somebody imports right before our next import, so that no look of ours shows it in time."""
    box.on("POST", "/import", first=lambda: play.store(THEIRS))


@pytest.mark.parametrize("stale", [1, 2])
async def test_a_stale_look_at_a_version_that_our_import_replaced_is_no_other_writer(
    behind: Playground, box: Middlebox, old: Issued, new: Issued, stale: int
) -> None:
    behind.store(old)
    late = Fault(operation="get_certificate", effect=StaleRead(), count=stale)
    at: Happenings = {State.IMPORTING: [lambda: overtaken(behind, box)], State.VERIFYING: [late]}

    run = await behind.deploy(new, at=at)

    assert run.final.state is State.SUCCEEDED
    assert serves(behind.vault, new)
    assert behind.imports() == 1


async def test_nor_is_it_after_an_import_without_an_answer(
    behind: Playground, box: Middlebox, old: Issued, new: Issued
) -> None:
    behind.store(old)
    lost = Fault(operation="import", effect=Drop(applied=True))
    at: Happenings = {State.IMPORTING: [lambda: overtaken(behind, box), lost, STALE]}

    run = await behind.deploy(new, at=at)

    assert run.final.state is State.SUCCEEDED
    assert behind.imports() == 1


async def test_nor_is_it_where_our_import_is_to_be_undone(
    behind: Playground, box: Middlebox, old: Issued, new: Issued
) -> None:
    behind.store(old)
    at: Happenings = {
        State.IMPORTING: [lambda: overtaken(behind, box), SPOILED],
        State.ROLLING_BACK: [STALE],
    }

    run = await behind.deploy(new, at=at)

    assert run.final.state is State.ROLLED_BACK
    assert serves(behind.vault, old)
    assert behind.imports() == 2


async def test_nor_is_it_where_a_rollback_is_read_back(
    behind: Playground, box: Middlebox, old: Issued, new: Issued
) -> None:
    behind.store(old)
    stale = Fault(operation="get_certificate", effect=StaleRead(), nth=2)
    at: Happenings = {
        State.IMPORTING: [SPOILED],
        State.ROLLING_BACK: [lambda: overtaken(behind, box), stale],
    }

    run = await behind.deploy(new, at=at)

    assert run.final.state is State.ROLLED_BACK
    assert serves(behind.vault, old)
    assert behind.imports() == 2


async def test_another_writer_is_left_alone_though_a_look_between_shows_ours_once_more(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    stale = Fault(operation="get_certificate", effect=StaleRead(), nth=2)
    at: Happenings = {
        State.IMPORTING: [SPOILED],
        State.ROLLING_BACK: [lambda: play.store(THEIRS), stale],
    }

    run = await play.deploy(new, at=at)

    assert run.final.state is State.SUPERSEDED
    assert serves(play.vault, THEIRS)
    assert play.imports() == 1


class StandsStill(Shown):
    """A vault whose first answer is old when it is read: somebody wrote while the reader slept."""

    async def latest(self, name: str) -> Version | None:
        before = await super().latest(name)
        if self.looks == 1:
            self.shown = version(OTHER, "v-theirs")
            await asyncio.sleep(0.2)
        return before


async def test_who_stood_still_during_the_look_before_an_import_looks_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.connectors.azure_key_vault.current._HELD_UP_S", 0.1)
    vault = StandsStill(version(OLD, "v-before"))
    patience = Patience(stale=())

    with pytest.raises(Superseded):
        await landed(vault, "api-prod", importing(), frozenset({Whose.OURS}), patience, ())
