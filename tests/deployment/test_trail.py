"""The trail: each state has an action of its own, and no event holds a key."""

import json

import pytest

from app import audit, errors
from app.audit import Action, Actor
from app.deployment import trail
from app.deployment.connector import Held
from app.deployment.failing import failed
from app.deployment.model import State
from tests.certificates import NOW, Issued
from tests.deployment import making
from tests.deployment.making import Diary
from tests.fakes import Shelf


def test_every_state_is_told_by_an_action_of_its_own() -> None:
    assert set(trail.TOLD) == set(State)
    assert len(set(trail.TOLD.values())) == len(State)


@pytest.mark.parametrize("state", State, ids=lambda state: state.value)
def test_an_event_names_the_deployment_and_the_state_it_reached(
    state: State, issued: Issued
) -> None:
    deployment = making.deployment(issued, state, request_id="req-1", trace_id="trace-1")

    event = trail.event(deployment, id="evt-1", at=NOW)

    assert (event.id, event.timestamp, event.action) == ("evt-1", NOW, trail.TOLD[state])
    assert (event.resource_type, event.resource_id) == ("deployment", "dep-1")
    assert event.details["state"] == state.value
    assert (event.request_id, event.trace_id) == ("req-1", "trace-1")


async def test_a_deployment_that_is_rolled_back_tells_each_step_once(
    issued: Issued, shelf: Shelf, held: Held, diary: Diary
) -> None:
    shelf.fail(State.VERIFYING, errors.VerificationFailed())
    await making.run(making.deployment(issued), shelf, held, diary)

    events = [trail.event(one, id="evt", at=NOW) for one in diary.saved]

    assert [event.action for event in events] == [
        Action.SNAPSHOT_TAKEN,
        Action.IMPORTED,
        Action.ROLLING_BACK,
        Action.ROLLED_BACK,
    ]
    assert events[-1].details == {
        "certificate_name": "api",
        "target_type": "Shelf",
        "state": "rolled_back",
        "certificate_id": "mc-api",
        "serial": issued.bundle().details.serial,
        "thumbprint": issued.bundle().details.thumbprint,
        "version_id": "v2",
        "previous_version_id": "v1",
        "rollback_plan": "secret",
        "rollback_version_id": "v3",
        "error_code": "verification-failed",
        "error_step": "verifying",
    }


async def test_why_a_rollback_failed_is_told(
    issued: Issued, shelf: Shelf, held: Held, diary: Diary
) -> None:
    shelf.fail(State.VERIFYING, errors.VerificationFailed())
    shelf.fail(State.ROLLING_BACK, errors.TargetForbiddenRbac())
    await making.run(making.deployment(issued), shelf, held, diary)

    events = [trail.event(one, id="evt", at=NOW) for one in diary.saved]

    assert events[-1].action is Action.ROLLBACK_FAILED
    assert events[-1].details["rollback_reason"] == "target-forbidden-rbac"
    assert "rollback_reason" not in events[0].details


async def test_no_event_holds_a_line_of_the_key_or_of_the_certificate(
    issued: Issued, shelf: Shelf, held: Held, diary: Diary
) -> None:
    shelf.fail(State.VERIFYING, errors.VerificationFailed())
    await making.run(making.deployment(issued), shelf, held, diary)

    told = repr([trail.event(one, id="evt", at=NOW) for one in diary.saved]) + repr(diary.saved)

    lines = (issued.key_pem + issued.cert_pem).splitlines()
    assert not [line for line in lines if line in told]


def test_details_are_plain_values_that_every_log_can_write(issued: Issued) -> None:
    deployment = failed(making.deployment(issued), errors.TargetNotFound())

    details = trail.event(deployment, id="evt", at=NOW).details

    assert json.loads(json.dumps(details)) == details
    assert None not in details.values()


def test_an_event_is_told_of_who_asked_for_it_else_of_the_owner(issued: Issued) -> None:
    owner, other = Actor(name="portal", kind="token"), Actor(name="admin", kind="token")
    deployment = making.deployment(issued, State.CANCELLED, actor=owner)

    assert trail.event(deployment, id="evt", at=NOW).actor == owner
    assert trail.event(deployment, id="evt", at=NOW, actor=other).actor == other


@pytest.mark.parametrize("action", Action, ids=lambda action: action.value)
def test_every_action_belongs_to_the_category_its_name_says(action: Action) -> None:
    category = audit.category(action)

    if action.value.startswith("access."):
        assert category is audit.Category.ACCESS
    elif action in {Action.PLANNED, Action.VALIDATED, Action.CONFIG_VALIDATED}:
        assert category is audit.Category.VALIDATION
    else:
        assert category is audit.Category.DEPLOYMENT
