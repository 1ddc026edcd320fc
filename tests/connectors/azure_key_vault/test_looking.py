"""What a look says: what is there, what an import would change, and what to know about it."""

from datetime import timedelta
from typing import Any, Final

import pytest

from app import pki
from app.connectors.azure_key_vault import tags
from app.connectors.azure_key_vault.answers import PEM, PFX, Secret, Version
from app.connectors.azure_key_vault.config import AzureKeyVaultTarget
from app.connectors.azure_key_vault.looking import Looking
from app.deployment.connector import Held, Standing
from app.deployment.model import Plan, Rollback, Snapshot
from app.errors import TargetError, TargetForbiddenRbac, TargetUnavailable
from app.pki import Notice
from tests.certificates import NOW
from tests.conftest import Clock
from tests.connectors.azure_key_vault.shown import NEW, OLD, Shown, version
from tests.deployment.making import TARGET, deployment

CONFIG: Final = AzureKeyVaultTarget(
    vault_url="https://my-vault.vault.azure.net",
    certificate_name="api-prod",
    tags=TARGET.config["tags"],
)
WANTED: Final = tags.for_import(deployment(NEW))
KEYED: Final = Secret(
    version_id="v-now", content_type=PEM, value="-----BEGIN PRIVATE KEY-----", managed=True
)
BEHIND: Final = Secret(version_id="v-before", content_type=PFX, value="", managed=True)
KEYLESS: Final = Secret(version_id="v-now", content_type=PFX, value="", managed=True)
RENEWS: Final = {
    "issuer": {"name": "Self"},
    "lifetime_actions": [{"action": {"action_type": "AutoRenew"}}],
}
NEXT: Final = "A new version becomes current."
OTHER: Final = f"The certificate {pki.thumbprint(OLD.leaf)[:16]}… is replaced by another."
AWAKE: Final = "The name serves again: its current version is disabled."
TAGS: Final = "The tags are replaced."
NO_MORE: Final = "Key Vault no longer renews this certificate by itself."


async def look(
    shown: Version | None,
    secret: Secret | TargetError | None = KEYED,
    *,
    read_secrets: bool = True,
    now: Clock | None = None,
) -> Standing:
    looking, vault = Looking(read_secrets=read_secrets, now=now or Clock(NOW)), Shown(shown, secret)
    found = await looking.take(vault, CONFIG, deployment(NEW), Held(NEW.bundle()))
    assert vault.names == {"api-prod"}
    return found


async def test_where_nothing_is_there_the_first_version_is_made() -> None:
    found = await look(None, None)

    assert (found.snapshot, found.unchanged, found.warnings) == (None, None, ())
    assert found.rollback == Rollback(plan=Plan.NOT_NEEDED)
    assert found.changes == ("The first version under this name is made.",)


@pytest.mark.parametrize("managed", [True, False])
async def test_what_is_there_is_kept_whole(*, managed: bool) -> None:
    told = {"certctl-managed-by": "certctl"} if managed else {"certctl-managed-by": "terraform"}

    found = await look(version(OLD, tags=told, enabled=False))

    assert found.snapshot == Snapshot(
        version_id="v-now",
        serial=pki.serial_text(OLD.leaf.serial_number),
        thumbprint=pki.thumbprint(OLD.leaf),
        not_after=OLD.leaf.not_valid_after_utc,
        enabled=False,
        managed_by_us=managed,
        tags=told,
        attributes={"content_type": PFX, "exportable": True},
    )


CHANGES: Final = {
    "another": (version(OLD, tags=WANTED), (NEXT, OTHER)),
    "disabled": (version(NEW, tags=WANTED, enabled=False), (NEXT, AWAKE)),
    "tags": (version(NEW), (NEXT, TAGS)),
    "all": (version(OLD, enabled=False, policy=RENEWS), (NEXT, OTHER, AWAKE, TAGS, NO_MORE)),
    "nothing": (version(NEW, tags=WANTED, policy=RENEWS), ()),
}


@pytest.mark.parametrize(("shown", "changes"), CHANGES.values(), ids=CHANGES)
async def test_what_an_import_would_change_is_said(
    shown: Version, changes: tuple[str, ...]
) -> None:
    found = await look(shown)

    assert found.changes == changes
    assert (found.unchanged is not None) is (not changes)


