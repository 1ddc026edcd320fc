"""The matrix: what could be put back, by what failed the import, and what the rollback met.

Each cell says how it must end, and asserts that vault, record, metrics and audit trail agree.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from app.deployment.model import State
from app.emulator import Emulator
from tests import certificates
from tests.conftest import Clock
from tests.connectors.azure_key_vault.playground import Playground, opened
from tests.connectors.azure_key_vault.rollback.acting import acted_out
from tests.connectors.azure_key_vault.rollback.agreement import agree
from tests.connectors.azure_key_vault.rollback.cells import Cell, cells
from tests.connectors.azure_key_vault.rollback.leap import leaping
from tests.connectors.azure_key_vault.rollback.plans import Case, Issuance
from tests.connectors.azure_key_vault.rollback.seen import Seen

A_REFUSAL_IS_FORGOTTEN_S = 601
PlaygroundOf = Callable[[Case], Playground]


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="shared")
async def _shared(running: Emulator, ca_bundle: str) -> AsyncIterator[PlaygroundOf]:
    """A playground for all cells, which keeps its connections, as a process does for its life."""
    now = Clock(certificates.NOW)
    async with AsyncExitStack() as stack:
        stack.enter_context(leaping())
        always, never = [
            await stack.enter_async_context(
                opened(running, ca_bundle=ca_bundle, now=now, read_previous_secret=reads)
            )
            for reads in ("always", "never")
        ]
        yield lambda case: never if case.options else always


@pytest.fixture(name="playground_of")
def _playground_of(shared: PlaygroundOf, emulator: Emulator) -> PlaygroundOf:
    """The shared one, after the vault was emptied."""

    def found(case: Case) -> Playground:
        play = shared(case)
        play.now.move(A_REFUSAL_IS_FORGOTTEN_S)
        return play

    return found


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("cell", [pytest.param(one, id=one.name) for one in cells()])
async def test_what_the_record_says_is_what_the_vault_serves(
    playground_of: PlaygroundOf, issued: Issuance, cell: Cell
) -> None:
    play = playground_of(cell.case)

    seen = await acted_out(play, issued, cell.case, cell.cause, cell.meets)

    _ended_as_it_must(seen, cell)
    agree(seen)


def _ended_as_it_must(seen: Seen, cell: Cell) -> None:
    final, end, cause = seen.final, cell.end, cell.cause
    assert final.rollback is not None
    assert final.state is end.state
    assert (final.error.code if final.error else None) == cell.code
    assert final.rollback.plan is cell.case.plan
    assert final.rollback.reason == (cell.case.reason or end.reason)
    assert seen.serves(cell.serves)
    assert [one.action for one in seen.events][1:-1] == list(cell.middle)
    assert seen.play.imports() == cause.sends + end.sends
    assert len(seen.ours) == cause.makes + end.makes
    if end.state in {State.ROLLBACK_FAILED, State.SUPERSEDED}:
        assert (final.rollback.version_id is not None) is (end.makes > 0 and end.names)
    assert {*cause.warnings} <= {one.code for one in final.warnings}
