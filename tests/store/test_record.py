"""What is written is what is read."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from app import errors
from app.audit import Action, Event
from app.deployment.connector import Held
from app.deployment.model import (
    Deployment,
    Failure,
    Insist,
    Outcome,
    Plan,
    Result,
    Rollback,
    Snapshot,
    State,
)
from app.errors import TargetAnswer
from app.pki import Notice
from app.store import EventFilter, Step, Store
from tests.store.builders import CALLER, WAY, accepted, advanced, at, deployment, event, key

EVERYTHING = deployment(
    7,
    state=State.ROLLED_BACK,
    insist=Insist.REQUIRED,
    expected_version="",
    expected_plan_hash="ee" * 32,
    force=True,
    attempt=2,
    previous_attempt="dep-before",
    started_at=at(8),
    finished_at=at(9),
    snapshot=Snapshot(
        version_id="v1",
        serial="01",
        thumbprint="cd" * 32,
        not_after=at(100),
        enabled=True,
        managed_by_us=False,
        tags={"env": "test"},
        attributes={"exportable": True, "not_before": 3, "subject": None},
    ),
    rollback=Rollback(plan=Plan.SECRET, reason="none", outcome=Outcome.RESTORED, version_id="v3"),
    version_id="v2",
    error=Failure(
        code="verification-failed",
        message="It is not.",
        retryable=False,
        step=State.VERIFYING,
        answer=TargetAnswer(status=409, code="Conflict", inner_code="X", request_id="r"),
    ),
    warnings=(Notice(code="expires-soon", message="Ten days."),),
    result=Result(
        target_address="https://v/certificates/c/v2",
        deployment_id="v2",
        message="ok",
        deployed_at=at(9),
        metadata={"kid": "x"},
    ),
    trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
)


def test_the_example_sets_every_field_of_a_deployment() -> None:
    bare = deployment(7)
    unset = {name for name in vars(bare) if getattr(bare, name) == getattr(EVERYTHING, name)}
    assert unset == {
        *("id", "target", "certificate", "created_at"),
        *("metadata", "actor", "request_id"),
    }


async def test_a_deployment_comes_back_with_every_field(either: Store) -> None:
    await either.accept(EVERYTHING, event(EVERYTHING))

    assert await either.get(EVERYTHING.id) == EVERYTHING


async def test_a_deployment_that_was_read_can_be_saved_again(store: Store) -> None:
    made = replace(EVERYTHING, state=State.ROLLING_BACK)
    await store.accept(made, event(made))
    await store.save(EVERYTHING, event(EVERYTHING))

    assert await store.get(EVERYTHING.id) == EVERYTHING


async def test_a_frozen_configuration_is_stored_like_a_plain_one(store: Store) -> None:
    made = deployment(1, state=State.FAILED)
    frozen = replace(made, target=replace(made.target, config=MappingProxyType(made.target.config)))

    await store.accept(frozen, event(frozen))

    assert await store.get(made.id) == made


async def test_every_step_is_kept_in_order_with_its_time_and_details(either: Store) -> None:
    made = await accepted(either, 1)
    await advanced(either, made, *WAY)

    steps = await either.steps(made.id)

    assert [(step.seq, step.state) for step in steps] == list(enumerate((State.QUEUED, *WAY), 1))
    assert steps[0] == Step(
        seq=1,
        at=at(1),
        state=State.QUEUED,
        action=Action.ACCEPTED,
        details=event(made).details,
    )


@pytest.mark.parametrize("after", [3, 5, 10**30])
async def test_steps_can_be_asked_for_after_one_already_known(store: Store, after: int) -> None:
    made = await accepted(store, 1)
    await advanced(store, made, *WAY)

    steps = await store.steps(made.id, after=after)

    assert [step.seq for step in steps] == [seq for seq in range(1, 6) if seq > after]


async def test_every_change_is_in_the_audit_trail_with_every_field(either: Store) -> None:
    made = await accepted(either, 1)
    told = event(replace(made, state=State.CANCELLED, trace_id="t"))
    await either.save(replace(made, state=State.CANCELLED), told)

    trail = await either.events(EventFilter(resource_id=made.id), page_size=10, cursor=None)

    assert trail.data[0] == told
    assert [each.action for each in trail.data] == [Action.CANCELLED, Action.ACCEPTED]


async def test_an_event_without_a_change_is_noted(either: Store) -> None:
    denied = Event(
        id="evt-1",
        timestamp=at(1),
        actor=CALLER,
        action=Action.ACCESS_DENIED,
        resource_type="connector",
        resource_id="AzureKeyVault",
        details={"reason": "no token", "attempts": 3, "known": False},
    )

    await either.note(denied)

    page = await either.events(EventFilter(), page_size=10, cursor=None)
    assert page.data == (denied,)


async def test_unfinished_deployments_are_listed_oldest_first(either: Store) -> None:
    made = [await accepted(either, number) for number in (3, 1, 2)]
    await advanced(either, made[1], *WAY)

    assert await either.unfinished() == [made[2], made[0]]


async def test_what_has_not_ended_and_is_unknown_elsewhere_is_found_once_it_is_old(
    either: Store,
) -> None:
    made = [await accepted(either, number) for number in (1, 2)]
    await advanced(either, made[0], *WAY)
    known = deployment(0)
    await either.accept(known, event(known), key())
    elsewhere = "EXISTS (SELECT 1 FROM idempotency_keys WHERE deployment_id = deployments.id)"

    found = [await either.unfinished_without(elsewhere, before=at(number)) for number in (2, 3)]

    assert found == [[], [made[1]]]


@pytest.mark.parametrize("ask", ["get", "steps"])
async def test_an_unknown_deployment_is_not_found(either: Store, ask: str) -> None:
    with pytest.raises(errors.DeploymentNotFound):
        await getattr(either, ask)("dep-unknown")


async def test_a_deployment_that_was_never_accepted_cannot_be_saved(store: Store) -> None:
    made = deployment(1)

    with pytest.raises(errors.DeploymentNotFound):
        await store.save(made, event(made))

    assert (await store.events(EventFilter(), page_size=10, cursor=None)).data == ()


async def test_a_nul_that_a_database_cannot_hold_is_replaced_and_nothing_else(
    store: Store,
) -> None:
    odd = {"name": "a\0b\0\0", "path": "C:\\u0000\\\0", "é\0": '"\n'}
    made = deployment(1, state=State.FAILED, metadata=odd, request_id="r\0")

    await store.accept(made, event(made))

    read = await store.get(made.id)
    assert read.metadata == {
        "name": "a\ufffdb\ufffd\ufffd",
        "path": "C:\\u0000\\\ufffd",
        "é\ufffd": '"\n',
    }
    assert read.request_id == "r\ufffd"


@pytest.mark.parametrize("secret", [b"-----BEGIN PRIVATE KEY-----", Held()], ids=["pem", "held"])
async def test_key_material_cannot_be_written_even_by_mistake(store: Store, secret: object) -> None:
    made: Deployment = deployment(1)
    leaking = replace(made, target=replace(made.target, config={"oops": secret}))

    with pytest.raises(TypeError):
        await store.accept(leaking, event(made))

    assert await store.unfinished() == []


def test_a_fingerprint_needs_the_stores_own_secret(store: Store) -> None:
    assert store.fingerprint(b"body") == store.fingerprint(b"body")
    assert store.fingerprint(b"body") != store.fingerprint(b"other")
    assert len(store.fingerprint(b"body")) == 64


async def test_the_fingerprint_secret_outlives_a_restart_and_differs_between_stores(
    url: str, store: Store
) -> None:
    await store.aclose()
    again = await Store.open(url, now=lambda: at(0))
    other = await Store.open("sqlite:///:memory:", now=lambda: at(0))

    assert again.fingerprint(b"body") == store.fingerprint(b"body") != other.fingerprint(b"body")

    await again.aclose()
    await other.aclose()
