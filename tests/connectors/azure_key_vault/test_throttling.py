"""Deployments keep under a vault's limits, and back off together where one throttles all the same.

Over the real SDK, before an embedded Key Vault that counts; time leaps over every wait, for us
and for the vault.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter

import pytest

from app.connectors.azure_key_vault import Patience
from app.connectors.azure_key_vault.turns import Line, Turns
from app.deployment.connector import Held
from app.deployment.model import State
from app.emulator import Answer, Budgets, Drop, Fault, StoreAnother
from tests.certificates import Issued
from tests.connectors.azure_key_vault.conftest import Open
from tests.connectors.azure_key_vault.hurry import hurrying
from tests.connectors.azure_key_vault.playground import (
    LIMITS,
    NAME,
    Happenings,
    Playground,
    Run,
    serves,
)
from tests.connectors.azure_key_vault.rollback.leap import leaping

IMPORT = "import_certificate"
STEADY = Patience(
    read=(0,), stale=(0,), down=(), unclear=(0,), throttled=(1, 2, 4), chance=lambda: 0.0
)
SPOILED = Fault(operation="import", effect=StoreAnother())
_LOST = Fault(operation="import", effect=Drop())


async def deploy_many(
    play: Playground, new: Issued, count: int, vaults: Sequence[str] = ("my-vault",)
) -> list[Run]:
    """Deploy under so many names, one after another, in *vaults* in turn."""
    configs = [
        {
            "vault_url": f"https://{vaults[number % len(vaults)]}.vault.azure.net",
            "certificate_name": f"api-{number}",
        }
        for number in range(count)
    ]
    return [await play.deploy(new, config=config) for config in configs]


def throttled(play: Playground) -> int:
    return sum(status == "429" for _, status in play.counted)


@pytest.mark.parametrize(
    ("vaults", "admitted", "limits"),
    [
        pytest.param(
            ("my-vault",),
            Budgets(imports=30),
            {"vault_imports": 30},
            id="imports-to-a-vault",
        ),
        pytest.param(
            ("one", "two", "three"),
            Budgets(imports=30, vaults_per_subscription=1),
            {"subscription_imports": 30},
            id="imports-to-a-subscription",
        ),
        pytest.param(
            ("my-vault",),
            Budgets(others=90),
            {"vault_calls": 90},
            id="other-calls-to-a-vault",
        ),
        pytest.param(
            ("one", "two"),
            Budgets(others=90, vaults_per_subscription=1),
            {"subscription_calls": 90},
            id="other-calls-to-a-subscription",
        ),
    ],
)
async def test_many_deployments_are_never_throttled_and_use_nearly_all_that_is_admitted(
    open_playground: Open,
    new: Issued,
    vaults: tuple[str, ...],
    admitted: Budgets,
    limits: dict[str, int],
) -> None:
    count = 60  # one import and three other calls each; either limit admits 30 in ten seconds
    async with open_playground(**limits) as play:
        play.emulator.throttle(admitted)
        with hurrying(play.emulator.clock.advance) as leap:
            began, real = leap(), perf_counter()
            runs = await deploy_many(play, new, count, vaults)
            took = leap() - began - (perf_counter() - real)

    assert {run.final.state for run in runs} == {State.SUCCEEDED}
    assert throttled(play) == 0
    assert took <= 1.1 * 10 * count / 30


async def test_what_one_vault_admits_is_not_counted_against_another(
    open_playground: Open, new: Issued
) -> None:
    async with open_playground(vault_imports=1) as play:
        await deploy_many(play, new, 2, ("one", "two"))

    assert play.imports() == 2
    assert play.waited == []


async def test_a_429_slows_everybody_down_until_the_vault_has_recovered(
    open_playground: Open, new: Issued
) -> None:
    async with open_playground(patience=STEADY) as play:
        fault = Fault(operation="import", effect=Answer(status=429), count=3)
        play.emulator.faults.add(fault)
        with hurrying(play.emulator.clock.advance):
            runs = await deploy_many(play, new, 3)

    assert {run.final.state for run in runs} == {State.SUCCEEDED}
    assert throttled(play) == 3
    assert [round(seconds) for _, seconds in play.waited] == [1, 2, 4]


async def test_a_throttled_read_waits_for_the_vault_and_is_repeated(
    open_playground: Open, new: Issued
) -> None:
    async with open_playground(patience=STEADY) as play:
        fault = Fault(operation="get_certificate", effect=Answer(status=429))
        play.emulator.faults.add(fault)
        with hurrying(play.emulator.clock.advance):
            run = await play.deploy(new)

    assert run.final.state is State.SUCCEEDED
    assert [(name, round(seconds)) for name, seconds in play.waited] == [("get_certificate", 1)]


async def test_a_throttled_read_back_of_a_rollback_is_waited_for(
    open_playground: Open, old: Issued, new: Issued
) -> None:
    async with open_playground(patience=STEADY) as play:
        play.store(old)
        refused = Fault(operation="get_certificate", effect=Answer(status=429), nth=2)
        with hurrying(play.emulator.clock.advance):
            at = {State.IMPORTING: [SPOILED], State.ROLLING_BACK: [refused]}
            run = await play.deploy(new, at=at)

    assert run.final.state is State.ROLLED_BACK
    assert [(name, round(seconds)) for name, seconds in play.waited] == [("get_certificate", 1)]


async def test_reads_that_stay_throttled_end_the_deployment_with_nothing_changed(
    open_playground: Open, new: Issued
) -> None:
    async with open_playground(patience=STEADY) as play:
        refused = Fault(operation="get_certificate", effect=Answer(status=429), count=None)
        play.emulator.faults.add(refused)
        with hurrying(play.emulator.clock.advance):
            run = await play.deploy(new)

    assert (run.final.state, run.code) == (State.FAILED, "target-throttled")
    assert run.final.error is not None
    assert run.final.error.retryable
    assert play.calls.count("get_certificate") == 1 + len(STEADY.read)
    assert play.imports() == 0


async def test_another_writer_who_came_while_we_waited_is_not_overwritten(
    open_playground: Open, old: Issued, new: Issued
) -> None:
    async with open_playground(vault_imports=2) as play:
        await play.deploy(new, config={"certificate_name": "another"})
        with hurrying():
            run = await play.deploy(new, at={State.IMPORTING: [lambda: play.store(old)]})

    assert run.final.state is State.SUPERSEDED
    assert serves(play.vault, old)
    assert play.imports() == 1


async def test_a_rollback_keeps_within_the_budget_as_well(
    open_playground: Open, old: Issued, new: Issued
) -> None:
    async with open_playground(vault_imports=2) as play:
        play.store(old)
        with hurrying():
            run = await play.deploy(new, at={State.IMPORTING: [SPOILED]})

    assert run.final.state is State.ROLLED_BACK
    assert serves(play.vault, old)
    assert [name for name, _ in play.waited] == [IMPORT]
    assert play.waited[0][1] == pytest.approx(10.5, abs=0.5)


async def test_a_rollback_is_served_before_an_import_that_waits_longer(
    open_playground: Open, old: Issued, new: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_playground(vault_imports=2) as play:
        play.store(old)
        another = play.deployment(new, config={"certificate_name": "another"})
        waiting: list[asyncio.Task[Run]] = []
        with leaping() as leap, both_in_line(monkeypatch, lambda: leap.over(11)) as in_line:

            async def another_waits() -> None:
                waiting.append(asyncio.create_task(play.run(another, Held(new.bundle()))))
                await in_line.wait()

            at: Happenings = {State.IMPORTING: [SPOILED], State.ROLLING_BACK: [another_waits]}
            run = await play.deploy(new, at=at)

        assert run.final.state is State.ROLLED_BACK
        assert not waiting[0].done()
        waiting[0].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert [name for name, _ in play.waited] == [IMPORT, IMPORT]


@contextmanager
def both_in_line(
    monkeypatch: pytest.MonkeyPatch, then: Callable[[], object]
) -> Iterator[asyncio.Event]:
    """Says when the first call waits in line, and does *then* once there are two."""
    usual, first = Turns.join, asyncio.Event()
    joined: list[Line] = []

    def join(turns: Turns, line: Line) -> None:
        usual(turns, line)
        joined.append(line)
        first.set()
        if len(joined) == 2:
            then()

    with monkeypatch.context() as patch:
        patch.setattr(Turns, "join", join)
        yield first


async def test_a_repeat_that_changes_nothing_does_not_wait_for_an_import(
    open_playground: Open, new: Issued
) -> None:
    async with open_playground(vault_imports=1) as play:
        runs = [await play.deploy(new, id="dep-1") for _ in range(3)]

    assert [run.final.state for run in runs[1:]] == [State.UNCHANGED] * 2
    assert play.waited == []


@pytest.fixture(name="no_time")
def _no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment may wait for its turn for a tenth of a second."""
    left = LIMITS.deadline_s - 0.1
    monkeypatch.setattr("app.connectors.azure_key_vault.before._SEND_S", left)


