"""Every trouble alone, the telling ones two by two, and deaths: every promise holds whatever comes.

The table is made, not written: each fault of the emulator's programme at each call of the
connector, denials, budgets, deaths of the process, and other writers, at each step; the vault
before the deployment goes round through the scenes. What is promised is in `invariants`.
`test_machine` draws from the same troubles at random, more of them at once.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from itertools import combinations, cycle, product
from typing import Final

import pytest
import pytest_asyncio
from _pytest.mark import ParameterSet

from app.deployment.model import State
from app.emulator import Answer, Drop, Emulator, Fault
from tests.certificates import NOW, authority
from tests.conftest import Clock
from tests.connectors.azure_key_vault.doings import (
    ADMINISTRATORS,
    DENIALS,
    LATE,
    WRITERS,
    Doing,
    Stage,
)
from tests.connectors.azure_key_vault.playground import opened
from tests.connectors.azure_key_vault.proving import Proving, proving
from tests.connectors.azure_key_vault.scenes import SCENES, Scene
from tests.connectors.azure_key_vault.troubles import TROUBLES, Trouble
from tests.connectors.azure_key_vault.witness import Crash

pytestmark = pytest.mark.asyncio(loop_scope="module")

A_FEW_MINUTES: Final = 1 / 60  # of a day: the old certificate, so that it can expire on the way
CA: Final = authority()
OLD: Final = CA.issue(days=A_FEW_MINUTES)
NEW: Final = CA.issue()
SAME_KEY: Final = CA.issue(key=OLD.key)
_UNDOING: Final = {State.ROLLING_BACK, State.ROLLED_BACK, State.ROLLBACK_FAILED}
# One of each kind, at each place where it could make a difference.
_TELLING: Final = {
    State.SNAPSHOTTING: """
        token-1-dropped no-role-for-secrets get_secret-1-stale
        get_certificate-1-503 get_certificate-1-stale get_certificate-1-gone-it-says""",
    State.IMPORTING: """
        import-1-429 import-1-503-applied import-1-dropped-always
        import-1-another-writer-follows import-1-another-stored import-1-tags-forgotten
        import-2-403 import-2-503-applied
        get_certificate-1-503-twice get_certificate-1-stale-thrice
        a-stranger-writes a-stranger-writes-the-same purged no-policy-to-import dies-before""",
    State.VERIFYING: """
        get_certificate-1-403 get_certificate-1-stale-thrice
        a-stranger-writes a-stranger-keeps-the-tags a-lost-import-lands
        purged disabled the-old-expires no-role-to-read dies-before dies-after""",
    State.ROLLING_BACK: """
        import-1-429 import-1-dropped-applied import-1-dropped-always
        import-1-another-writer-follows import-1-another-stored import-1-tags-forgotten
        get_certificate-1-503-twice get_certificate-1-stale-thrice get_certificate-2-stale-thrice
        a-stranger-writes a-stranger-keeps-the-tags a-stranger-writes-the-old
        a-lost-import-lands purged tags-cleared no-policy-to-import dies-before dies-after""",
    State.ROLLED_BACK: "dies-before",
}


def _telling() -> list[Trouble]:
    wanted = {f"{state}-{name}" for state, names in _TELLING.items() for name in names.split()}
    found = [one for one in TROUBLES if one.id in wanted]
    assert len(found) == len(wanted), wanted - {one.id for one in found}
    return found


def _differ(one: Trouble, other: Trouble) -> bool:
    """Whether both can happen: a process dies once, and a call has one answer."""
    if isinstance(one.does, Fault) and isinstance(other.does, Fault):
        same_call = (one.at, one.does.operation, one.does.nth) == (
            other.at,
            other.does.operation,
            other.does.nth,
        )
        ends = Answer | Drop
        return not (
            same_call and isinstance(one.does.effect, ends) and isinstance(other.does.effect, ends)
        )
    return not (isinstance(one.does, Crash) and isinstance(other.does, Crash))


def _singles() -> Iterator[tuple[Scene, tuple[Trouble, ...]]]:
    for scene, trouble in zip(cycle(SCENES), TROUBLES, strict=False):
        yield scene, (trouble,)


def _pairs() -> Iterator[tuple[Scene, tuple[Trouble, ...]]]:
    pairs = [pair for pair in combinations(_telling(), 2) if _differ(*pair)]
    yield from zip(cycle(SCENES), pairs, strict=False)


def _named(rows: Iterator[tuple[Scene, tuple[Trouble, ...]]]) -> list[ParameterSet]:
    return [
        pytest.param(*row, id="--".join([*(one.id for one in row[1]), row[0].name])) for row in rows
    ]


def _deaths() -> Iterator[ParameterSet]:
    """Every moment at which the process can die, and all that can happen until it starts again."""
    crashes = [one for one in TROUBLES if isinstance(one.does, Crash)]
    doings = {**WRITERS, **LATE, **ADMINISTRATORS, **DENIALS}
    rows = product(crashes, doings.items())
    for scene, (crash, (name, doing)) in zip(cycle(SCENES), rows, strict=False):
        yield pytest.param(scene, crash, doing, id=f"{crash.id}--{name}--{scene.name}")


class Ground:
    """The vault that all cases share; a case that is about login logs in anew."""

    def __init__(self, emulator: Emulator, ca_bundle: str, shared: Proving) -> None:
        self._emulator = emulator
        self._ca_bundle = ca_bundle
        self._shared = shared

    async def prove(
        self, scene: Scene, troubles: Sequence[Trouble], meanwhile: Doing | None = None
    ) -> None:
        if not any(one.name.startswith("token") for one in troubles):
            await _prove(self._shared, scene, troubles, meanwhile)
            return
        async with opened(self._emulator, ca_bundle=self._ca_bundle, now=Clock(NOW)) as play:
            with proving(play) as anew:
                await _prove(anew, scene, troubles)


async def _prove(
    proves: Proving,
    scene: Scene,
    troubles: Sequence[Trouble],
    meanwhile: Doing | None = None,
) -> None:
    play = proves.play
    play.emulator.reset()
    play.now.move((NOW - play.now()).total_seconds())
    play.connector._looking._refused.clear()  # noqa: SLF001 - what an earlier case was refused
    stage = Stage(play=play, new=SAME_KEY if scene.same_key else NEW, old=OLD)
    scene.set(stage)
    await proves.deploy(
        stage,
        troubles,
        spoiled=any(one.at in _UNDOING for one in troubles),
        meanwhile=[partial(meanwhile, stage)] if meanwhile else [],
        previous_key=OLD if scene.previous_key else None,
        **scene.asks,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="ground")
async def _ground(running: Emulator, ca_bundle: str) -> AsyncIterator[Ground]:
    async with opened(running, ca_bundle=ca_bundle, now=Clock(NOW)) as play:
        with proving(play) as shared:
            yield Ground(running, ca_bundle, shared)
    running.reset()


@pytest.mark.parametrize(("scene", "troubles"), _named(_singles()))
async def test_every_promise_holds_whatever_goes_wrong(
    ground: Ground, scene: Scene, troubles: Sequence[Trouble]
) -> None:
    await ground.prove(scene, troubles)


@pytest.mark.parametrize(("scene", "troubles"), _named(_pairs()))
async def test_every_promise_holds_whatever_two_things_go_wrong(
    ground: Ground, scene: Scene, troubles: Sequence[Trouble]
) -> None:
    await ground.prove(scene, troubles)


@pytest.mark.parametrize(("scene", "crash", "meanwhile"), list(_deaths()))
async def test_every_promise_holds_whatever_happens_while_the_process_is_down(
    ground: Ground, scene: Scene, crash: Trouble, meanwhile: Doing
) -> None:
    await ground.prove(scene, [crash], meanwhile)
