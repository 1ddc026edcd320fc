"""The least Azure role, tried: the README's data actions suffice, and less does not."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from app.connectors.azure_key_vault import previous
from app.deployment.model import Insist, Outcome, Plan, State
from app.emulator import Drop, Emulator, Fault
from tests.certificates import Issued
from tests.connectors.azure_key_vault.playground import NAME, Playground, Run, holds, serves
from tests.faults import Happens

README = (Path(__file__).parents[3] / "README.md").read_text()
IMPORT = "certificates/import/action"
READ = "certificates/read"
SECRET = "secrets/getSecret/action"
Give = Callable[..., None]


def told_in_the_readme() -> list[str]:
    table = README.partition("### The least Azure role\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `(Microsoft\.KeyVault/vaults/\S+)` \|", table, flags=re.MULTILINE)


@pytest.fixture(name="give")
def _give(emulator: Emulator) -> Give:
    def give(*roles: str | list[str], **scope: str) -> None:
        for role in roles:
            emulator.assign(emulator.client_id, role, **scope)

    return give


def rollback_plan(run: Run) -> tuple[Plan, str | None]:
    first = run.saved[0].rollback
    assert first is not None
    return first.plan, first.reason


def test_the_readme_names_three_data_actions() -> None:
    assert told_in_the_readme() == [
        f"Microsoft.KeyVault/vaults/{action}" for action in (IMPORT, READ, SECRET)
    ]


async def test_two_data_actions_suffice_for_a_deployment(
    play: Playground, old: Issued, new: Issued, give: Give
) -> None:
    play.store(old)
    give(told_in_the_readme()[:2])

    run = await play.deploy(new)

    assert run.final.state is State.SUCCEEDED
    assert serves(play.vault, new)
    assert rollback_plan(run) == (Plan.IMPOSSIBLE, previous.NO_PERMISSION)


async def test_they_suffice_to_see_what_stands_in_the_way_and_who_made_a_version(
    play: Playground, old: Issued, new: Issued, give: Give, another_certificate: Happens
) -> None:
    play.store(old)
    give(told_in_the_readme()[:2])
    another_certificate()
    lost = Fault(operation="import", effect=Drop(applied=True))

    assert await play.connector.conflict(play.target()) is None
    run = await play.deploy(new, at={State.IMPORTING: [lost]})

    assert run.final.state is State.ROLLBACK_FAILED  # as planned: the third one is missing
    assert {"get_deleted", "get_pending", "list_versions"} <= set(play.calls)
    assert "403" not in [status for call, status in play.counted if call != "get_secret"]


@pytest.mark.parametrize(
    "scope",
    [{}, {"vault": "my-vault"}, {"vault": "my-vault", "name": NAME}],
    ids=["everywhere", "vault", "name"],
)
async def test_all_three_suffice_for_a_rollback_after_a_key_change(
    play: Playground,
    old: Issued,
    new: Issued,
    give: Give,
    another_certificate: Happens,
    scope: dict[str, str],
) -> None:
    play.store(old, tags={"owner": "web"})
    give(told_in_the_readme(), **scope)
    another_certificate()

    run = await play.deploy(new)

    assert rollback_plan(run) == (Plan.SECRET, None)
    assert run.final.state is State.ROLLED_BACK
    assert run.final.rollback is not None
    assert run.final.rollback.outcome is Outcome.RESTORED
    assert holds(play.latest, old)
    assert play.latest.tags["owner"] == "web"


async def test_a_certificates_officer_alone_cannot_put_the_previous_key_back(
    play: Playground, old: Issued, new: Issued, give: Give
) -> None:
    play.store(old)
    give("Key Vault Certificates Officer")

    run = await play.deploy(new)

    assert rollback_plan(run) == (Plan.IMPOSSIBLE, "secret-permission-missing")
    assert run.final.state is State.SUCCEEDED


async def test_a_certificates_officer_changes_nothing_where_a_rollback_is_required(
    play: Playground, old: Issued, new: Issued, give: Give
) -> None:
    play.store(old)
    give("Key Vault Certificates Officer")

    run = await play.deploy(new, insist=Insist.REQUIRED)

    assert (run.final.state, run.code) == (State.FAILED, "rollback-impossible")
    assert play.emulator.writes == 0


async def test_a_certificates_officer_and_secrets_user_can(
    play: Playground, old: Issued, new: Issued, give: Give
) -> None:
    play.store(old)
    give("Key Vault Certificates Officer", "Key Vault Secrets User")

    assert rollback_plan(await play.deploy(new)) == (Plan.SECRET, None)


@pytest.mark.parametrize(
    "roles",
    [
        [[READ, SECRET]],
        [[IMPORT, SECRET]],
        ["Key Vault Certificate User"],
        ["Key Vault Secrets User"],
        ["Key Vault Reader"],
        ["Key Vault Contributor"],
    ],
    ids=["no import", "no read", "certificate user", "secrets user", "reader", "contributor"],
)
async def test_less_than_that_ends_forbidden_with_nothing_changed(
    play: Playground, old: Issued, new: Issued, give: Give, roles: list[str | list[str]]
) -> None:
    play.store(old)
    before = play.vault.versions(NAME)
    give(*roles)

    run = await play.deploy(new)

    assert run.final.state is State.FAILED
    assert run.code == "target-forbidden-rbac"
    assert play.vault.versions(NAME) == before
    assert play.emulator.writes == 0


async def test_a_role_on_another_vault_is_none_on_this_one(
    play: Playground, new: Issued, give: Give
) -> None:
    give("Key Vault Administrator", vault="other-vault")

    run = await play.deploy(new)

    assert run.code == "target-forbidden-rbac"
    assert play.emulator.writes == 0
