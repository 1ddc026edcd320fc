"""Who waits for a vault's budget, how long, and in which order."""

import asyncio
import weakref
from collections.abc import Sequence

import pytest

from app.connectors.azure_key_vault import AzureOptions, Patience
from app.connectors.azure_key_vault.budgets import IMPORT, Allowance, Backoff, Budgets
from tests.connectors.azure_key_vault.hurry import hurrying
from tests.connectors.azure_key_vault.rollback.leap import leaping

READ = "get_certificate"
ONE = "https://one.vault.azure.net"
TWO = "https://two.vault.azure.net"
CERTAIN = Patience(chance=lambda: 0.0)


def budgets(
    *, told: list[tuple[str, float]] | None = None, patience: Patience = CERTAIN, **options: int
) -> Budgets:
    told = [] if told is None else told
    return Budgets(
        AzureOptions.model_validate(options),
        share=lambda: 1.0,
        waited=lambda operation, seconds: told.append((operation, seconds)),
        patience=patience,
    )


def queue(
    allowance: Allowance, names: str, went: list[str], *, first: bool = False
) -> list[asyncio.Task[None]]:
    """Let an import for each letter of *names* wait; *went* is the order they go in."""

    async def one(name: str) -> None:
        await (allowance.take(IMPORT, first=True) if first else allowance.take(IMPORT))
        went.append(name)

    return [asyncio.create_task(one(name), name=name) for name in names]


async def test_a_call_in_time_waits_for_nothing_and_nobody_is_told() -> None:
    told: list[tuple[str, float]] = []
    allowance = budgets(told=told).of(ONE)

    assert await allowance.take(IMPORT) == 0
    assert told == []


async def test_a_call_in_time_gives_no_other_task_its_turn() -> None:
    allowance = budgets().of(ONE)

    with pytest.raises(StopIteration):
        allowance.take(IMPORT).send(None)


async def test_a_call_that_waited_is_told_with_its_seconds() -> None:
    told: list[tuple[str, float]] = []
    allowance = budgets(told=told, vault_imports=2).of(ONE)

    with hurrying():
        await allowance.take(IMPORT)
        await allowance.take(IMPORT)

    assert [operation for operation, _ in told] == [IMPORT]
    assert told[0][1] == pytest.approx(10.3, abs=0.1)


async def test_who_waits_longest_goes_first() -> None:
    went: list[str] = []
    allowance = budgets(vault_imports=30).of(ONE)

    with hurrying():
        await asyncio.gather(*queue(allowance, "abcdef", went))

    assert went == list("abcdef")


async def test_nobody_overtakes_those_who_wait() -> None:
    went: list[str] = []
    allowance = budgets(vault_imports=30).of(ONE)
    await allowance.take(IMPORT)
    first = queue(allowance, "abc", went)
    await asyncio.sleep(0)

    with hurrying():
        await asyncio.gather(*first, *queue(allowance, "d", went))

    assert went == list("abcd")


async def test_who_gives_up_takes_nothing_and_holds_up_nobody() -> None:
    went: list[str] = []
    told: list[tuple[str, float]] = []
    allowance = budgets(told=told, vault_imports=2).of(ONE)
    await allowance.take(IMPORT)
    waiting = queue(allowance, "abc", went)
    await asyncio.sleep(0)
    for task in waiting[:2]:
        task.cancel()

    with hurrying() as leap:
        leap.over(10.3)
        await asyncio.gather(*waiting, *queue(allowance, "d", went), return_exceptions=True)

    assert went == ["c", "d"]
    assert told[-1][1] == pytest.approx(10.3, abs=0.5)


async def test_a_wait_that_was_given_up_is_told_with_its_seconds() -> None:
    told: list[tuple[str, float]] = []
    allowance = budgets(told=told, vault_imports=2).of(ONE)
    await allowance.take(IMPORT)

    with leaping() as leap:
        waiting = queue(allowance, "a", [])
        await asyncio.sleep(0)
        leap.over(7)
        waiting[0].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    assert [operation for operation, _ in told] == [IMPORT]
    assert told[0][1] == pytest.approx(7, abs=0.5)


async def test_rollbacks_go_first_and_keep_their_own_order() -> None:
    went: list[str] = []
    allowance = budgets(vault_imports=30).of(ONE)
    await allowance.take(IMPORT)
    imports = queue(allowance, "abc", went)
    rollbacks = queue(allowance, "xy", went, first=True)

    with hurrying():
        await asyncio.gather(*imports, *rollbacks)

    assert went == list("xyabc")


async def test_a_rollback_goes_before_the_imports_of_other_vaults_of_its_subscription() -> None:
    went: list[str] = []
    found = budgets(vault_imports=30, subscription_imports=30)
    one, two = found.of(ONE), found.of(TWO)
    await one.take(IMPORT)
    imports = [*queue(one, "ab", went), *queue(two, "cd", went)]
    rollbacks = queue(two, "x", went, first=True)
    await asyncio.sleep(0)  # all of them wait

    with hurrying():
        await asyncio.gather(*imports, *rollbacks)

    assert went[0] == "x"


async def test_a_rollback_that_its_own_vault_does_not_admit_holds_up_no_other() -> None:
    went: list[str] = []
    found = budgets(vault_imports=30)
    one, two = found.of(ONE), found.of(TWO)
    one.answered(IMPORT, 429)
    rollbacks = queue(one, "x", went, first=True)
    await asyncio.sleep(0)

    assert await two.take(IMPORT) == 0

    with hurrying():
        await asyncio.gather(*rollbacks)
    assert went == ["x"]


