"""The law: which state follows which, and nothing else does."""

import dataclasses
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import errors
from app.deployment.failing import failed
from app.deployment.model import (
    EXITS,
    FINAL,
    NEXT,
    SUCCESS,
    Outcome,
    Plan,
    Rollback,
    Snapshot,
    State,
    moved,
    new_id,
)
from tests.certificates import NOW, Issued
from tests.deployment import making

S = State
_BEFORE = Snapshot(
    version_id="v1",
    serial="01",
    thumbprint="before",
    not_after=NOW,
    enabled=True,
    managed_by_us=True,
)
_UNDER_WAY = [state for state in State if state not in FINAL]


def test_every_state_is_reached_from_the_queue() -> None:
    seen, found = set(), {S.QUEUED}
    while found:
        seen |= found
        found = {after for state in found for after in making.ways(state)} - seen

    assert seen == set(State)


def _paths(state: State) -> list[list[State]]:
    after = making.ways(state)
    return [[state, *path] for one in after for path in _paths(one)] if after else [[state]]


def test_every_path_ends_and_no_state_is_visited_twice() -> None:
    for path in _paths(S.QUEUED):
        assert path[-1] in FINAL
        assert len(set(path)) == len(path)


def test_a_final_state_has_no_way_out() -> None:
    assert all(not making.ways(state) for state in FINAL)


def test_only_a_served_certificate_is_a_success() -> None:
    assert {S.SUCCEEDED, S.UNCHANGED} == SUCCESS
    assert SUCCESS < FINAL


def test_the_steps_are_the_states_that_a_crash_can_leave_behind() -> None:
    assert {*NEXT, S.QUEUED} == set(EXITS) == set(_UNDER_WAY)


_MOVES = [(one, other) for one in State for other in State]
_LEGAL = [move for move in _MOVES if move[1] in making.ways(move[0])]
_ILLEGAL = [move for move in _MOVES if move[1] not in making.ways(move[0])]


@pytest.mark.parametrize(("before", "after"), _LEGAL, ids=lambda state: state.value)
def test_a_legal_move_changes_the_state_and_what_it_says(
    before: State, after: State, issued: Issued
) -> None:
    deployment = making.deployment(issued, before)

    assert moved(deployment, after, version_id="v1") == dataclasses.replace(
        deployment, state=after, version_id="v1"
    )


@pytest.mark.parametrize(("before", "after"), _ILLEGAL, ids=lambda state: state.value)
def test_an_illegal_move_raises_and_changes_nothing(
    before: State, after: State, issued: Issued
) -> None:
    deployment = making.deployment(issued, before)
    with pytest.raises(ValueError, match=f"no way from {before} to {after}"):
        moved(deployment, after)

    assert deployment == making.deployment(issued, before)


@pytest.mark.parametrize("failure", making.every_failure(), ids=lambda failure: failure.code)
@pytest.mark.parametrize("state", NEXT, ids=lambda state: state.value)
def test_every_error_of_every_step_has_a_legal_way_on(
    state: State, failure: errors.DeployError, issued: Issued
) -> None:
    after = failed(making.deployment(issued, state), failure)

    assert after.state in making.ways(state)
    assert after.error is not None
    assert (after.error.code, after.error.step) == (failure.code, state)


_UNCLEAR = {"import-outcome-unknown", "deadline-exceeded", "internal-error"}
_SHORT = {
    "superseded": S.SUPERSEDED,
    "key-gone": S.INTERRUPTED,
    "sealing-key-gone": S.INTERRUPTED,
}


@pytest.mark.parametrize("failure", making.every_failure(), ids=lambda failure: failure.code)
def test_an_import_is_undone_unless_it_was_surely_never_applied(
    failure: errors.DeployError, issued: Issued
) -> None:
    after = failed(making.deployment(issued, S.IMPORTING), failure)

    unclear = S.ROLLING_BACK if failure.code in _UNCLEAR else S.FAILED
    assert after.state is _SHORT.get(failure.code, unclear)


def test_a_queued_deployment_whose_key_is_gone_ends_interrupted(issued: Issued) -> None:
    assert failed(making.deployment(issued, S.QUEUED), errors.KeyGone()).state is S.INTERRUPTED


def test_a_rollback_that_fails_without_a_plan_makes_none_up(issued: Issued) -> None:
    after = failed(making.deployment(issued, S.ROLLING_BACK), errors.InternalError())

    assert (after.state, after.rollback) == (S.ROLLBACK_FAILED, None)


def test_only_a_failed_rollback_is_told_as_one(issued: Issued) -> None:
    plan = Rollback(plan=Plan.SECRET)
    verifying = making.deployment(issued, S.VERIFYING, rollback=plan, snapshot=_BEFORE)

    rolling_back = failed(verifying, errors.VerificationFailed())
    ended = failed(rolling_back, errors.TargetUnavailable())

    assert rolling_back.rollback == plan
    assert ended.rollback is not None
    assert ended.rollback.outcome is Outcome.ALSO_FAILED


def test_a_deployment_knows_whether_it_has_ended(issued: Issued) -> None:
    ended = {state for state in State if making.deployment(issued, state).final}

    assert ended == FINAL


def test_the_certificate_id_is_the_one_in_the_metadata(issued: Issued) -> None:
    assert making.deployment(issued).certificate_id == "mc-api"
    assert making.deployment(issued, metadata={}).certificate_id is None


_TIMES = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    timezones=st.just(UTC),
)


@given(one=_TIMES, other=_TIMES)
def test_ids_sort_by_time(one: datetime, other: datetime) -> None:
    earlier, later = sorted((one, other))

    assert new_id("dep", earlier, b"\x00") <= new_id("dep", later, b"\x00")
    assert len(new_id("dep", earlier, b"\x00")) == len(new_id("dep", later, b"\x00"))


def test_an_id_begins_with_its_time_to_the_microsecond() -> None:
    id_ = new_id("dep", datetime(2026, 1, 2, 3, 4, 5, 250_000, tzinfo=UTC), b"\xab")

    assert id_ == f"dep-{1767323045250000:014x}ab"


def test_ids_of_one_moment_are_told_apart_by_their_randomness() -> None:
    assert new_id("dep", NOW, b"\x01\x02").endswith("0102")
    assert new_id("dep", NOW, b"\x01").startswith("dep-")
    assert new_id("dep", NOW, b"\x01") != new_id("dep", NOW, b"\x02")
