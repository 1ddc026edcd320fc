"""What a caller says must hold: where it does not, nothing is changed."""

import dataclasses
from typing import Any

import pytest

from app.deployment import saga
from app.deployment.connector import Held
from app.deployment.model import (
    Deployment,
    Insist,
    Plan,
    Rollback,
    Snapshot,
    State,
    plan_hash,
)
from tests.certificates import NOW, Authority, Issued
from tests.deployment import making
from tests.deployment.making import Diary
from tests.fakes import Shelf

_IMPOSSIBLE = Rollback(plan=Plan.IMPOSSIBLE, reason="key-not-exportable")


async def _end(shelf: Shelf, held: Held, issued: Issued, **said: Any) -> Deployment:  # noqa: ANN401 - the fields of Deployment
    return await making.run(making.deployment(issued, **said), shelf, held, Diary())


def _code(deployment: Deployment) -> str | None:
    return deployment.error.code if deployment.error else None


async def _agreed(shelf: Shelf, issued: Issued, **said: Any) -> str:  # noqa: ANN401 - the fields of Deployment
    """The hash that `plan` would answer now."""
    begun = making.deployment(issued, **said)
    standing = await shelf.snapshot(begun, Held())
    taken = dataclasses.replace(begun, snapshot=standing.snapshot, rollback=standing.rollback)
    return plan_hash(taken, unchanged=standing.unchanged is not None and not taken.force)


@pytest.mark.parametrize("expected", ["v2", ""], ids=["another-version", "none-yet"])
async def test_a_version_that_is_not_the_expected_one_is_left_alone(
    expected: str, shelf: Shelf, held: Held, issued: Issued
) -> None:
    end = await _end(shelf, held, issued, expected_version=expected)

    assert (end.state, _code(end)) == (State.FAILED, "version-conflict")
    assert shelf.changes == []


async def test_a_version_that_is_expected_where_there_is_none_is_a_conflict(
    empty_shelf: Shelf, held: Held, issued: Issued
) -> None:
    end = await _end(empty_shelf, held, issued, expected_version="v1")

    assert (_code(end), empty_shelf.versions) == ("version-conflict", [])


async def test_the_expected_version_is_replaced(shelf: Shelf, held: Held, issued: Issued) -> None:
    end = await _end(shelf, held, issued, expected_version="v1")

    assert end.state is State.SUCCEEDED


async def test_none_yet_is_expected_of_an_empty_target(
    empty_shelf: Shelf, held: Held, issued: Issued
) -> None:
    end = await _end(empty_shelf, held, issued, expected_version="")

    assert end.state is State.SUCCEEDED


async def test_the_plan_that_was_agreed_to_is_carried_out(
    shelf: Shelf, held: Held, issued: Issued
) -> None:
    agreed = await _agreed(shelf, issued)

    end = await _end(shelf, held, issued, expected_plan_hash=agreed)

    assert end.state is State.SUCCEEDED


async def test_a_plan_that_has_changed_since_is_not_carried_out(
    shelf: Shelf, held: Held, issued: Issued
) -> None:
    agreed = await _agreed(shelf, issued)
    shelf.put("another writer")

    end = await _end(shelf, held, issued, expected_plan_hash=agreed)

    assert (end.state, _code(end)) == (State.FAILED, "plan-changed")
    assert shelf.changes == []


async def test_a_plan_to_change_nothing_is_agreed_to_as_well(
    shelf: Shelf, held: Held, issued: Issued
) -> None:
    shelf.put(issued.bundle().details.thumbprint)
    agreed = await _agreed(shelf, issued)

    end = await _end(shelf, held, issued, expected_plan_hash=agreed)

    assert end.state is State.UNCHANGED


async def test_a_rollback_that_is_required_and_impossible_stops_before_any_change(
    shelf: Shelf, held: Held, issued: Issued
) -> None:
    shelf.rollback = _IMPOSSIBLE

    end = await _end(shelf, held, issued, insist=Insist.REQUIRED)

    assert (end.state, _code(end)) == (State.FAILED, "rollback-impossible")
    assert end.rollback == _IMPOSSIBLE
    assert shelf.changes == []


async def test_a_rollback_that_is_required_and_possible_lets_the_import_go_on(
    shelf: Shelf, held: Held, issued: Issued
) -> None:
    end = await _end(shelf, held, issued, insist=Insist.REQUIRED)

    assert end.state is State.SUCCEEDED