async def test_a_rollback_that_gives_up_holds_up_nobody() -> None:
    went: list[str] = []
    allowance = budgets(vault_imports=30).of(ONE)
    await allowance.take(IMPORT)
    imports, rollbacks = queue(allowance, "a", went), queue(allowance, "xy", went, first=True)
    await asyncio.sleep(0)
    rollbacks[0].cancel()

    with hurrying():
        await asyncio.gather(*imports, *rollbacks, return_exceptions=True)

    assert went == ["y", "a"]


async def test_vaults_take_turns_at_the_budget_of_their_subscription() -> None:
    went: list[str] = []
    found = budgets(vault_imports=30, subscription_imports=30)
    one, two = found.of(ONE), found.of(TWO)
    await one.take(IMPORT)
    busy = queue(one, "abcd", went)
    await asyncio.sleep(0)

    with hurrying():
        await asyncio.gather(*busy, *queue(two, "x", went))

    assert went.index("x") <= 1
    assert [name for name in went if name != "x"] == list("abcd")


async def test_a_vault_that_has_used_up_its_own_budget_holds_up_no_other() -> None:
    found = budgets(vault_imports=1)
    one, two = found.of(ONE), found.of(TWO)
    await one.take(IMPORT)
    waiting = queue(one, "a", [])
    await asyncio.sleep(0)

    assert await two.take(IMPORT) == 0

    waiting[0].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_imports_and_other_calls_have_budgets_of_their_own() -> None:
    allowance = budgets(vault_imports=1).of(ONE)
    await allowance.take(IMPORT)

    assert [await allowance.take(READ) for _ in range(20)] == [0] * 20


async def test_vaults_in_another_subscription_do_not_share_its_budget() -> None:
    options = AzureOptions(subscription_imports=1, subscriptions={"tw*": "second"})
    found = Budgets(options, share=lambda: 1.0, waited=lambda *_: None, patience=CERTAIN)
    one, two = found.of(ONE), found.of(TWO)

    assert await one.take(IMPORT) == 0
    assert await two.take(IMPORT) == 0


async def test_a_vault_has_one_allowance_whoever_asks() -> None:
    found = budgets()
    allowance = found.of(ONE)

    assert found.of(ONE) is allowance
    assert found.of(TWO) is not allowance


def test_the_allowance_of_a_vault_without_a_client_is_forgotten() -> None:
    found = budgets()
    allowance = weakref.ref(found.of(ONE))

    assert allowance() is None


async def waits(allowance: Allowance, statuses: Sequence[int]) -> list[float]:
    """How many seconds the next call waits after each answer to an import."""
    found = []
    for status in statuses:
        allowance.answered(IMPORT, status)
        found.append(await allowance.take(IMPORT))
    return found


@pytest.mark.parametrize(
    ("answers", "then"),
    [
        pytest.param([429] * 7, [1, 2, 4, 8, 16, 16, 16], id="longer-each-time"),
        pytest.param([429, 429, 200, 429], [1, 2, 0, 1], id="from-one-again-after-a-success"),
        pytest.param([429, 500, 429], [1, 0, 2], id="a-failure-is-no-success"),
        pytest.param([429, 409, 429], [1, 0, 1], id="a-refusal-is-no-throttling"),
        pytest.param([200, 503, 409], [0, 0, 0], id="nothing-without-a-429"),
    ],
)
async def test_after_a_429_everybody_waits_who_calls_alike(
    answers: list[int], then: list[float]
) -> None:
    allowance = budgets().of(ONE)

    with hurrying():
        assert await waits(allowance, answers) == pytest.approx(then, abs=0.2)


async def test_a_read_that_succeeds_does_not_speak_for_throttled_imports() -> None:
    allowance = budgets().of(ONE)

    with hurrying():
        first = await waits(allowance, [429])
        allowance.answered(READ, 200)
        second = await waits(allowance, [429])

    assert [*first, *second] == pytest.approx([1, 2], abs=0.2)


@pytest.mark.parametrize(("throttled", "goes_on"), [(IMPORT, READ), (READ, IMPORT)])
async def test_a_throttled_call_holds_up_none_of_the_other_kind(
    throttled: str, goes_on: str
) -> None:
    allowance = budgets().of(ONE)
    allowance.answered(throttled, 429)

    assert await allowance.take(goes_on) == 0


@pytest.mark.parametrize("status", [429, 200])
async def test_what_was_sent_before_the_429_makes_the_wait_neither_longer_nor_shorter(
    status: int,
) -> None:
    allowance = budgets().of(ONE)

    with hurrying():
        for _ in range(3):
            allowance.answered(IMPORT, 429)
        allowance.answered(IMPORT, status)
        first = await allowance.take(IMPORT)
        allowance.answered(IMPORT, 429)
        second = await allowance.take(IMPORT)

    assert [first, second] == pytest.approx([1, 2], abs=0.2)


def test_an_answer_at_the_very_end_of_a_wait_counts_again() -> None:
    backoff = Backoff(CERTAIN)
    backoff.answered(429, 100)

    backoff.answered(429, 101)

    assert backoff.left(101) == 2


async def test_a_wait_is_up_to_a_quarter_longer_so_that_replicas_come_back_one_by_one() -> None:
    allowance = budgets(patience=Patience(chance=lambda: 1.0)).of(ONE)

    with hurrying():
        assert await waits(allowance, [429, 429]) == pytest.approx([1.25, 2.5], abs=0.2)


async def test_another_vault_is_not_slowed_down() -> None:
    found = budgets()
    one, two = found.of(ONE), found.of(TWO)
    one.answered(IMPORT, 429)

    assert await two.take(IMPORT) == 0
