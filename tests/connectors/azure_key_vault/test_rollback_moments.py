"""What comes in the middle of a request, a deadline or another writer: vault and record agree."""

from collections.abc import AsyncIterator

import pytest

from app.deployment.model import State
from tests.connectors.azure_key_vault.middlebox import Middlebox
from tests.connectors.azure_key_vault.playground import Playground
from tests.connectors.azure_key_vault.rollback.acting import acted_out
from tests.connectors.azure_key_vault.rollback.agreement import agree
from tests.connectors.azure_key_vault.rollback.causes import (
    LANDS,
    Cause,
    Serves,
    a_stranger_writes,
)
from tests.connectors.azure_key_vault.rollback.cells import ONE_OF_EACH_PLAN
from tests.connectors.azure_key_vault.rollback.ends import RESTORED, Dies, Meets
from tests.connectors.azure_key_vault.rollback.leap import leaping, past_the_deadline
from tests.connectors.azure_key_vault.rollback.meetings import CRASHED, WORKS
from tests.connectors.azure_key_vault.rollback.plans import CANNOT, FIRST, SECRET, Case, Issuance

WRONG = LANDS[0]
FRESH = "app.connectors.azure_key_vault.before._FRESH_S"


@pytest.fixture(name="late")
async def _late(behind: Playground) -> AsyncIterator[Playground]:
    """A playground behind the box, whose time may be over at any moment."""
    with leaping():
        yield behind


def by_name(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", [FIRST, *ONE_OF_EACH_PLAN, CANNOT[0]], ids=by_name)
async def test_an_import_that_lands_as_the_time_is_over_is_undone_where_it_can_be(
    late: Playground, box: Middlebox, issued: Issuance, case: Case
) -> None:
    cause = Cause(
        name="deadline",
        importing=[lambda _: box.on("POST", "/import", then=past_the_deadline)],
    )

    seen = await acted_out(late, issued, case, cause, WORKS)

    ends = {FIRST: State.FAILED, CANNOT[0]: State.ROLLBACK_FAILED}
    assert seen.final.state is ends.get(case, State.ROLLED_BACK)
    assert seen.final.error is not None
    found = "verification-failed" if case is FIRST else "deadline-exceeded"
    assert seen.final.error.code == found
    assert not seen.final.error.retryable
    agree(seen)


@pytest.mark.parametrize("case", ONE_OF_EACH_PLAN, ids=by_name)
async def test_a_rollback_that_lands_as_the_time_is_over_is_not_said_to_be_done(
    late: Playground, box: Middlebox, issued: Issuance, case: Case
) -> None:
    meets = Meets(
        name="deadline",
        end=RESTORED,
        happenings=[lambda _: box.on("POST", "/import", then=past_the_deadline)],
    )

    seen = await acted_out(late, issued, case, WRONG, meets)

    assert seen.final.state is State.ROLLBACK_FAILED
    assert seen.final.rollback is not None
    assert seen.final.rollback.reason == "deadline-exceeded"
    assert seen.serves(Serves.OLD)
    agree(seen)


@pytest.mark.parametrize("case", ONE_OF_EACH_PLAN, ids=by_name)
async def test_a_rollback_whose_look_takes_too_long_sends_nothing(
    late: Playground, box: Middlebox, issued: Issuance, case: Case
) -> None:
    meets = Meets(
        name="deadline",
        end=RESTORED,
        happenings=[lambda _: box.on("GET", "/certificates/", then=past_the_deadline)],
    )

    seen = await acted_out(late, issued, case, WRONG, meets)

    assert seen.final.state is State.ROLLBACK_FAILED
    assert late.imports() == 1
    assert seen.serves(Serves.ANOTHER)
    agree(seen)


@pytest.mark.parametrize("case", ONE_OF_EACH_PLAN, ids=by_name)
async def test_a_rollback_done_before_a_deadline_and_a_crash_is_found(
    late: Playground, box: Middlebox, issued: Issuance, case: Case
) -> None:
    meets = Meets(
        name="deadline-and-crash",
        end=RESTORED,
        happenings=[lambda _: box.on("POST", "/import", then=past_the_deadline)],
        dies=Dies.BEFORE_THE_END_IS_SAVED,
    )

    seen = await acted_out(late, issued, case, WRONG, meets)

    assert seen.final.state is State.ROLLED_BACK
    assert late.imports() == 2
    agree(seen)


@pytest.mark.parametrize("case", ONE_OF_EACH_PLAN, ids=by_name)
async def test_another_writer_who_comes_while_the_rollback_is_throttled_is_not_overwritten(
    behind: Playground, box: Middlebox, issued: Issuance, case: Case
) -> None:
    throttled = {"status": 429, "body": b"{}", "first": lambda: a_stranger_writes(behind)}
    meets = Meets(
        name="throttled-and-a-stranger",
        end=RESTORED,
        happenings=[lambda _: box.on("POST", "/import", **throttled)],
    )

    seen = await acted_out(behind, issued, case, WRONG, meets)

    assert seen.final.state is State.SUPERSEDED
    agree(seen)


@pytest.mark.parametrize("case", ONE_OF_EACH_PLAN, ids=by_name)
async def test_another_writer_who_comes_with_an_unclear_answer_to_the_rollback_is_not_overwritten(
    behind: Playground, box: Middlebox, issued: Issuance, case: Case
) -> None:
    unclear = {"status": 503, "body": b"{}", "first": lambda: a_stranger_writes(behind)}
    meets = Meets(
        name="unclear-and-a-stranger",
        end=RESTORED,
        happenings=[lambda _: box.on("POST", "/import", **unclear)],
    )

    seen = await acted_out(behind, issued, case, WRONG, meets)

    assert seen.final.state is State.SUPERSEDED
    agree(seen)


async def test_another_writer_who_comes_while_the_previous_secret_is_read_again_is_not_overwritten(
    behind: Playground, box: Middlebox, issued: Issuance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FRESH, 0)
    meets = Meets(
        name="a-crash-and-a-stranger",
        end=RESTORED,
        dies=CRASHED.dies,
        again=[lambda _: box.on("GET", "/secrets/", first=lambda: a_stranger_writes(behind))],
    )

    seen = await acted_out(behind, issued, SECRET, WRONG, meets)

    assert seen.final.state is State.SUPERSEDED
    assert behind.imports() == 1
    agree(seen)