async def test_a_rollback_at_best_effort_lets_the_import_go_on_without_one(
    shelf: Shelf, held: Held, issued: Issued
) -> None:
    shelf.rollback = _IMPOSSIBLE

    end = await _end(shelf, held, issued, insist=Insist.BEST_EFFORT)

    assert end.state is State.SUCCEEDED


async def test_a_required_rollback_is_no_hindrance_where_nothing_would_change(
    shelf: Shelf, held: Held, issued: Issued
) -> None:
    shelf.put(issued.bundle().details.thumbprint)
    begun = making.deployment(issued, insist=Insist.REQUIRED)
    standing = await shelf.snapshot(begun, held)

    after = saga.planned(begun, dataclasses.replace(standing, rollback=_IMPOSSIBLE))

    assert after.state is State.UNCHANGED


async def test_a_version_conflict_is_told_before_a_changed_plan(
    shelf: Shelf, held: Held, issued: Issued
) -> None:
    end = await _end(shelf, held, issued, expected_version="v9", expected_plan_hash="old")

    assert _code(end) == "version-conflict"


def _taken(issued: Issued, **changes: Any) -> Deployment:  # noqa: ANN401 - the fields of Deployment
    snapshot = Snapshot(
        version_id="v1",
        serial="01",
        thumbprint="before",
        not_after=NOW,
        enabled=True,
        managed_by_us=False,
    )
    begun = making.deployment(
        issued,
        snapshot=snapshot,
        rollback=Rollback(plan=Plan.IMPOSSIBLE, reason="version-disabled"),
    )
    nested = {key: value for key, value in changes.items() if key in {"snapshot", "rollback"}}
    parts = {
        key: dataclasses.replace(getattr(begun, key), **value) if value else None
        for key, value in nested.items()
    }
    return dataclasses.replace(begun, **{**changes, **parts})


def _target(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - the fields of Target
    return {"target": dataclasses.replace(making.TARGET, **changes)}


_AGREED: dict[str, dict[str, Any]] = {
    "target-type": _target(type="Other"),
    "target-address": _target(address="shelf/other"),
    "target-config": _target(config={**making.TARGET.config, "certificate_name": "other"}),
    "a-tag": _target(config={**making.TARGET.config, "tags": {"env": "production"}}),
    "certificate-id": {"metadata": {"certificate_id": "mc-other"}},
    "force": {"force": True},
    "no-version": {"snapshot": None},
    "current-version": {"snapshot": {"version_id": "v2"}},
    "current-certificate": {"snapshot": {"thumbprint": "other"}},
    "current-enabled": {"snapshot": {"enabled": False}},
    "no-plan": {"rollback": None},
    "rollback-plan": {"rollback": {"plan": Plan.SECRET}},
    "rollback-reason": {"rollback": {"reason": "chain-unknown"}},
}


@pytest.mark.parametrize("changes", _AGREED.values(), ids=_AGREED)
def test_a_plan_hash_changes_with_everything_agreed(
    changes: dict[str, Any], issued: Issued
) -> None:
    one, other = _taken(issued), _taken(issued, **changes)

    assert plan_hash(one, unchanged=False) != plan_hash(other, unchanged=False)


def test_a_plan_hash_changes_with_the_certificate(issued: Issued, ca: Authority) -> None:
    one, other = _taken(issued), _taken(ca.issue())

    assert plan_hash(one, unchanged=False) != plan_hash(other, unchanged=False)


def test_a_plan_hash_changes_with_whether_anything_would_change(issued: Issued) -> None:
    taken = _taken(issued)

    assert plan_hash(taken, unchanged=False) != plan_hash(taken, unchanged=True)


_NOT_AGREED: dict[str, dict[str, Any]] = {
    "id": {"id": "dep-2"},
    "time": {"started_at": NOW},
    "attempt": {"attempt": 2},
    "request": {"request_id": "req-2"},
    "order-of-the-configuration": _target(
        config=dict(reversed(list(making.TARGET.config.items())))
    ),
    "order-of-the-tags": _target(
        config={**making.TARGET.config, "tags": {"team": "web", "env": "test"}}
    ),
}


@pytest.mark.parametrize("changes", _NOT_AGREED.values(), ids=_NOT_AGREED)
def test_a_plan_hash_does_not_change_with_what_nobody_agreed_on(
    changes: dict[str, Any], issued: Issued
) -> None:
    one, other = _taken(issued), _taken(issued, **changes)

    assert plan_hash(one, unchanged=False) == plan_hash(other, unchanged=False)