@pytest.mark.parametrize(
    ("policy", "notice"),
    [
        (
            RENEWS,
            Notice(
                code="policy-renews-itself",
                message="The existing policy would let Key Vault replace this certificate by one "
                "of its own at 80 % of its life. Only an import by us ends that (`force` makes "
                "one).",
            ),
        ),
        (
            {"secret_props": {"contentType": PEM}},
            Notice(
                code="content-type-changes",
                message="The secret is PEM now; an import by us makes it PFX. Check who reads it.",
            ),
        ),
        (
            {"key_props": {"exportable": False}},
            Notice(
                code="exportable-changes",
                message="The key is not exportable now; an import by us makes the new one "
                "exportable.",
            ),
        ),
    ],
    ids=["renews-itself", "pem", "not-exportable"],
)
async def test_what_to_know_about_a_policy_is_said_in_a_sentence(
    policy: dict[str, Any], notice: Notice
) -> None:
    assert (await look(version(OLD, policy=policy))).warnings == (notice,)


@pytest.mark.parametrize(
    "policy",
    [
        {"lifetime_actions": [{"action": {"action_type": "EmailContacts"}}]},
        {"lifetime_actions": [{"action": None}, {}], "issuer": None},
        {"lifetime_actions": None},
        {**RENEWS, "issuer": {"name": "Unknown"}},
    ],
    ids=["tells-only", "odd", "none", "cannot"],
)
async def test_a_policy_that_cannot_renew_is_nothing_to_know_about(policy: dict[str, Any]) -> None:
    assert (await look(version(OLD, policy=policy))).warnings == ()


@pytest.mark.parametrize(
    ("secret", "asked", "told"),
    [
        (KEYED, True, "granted"),
        (None, True, "granted"),
        (TargetForbiddenRbac(), True, "denied"),
        (KEYED, False, "unknown"),
    ],
    ids=["read", "none", "refused", "not-asked"],
)
@pytest.mark.parametrize("shown", [version(OLD), None], ids=["there", "not-there"])
async def test_what_our_identity_may_do_is_said_as_far_as_reading_tells(
    shown: Version | None, secret: Secret | TargetError | None, told: str, *, asked: bool
) -> None:
    found = await look(shown, secret, read_secrets=asked)

    assert found.permissions == {
        "certificates/read": "granted",
        "certificates/import/action": "unknown",
        "secrets/getSecret/action": told,
    }


@pytest.mark.parametrize(
    ("seconds", "plan"), [(-1, Rollback(plan=Plan.SECRET)), (0, None)], ids=["before", "at-its-end"]
)
async def test_a_certificate_has_expired_at_its_very_end(
    seconds: int, plan: Rollback | None
) -> None:
    end = OLD.leaf.not_valid_after_utc + timedelta(seconds=seconds)

    found = await look(version(OLD), now=Clock(end))

    expired = Rollback(plan=Plan.IMPOSSIBLE, reason="certificate-expired")
    assert found.rollback == (plan or expired)


class Restless(Shown):
    """A vault in which another version is current at every look."""

    async def latest(self, name: str) -> Version | None:
        self.looks += 1
        return version(OLD, f"v-{self.looks}")


async def test_a_name_that_others_keep_writing_under_is_left_alone() -> None:
    looking, vault = Looking(read_secrets=True, now=Clock(NOW)), Restless(None, KEYED)

    with pytest.raises(TargetUnavailable, match=r"^Others keep writing under this name; nothing"):
        await looking.take(vault, CONFIG, deployment(NEW), Held(NEW.bundle()))

    assert vault.looks == 6  # twice each time


async def test_a_secret_that_is_behind_is_read_for_the_very_version_that_is_current() -> None:
    looking, vault = Looking(read_secrets=True, now=Clock(NOW)), Shown(version(OLD), BEHIND)

    await looking.take(vault, CONFIG, deployment(NEW), Held(NEW.bundle()))

    assert vault.asked == ["", "v-now"]
    assert vault.names == {"api-prod"}


async def test_what_is_served_already_needs_no_plan() -> None:
    found = await look(version(NEW, tags=WANTED), None)

    assert found.rollback == Rollback(plan=Plan.NOT_NEEDED)
    assert found.unchanged is not None
    assert found.unchanged.deployed_at == NOW


@pytest.mark.parametrize("secret", [None, KEYLESS], ids=["no-secret", "no-key-in-it"])
async def test_a_key_that_cannot_be_read_cannot_be_put_back(secret: Secret | None) -> None:
    found = await look(version(OLD), secret)

    reason = "key-not-exportable"
    assert found.rollback == Rollback(plan=Plan.IMPOSSIBLE, reason=reason)


async def test_a_secret_of_the_current_version_is_asked_for_once_though_it_holds_no_key() -> None:
    looking, vault = Looking(read_secrets=True, now=Clock(NOW)), Shown(version(OLD), KEYLESS)

    await looking.take(vault, CONFIG, deployment(NEW), Held(NEW.bundle()))

    assert (vault.looks, vault.asked) == (1, [""])
