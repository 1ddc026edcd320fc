"""Lists are newest first, filtered, and stand still while they are paged through."""

import base64
from dataclasses import replace
from typing import Any

import pytest

from app import errors
from app.audit import Action, Actor
from app.deployment.model import State
from app.store import DeploymentFilter, EventFilter, Page, Store
from tests.store.builders import accepted, advanced, at, deployment, event


def _numbers(page: Page[Any]) -> list[int]:
    return [int(each.request_id.removeprefix("req-")) for each in page.data]


DEPLOYMENTS = {
    "all": (DeploymentFilter(), [6, 5, 4, 3, 2, 1]),
    "target type": (DeploymentFilter(target_type="AzureKeyVault"), [5, 4, 3, 2, 1]),
    "state": (DeploymentFilter(state=State.CANCELLED), [2]),
    "certificate id": (DeploymentFilter(certificate_id="mc-1"), [4, 1]),
    "vault": (DeploymentFilter(vault_url="https://vault-0.vault.azure.net"), [6, 4, 2]),
    "certificate name": (DeploymentFilter(certificate_name="cert-3"), [3]),
    "after": (DeploymentFilter(created_after=at(4)), [6, 5]),
    "before": (DeploymentFilter(created_before=at(3)), [2, 1]),
    "several": (DeploymentFilter(certificate_id="mc-1", created_after=at(1)), [4]),
    "none": (DeploymentFilter(target_type="' OR 1 = 1 --"), []),
}


@pytest.mark.parametrize(("wanted", "found"), DEPLOYMENTS.values(), ids=DEPLOYMENTS)
async def test_deployments_are_found_by(
    either: Store, wanted: DeploymentFilter, found: list[int]
) -> None:
    made = [await accepted(either, number) for number in range(1, 6)]
    await advanced(either, made[1], State.CANCELLED)
    other = deployment(6)
    other = replace(other, target=replace(other.target, type="SSH"))
    await either.accept(other, event(other))

    assert _numbers(await either.deployments(wanted, page_size=50, cursor=None)) == found


EVENTS = {
    "all": (EventFilter(), [4, 3, 2, 1]),
    "action": (EventFilter(action=Action.REPLAYED), [1]),
    "actor": (EventFilter(actor="someone"), [2]),
    "resource type": (EventFilter(resource_type="connector"), [3]),
    "resource": (EventFilter(resource_type="deployment", resource_id=deployment(4).id), [4]),
    "after": (EventFilter(created_after=at(2)), [4, 3]),
    "before": (EventFilter(created_before=at(2)), [1]),
    "target type": (EventFilter(target_type="AzureKeyVault"), [4, 3, 2, 1]),
    "state": (EventFilter(state=State.QUEUED), [4, 3, 2, 1]),
    "certificate id": (EventFilter(certificate_id="mc-1"), [4, 1]),
    "vault": (EventFilter(vault_url="https://vault-1.vault.azure.net"), [3, 1]),
    "certificate name": (EventFilter(certificate_name="cert-2"), [2]),
    "none": (EventFilter(actor="nobody"), []),
}


@pytest.mark.parametrize(("wanted", "found"), EVENTS.values(), ids=EVENTS)
async def test_events_are_found_by(either: Store, wanted: EventFilter, found: list[int]) -> None:
    changes: list[dict[str, Any]] = [
        {"action": Action.REPLAYED},
        {"actor": Actor(name="someone", kind="token")},
        {"resource_type": "connector"},
        {},
    ]
    for number, change in enumerate(changes, 1):
        told = event(deployment(number), id=f"evt-{number}", timestamp=at(number))
        await either.note(replace(told, **change))

    assert _numbers(await either.events(wanted, page_size=50, cursor=None)) == found


async def test_pages_follow_one_another_and_the_last_says_so(either: Store) -> None:
    for number in range(5):
        await accepted(either, number)

    pages, cursor = [], None
    for _ in range(3):
        page = await either.deployments(DeploymentFilter(), page_size=2, cursor=cursor)
        pages.append(_numbers(page))
        cursor = page.next_cursor

    assert pages == [[4, 3], [2, 1], [0]]
    assert cursor is None


async def test_a_last_page_that_is_full_has_no_next_one(store: Store) -> None:
    for number in range(2):
        await accepted(store, number)

    page = await store.deployments(DeploymentFilter(), page_size=2, cursor=None)

    assert (_numbers(page), page.next_cursor) == ([1, 0], None)


async def test_what_arrives_meanwhile_shifts_no_page(store: Store) -> None:
    for number in range(4):
        await accepted(store, number)
    first = await store.deployments(DeploymentFilter(), page_size=2, cursor=None)
    for number in range(4, 9):
        await accepted(store, number)

    second = await store.deployments(DeploymentFilter(), page_size=2, cursor=first.next_cursor)

    assert (_numbers(first), _numbers(second)) == ([3, 2], [1, 0])


async def test_a_filter_holds_over_all_pages(store: Store) -> None:
    for number in range(8):
        await accepted(store, number)
    wanted = DeploymentFilter(vault_url="https://vault-1.vault.azure.net")

    first = await store.deployments(wanted, page_size=2, cursor=None)
    second = await store.deployments(wanted, page_size=2, cursor=first.next_cursor)

    assert (_numbers(first), _numbers(second)) == ([7, 5], [3, 1])


async def test_the_audit_trail_is_paged_as_well(store: Store) -> None:
    for number in range(3):
        await accepted(store, number)

    first = await store.events(EventFilter(), page_size=2, cursor=None)
    second = await store.events(EventFilter(), page_size=2, cursor=first.next_cursor)

    assert (_numbers(first), _numbers(second)) == ([2, 1], [0])


FOREIGN = {
    "empty": "",
    "not base64": "?!",
    "not ASCII": "\u00e9\u00e9\u00e9\u00e9",
    "not text": base64.urlsafe_b64encode(b"\xff\xfe\xfd").decode(),
    "of the other list": base64.urlsafe_b64encode(b"events:evt-1").decode(),
    "of nothing": base64.urlsafe_b64encode(b"deployments:").decode(),
    "one character": "A",
}


@pytest.mark.parametrize("cursor", FOREIGN.values(), ids=FOREIGN)
async def test_a_cursor_that_is_not_ours_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(errors.InvalidRequest) as refusal:
        await store.deployments(DeploymentFilter(), page_size=2, cursor=cursor)

    assert [(fault.field, fault.code) for fault in refusal.value.faults] == [
        ("cursor", "cursor-invalid")
    ]
