"""A question changes nothing, and is answered truly, or as the vault says, or not at all."""

from collections.abc import Mapping

import pytest

from app.emulator import Fault, StaleRead
from app.emulator.effects import Effect
from app.errors import NameSoftDeleted, TargetError
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