@pytest.mark.usefixtures("no_time")
async def test_a_deployment_whose_turn_does_not_come_in_time_ends_unchanged(
    open_playground: Open, new: Issued
) -> None:
    async with open_playground(vault_imports=1) as play:
        await play.deploy(new, config={"certificate_name": "another"})
        run = await play.deploy(new)

    assert run.final.state is State.FAILED
    assert play.vault.versions(NAME) == []
    assert play.imports() == 1
    assert run.final.error is not None
    assert run.final.error.code == "target-throttled"
    assert run.final.error.retryable
    assert "AZURE__VAULT_IMPORTS" in run.final.error.message
    assert [name for name, _ in play.waited] == [IMPORT]
    assert 0 < play.waited[0][1] < 0.2  # of the tenth of a second, what a busy machine left


@pytest.mark.usefixtures("no_time")
async def test_a_rollback_whose_turn_does_not_come_in_time_fails_and_says_so(
    open_playground: Open, old: Issued, new: Issued
) -> None:
    """Its time is its own, and is bounded too."""
    async with open_playground(vault_imports=1) as play:
        play.store(old)
        run = await play.deploy(new, at={State.IMPORTING: [SPOILED]})

    assert run.final.state is State.ROLLBACK_FAILED
    assert run.final.rollback is not None
    assert run.final.rollback.reason == "target-throttled"
    assert play.imports() == 1


