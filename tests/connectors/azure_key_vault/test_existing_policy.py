"""A name whose existing policy lets Key Vault renew by itself: said before, ended by our import.

Issuer `Self` with AutoRenew makes Key Vault replace a CA's certificate by one that it signs
itself, at 80 % of its life. The emulator's clock shows whether it still can.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from app import pki
from app.deployment.connector import Held
from app.deployment.model import Plan, State
from app.emulator import Fault, StoreAnother
from tests.certificates import Authority, Issued
from tests.connectors.azure_key_vault.conftest import Open
from tests.connectors.azure_key_vault.playground import NAME, Playground, holds, serves

RENEWS = [{"trigger": {"lifetime_percentage": 80}, "action": {"action_type": "AutoRenew"}}]
WRONG = Fault(operation="import", effect=StoreAnother())


def renewing(play: Playground, issued: Issued) -> None:
    """Somebody imported *issued* with the policy that every sample of the SDK shows."""
    play.store(issued)
    play.change_policy(issuer={"name": "Self"}, lifetime_actions=RENEWS)


def pass_80_percent(play: Playground, issued: Issued) -> None:
    begin, end = issued.leaf.not_valid_before_utc, issued.leaf.not_valid_after_utc
    due = begin.timestamp() + 0.81 * (end - begin).total_seconds()
    play.emulator.clock.advance(due - play.emulator.clock.now())


async def served_later(open_playground: Open) -> str:
    """What the vault serves now, by its thumbprint, seen by a service that logs in anew."""
    async with open_playground() as later:
        found = await later.connector.served(later.target())
        assert found is not None
        return found.thumbprint


async def test_the_plan_says_that_key_vault_would_renew_by_itself(
    play: Playground, old: Issued, new: Issued
) -> None:
    renewing(play, old)

    standing = await play.connector.snapshot(play.deployment(new), Held(new.bundle()))

    assert [notice.code for notice in standing.warnings] == ["policy-renews-itself"]
    assert "Key Vault no longer renews this certificate by itself." in standing.changes
    assert play.emulator.writes == 0


@pytest.mark.parametrize(
    "quiet",
    [
        {"issuer": {"name": "Unknown"}},
        {"lifetime_actions": [{**RENEWS[0], "action": {"action_type": "EmailContacts"}}]},
    ],
    ids=["issuer Unknown", "mail to the contacts"],
)
async def test_of_a_policy_that_cannot_renew_nothing_is_said(
    play: Playground, old: Issued, new: Issued, quiet: Mapping[str, Any]
) -> None:
    renewing(play, old)
    play.change_policy(**quiet)

    standing = await play.connector.snapshot(play.deployment(new), Held(new.bundle()))

    assert standing.warnings == ()
    assert "Key Vault no longer renews this certificate by itself." not in standing.changes


async def test_without_our_import_key_vault_replaces_the_certificate(
    play: Playground, open_playground: Open, old: Issued
) -> None:
    renewing(play, old)

    pass_80_percent(play, old)

    certificate = play.latest.certificate
    assert await served_later(open_playground) != pki.thumbprint(old.leaf)
    assert certificate.issuer == certificate.subject == old.leaf.subject
    assert certificate.public_key() != old.leaf.public_key()


async def test_after_our_import_ours_is_still_served(
    play: Playground, open_playground: Open, old: Issued, new: Issued
) -> None:
    renewing(play, old)
    run = await play.deploy(new)

    pass_80_percent(play, new)

    assert run.warnings == ["policy-renews-itself"]
    assert await served_later(open_playground) == pki.thumbprint(new.leaf)
    assert serves(play.vault, new)
    assert len(play.vault.versions(NAME)) == 2


async def test_what_is_already_served_is_only_warned_of_and_goes_on_renewing(
    play: Playground, open_playground: Open, new: Issued
) -> None:
    await play.deploy(new)
    play.change_policy(issuer={"name": "Self"}, lifetime_actions=RENEWS)

    run = await play.deploy(new)
    pass_80_percent(play, new)

    assert (run.final.state, run.warnings) == (State.UNCHANGED, ["policy-renews-itself"])
    assert await served_later(open_playground) != pki.thumbprint(new.leaf)


async def test_force_ends_it_for_what_is_already_served(
    play: Playground, open_playground: Open, new: Issued
) -> None:
    await play.deploy(new)
    play.change_policy(issuer={"name": "Self"}, lifetime_actions=RENEWS)

    run = await play.deploy(new, force=True)
    pass_80_percent(play, new)

    assert run.final.state is State.SUCCEEDED
    assert await served_later(open_playground) == pki.thumbprint(new.leaf)


@pytest.mark.parametrize("plan", [Plan.SECRET, Plan.PREVIOUS_KEY, Plan.SAME_KEY])
async def test_after_a_rollback_the_previous_certificate_is_not_replaced_either(
    play: Playground, open_playground: Open, ca: Authority, plan: Plan
) -> None:
    old = ca.issue()
    new = ca.issue(key=old.key if plan is Plan.SAME_KEY else None)
    renewing(play, old)
    if plan is not Plan.SECRET:
        play.emulator.deny(action="secrets/getSecret/action")

    run = await play.deploy(
        new,
        previous_key=old if plan is Plan.PREVIOUS_KEY else None,
        at={State.IMPORTING: [WRONG]},
    )
    pass_80_percent(play, old)

    assert run.final.rollback is not None
    assert (run.final.state, run.final.rollback.plan) == (State.ROLLED_BACK, plan)
    assert run.warnings == ["policy-renews-itself"]
    assert await served_later(open_playground) == pki.thumbprint(old.leaf)
    assert holds(play.latest, old)


async def test_a_deployment_that_changed_nothing_changes_no_policy(
    play: Playground, old: Issued, new: Issued
) -> None:
    renewing(play, old)
    play.emulator.deny(action="certificates/import/action")

    run = await play.deploy(new)

    assert (run.final.state, run.warnings) == (State.FAILED, ["policy-renews-itself"])
    assert play.vault.policy(NAME)["lifetime_actions"] == RENEWS
