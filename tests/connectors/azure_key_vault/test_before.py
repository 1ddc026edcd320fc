"""What is looked at before we act, how patiently, and what is learnt from it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Final

import pytest

from app.connectors.azure_key_vault.answers import Version
from app.connectors.azure_key_vault.before import already, what_to_undo
from app.connectors.azure_key_vault.patience import Patience
from app.connectors.azure_key_vault.tags import ROLLBACK_OF
from app.connectors.azure_key_vault.whose import Whose
from app.deployment.connector import Held
from tests.connectors.azure_key_vault.shown import (
    NEW,
    OLD,
    OTHER,
    OURS,
    Shown,
    rolling_back,
    version,
)

PATIENCE: Final = Patience(stale=(0, 0), late=(0,) * 5, down=())
ONCE, STALE, LATE = 1, 3, 6  # looks
BEFORE: Final = version(OLD, "v-before")
FAILED: Final = version(OTHER, "v-ours", tags=OURS)
UNDONE: Final = version(OLD, tags={**OURS, ROLLBACK_OF: "v-ours"})


def left_by_another() -> Held:
    held = Held(NEW.bundle())
    held.left = inf  # this very moment, however late it is
    return held


@pytest.mark.parametrize(
    ("shown", "held", "known", "looks"),
    [
        pytest.param(BEFORE, Held(NEW.bundle()), "v-ours", STALE, id="a-stale-look"),
        pytest.param(BEFORE, Held(NEW.bundle()), None, LATE, id="an-import-on-its-way"),
        pytest.param(BEFORE, Held(), "v-ours", LATE, id="a-crash"),
        pytest.param(FAILED, Held(NEW.bundle()), "v-ours", ONCE, id="what-is-to-be-undone"),
        pytest.param(FAILED, Held(), "v-ours", LATE, id="a-rollback-on-its-way"),
        pytest.param(UNDONE, Held(), "v-ours", ONCE, id="undone-before-the-crash"),
        pytest.param(version(OTHER), Held(), "v-ours", STALE, id="a-strangers"),
        pytest.param(None, Held(NEW.bundle()), "v-ours", STALE, id="deleted"),
        pytest.param(FAILED, left_by_another(), "v-ours", LATE, id="taken-over-with-its-key"),
    ],
)
async def test_a_rollback_looks_for_as_long_as_something_may_be_on_its_way(
    shown: Version | None, held: Held, known: str | None, looks: int
) -> None:
    vault = Shown(shown)

    _, latest = await what_to_undo(vault, "api", rolling_back(known), held, PATIENCE)

    assert latest is shown
    assert vault.looks == looks


@pytest.mark.parametrize("silent_s", [None, 0, 20, 27.5, 60])
async def test_what_another_was_sending_is_looked_for_less_the_longer_it_has_been_silent(
    silent_s: float | None,
) -> None:
    held, waited = Held(NEW.bundle()), list[Sequence[float]]()
    if silent_s is not None:
        held.left = asyncio.get_running_loop().time() - silent_s

    async def look(waits: Sequence[float]) -> None:
        waited.append(waits)

    await already(held, look, Patience())

    (waits,) = waited
    assert sum(waits) == pytest.approx(max(0.0, 27.75 - (silent_s or 0)), abs=0.1)
    assert held.left is None, "what this run sends itself has been on its way for no time"


@pytest.mark.parametrize(
    ("shown", "found", "landed"),
    [
        (FAILED, Whose.OURS, "v-ours"),
        (replace(FAILED, id="v-found"), Whose.OURS, "v-found"),
        (UNDONE, Whose.RESTORED, "v-ours"),
        (BEFORE, Whose.BEFORE, None),
        (version(OTHER), Whose.STRANGERS, None),
        (None, Whose.GONE, None),
    ],
    ids=["by-its-id", "by-our-tag", "by-its-rollback", "not-landed", "a-strangers", "deleted"],
)
async def test_which_version_failed_is_learnt_before_it_is_undone(
    shown: Version | None, found: Whose, landed: str | None
) -> None:
    held = Held(NEW.bundle())

    told, _ = await what_to_undo(Shown(shown), "api", rolling_back(None), held, PATIENCE)

    assert (told, held.landed) == (found, landed)