@pytest.mark.usefixtures("no_time")
async def test_an_import_without_an_answer_whose_repetition_has_no_turn_is_said_to_be_unknown(
    open_playground: Open, new: Issued
) -> None:
    async with open_playground(vault_imports=1) as play:
        run = await play.deploy(new, at={State.IMPORTING: [_LOST]})

    assert run.code == "import-outcome-unknown"
    assert play.imports() == 1


@pytest.mark.usefixtures("no_time")
async def test_a_deployment_that_cannot_look_again_in_time_sends_nothing_and_says_so(
    open_playground: Open, new: Issued
) -> None:
    patience = Patience(read=(0, 0), throttled=(0.001, 5), chance=lambda: 0.0)
    refused = Answer(status=429)
    async with open_playground(patience=patience) as play:
        play.emulator.faults.add(Fault(operation="import", effect=refused))
        look = Fault(operation="get_certificate", nth=2, effect=refused, count=2)
        play.emulator.faults.add(look)
        run = await play.deploy(new)

    assert (run.final.state, run.code) == (State.FAILED, "target-throttled")
    assert play.vault.versions(NAME) == []


@pytest.mark.usefixtures("no_time")
async def test_a_deployment_that_cannot_look_in_time_before_it_imports_sends_nothing(
    open_playground: Open, new: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.connectors.azure_key_vault.before._FRESH_S", 0)
    patience = Patience(read=(0, 0), throttled=(0.001, 5), chance=lambda: 0.0)
    async with open_playground(patience=patience) as play:
        refused = Answer(status=429)
        look = Fault(operation="get_certificate", nth=2, effect=refused, count=2)
        play.emulator.faults.add(look)
        run = await play.deploy(new)

    assert (run.final.state, run.code) == (State.FAILED, "target-throttled")
    assert play.imports() == 0


async def test_a_lost_import_is_unknown_where_its_name_is_deleted_before_its_next_turn(
    open_playground: Open, old: Issued, new: Issued
) -> None:
    async with open_playground(vault_imports=2) as play:
        play.store(old)
        gone: list[object] = []

        def delete(_: float) -> None:
            if not gone:
                gone.append(play.vault.soft_delete(NAME))

        with hurrying(delete):
            run = await play.deploy(new, at={State.IMPORTING: [_LOST]})

    assert gone
    assert run.code == "import-outcome-unknown"
    assert play.imports() == 1


async def test_nobody_waits_for_ever_where_no_deadline_is_given(
    open_playground: Open, new: Issued
) -> None:
    async with open_playground(vault_imports=2) as play:
        await play.deploy(new, config={"certificate_name": "another"})
        deployment, held = play.deployment(new, state=State.IMPORTING), Held(new.bundle())
        with hurrying():
            version = await play.connector.import_certificate(deployment, held)

    assert version == play.latest.version
