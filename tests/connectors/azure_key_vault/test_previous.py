"""What puts the previous version back: a chain that is surely its own, and the key that fits it."""

import base64
import re
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates
from cryptography.x509 import Certificate, load_pem_x509_certificates

from app.connectors.azure_key_vault import previous
from app.connectors.azure_key_vault.answers import PEM, PFX, Secret
from app.connectors.azure_key_vault.previous import Previous
from app.deployment.connector import Held
from app.deployment.model import Plan, Rollback, Snapshot
from app.errors import RollbackImpossible
from tests.certificates import NOW, Authority, Issued, authority, ec_key, self_signed
from tests.connectors.azure_key_vault.shown import version

ELSEWHERE = authority("Elsewhere").issue("old.example")
SELF_SIGNED = self_signed("old.example")
BLOCK = re.compile(r"-----BEGIN (.+)-----\n[^-]+-----END \1-----\n")
KEY_GONE = "^The process died, and the key that the rollback needs went with it.$"


def snapshot(**attributes: object) -> Snapshot:
    return Snapshot(
        version_id="v-1",
        serial="01",
        thumbprint="aa",
        not_after=NOW,
        enabled=False,
        managed_by_us=False,
        attributes=attributes,
    )


def holding(
    old: Issued,
    *,
    new: Issued | None = None,
    key: Issued | None = None,
    chain: tuple[Certificate, ...] | None = None,
    secret: Secret | None = None,
) -> Held:
    """What is held of *old*, of what is deployed, and of the caller's key."""
    held = Held(new.bundle() if new else None, key.bundle().key if key else None)
    held.previous = Previous(old.leaf, secret, chain)
    return held


def body(held: Held, plan: Plan, **attributes: object) -> Any:  # noqa: ANN401 - the JSON of an import
    return previous.body(snapshot(**attributes), Rollback(plan=plan), held, {"env": "test"})


def unpacked(value: str) -> tuple[object, ...]:
    """The key's public half, the leaf and the chain that a PFX holds."""
    key, leaf, chain = load_key_and_certificates(base64.b64decode(value), None)
    return key and key.public_key(), leaf, tuple(chain)


def test_a_chain_is_the_old_one_too_where_it_signed_the_old_leaf(old: Issued, new: Issued) -> None:
    assert previous.chain_for(old.leaf, Held(new.bundle())) == new.chain


def test_what_signed_itself_needs_no_chain(new: Issued) -> None:
    assert previous.chain_for(SELF_SIGNED.leaf, Held(new.bundle())) == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [(ELSEWHERE, authority().issue()), (ELSEWHERE, self_signed("new.example")), (ELSEWHERE, None)],
    ids=["another-issuer", "sent-without-a-chain", "nothing-held"],
)
def test_a_chain_that_did_not_sign_the_old_leaf_is_not_put_below_it(
    old: Issued, new: Issued | None
) -> None:
    assert previous.chain_for(old.leaf, Held(new.bundle() if new else None)) is None


READ: Final = Secret(version_id="v-1", content_type=PFX, value="", managed=True)
OTHER: Final = authority("Other").issue()
RENEWED: Final = authority("Renewed").issue(key=ELSEWHERE.key)
PLANS = {
    "secret": (holding(ELSEWHERE, secret=READ), Rollback(plan=Plan.SECRET)),
    "previous-key": (
        holding(ELSEWHERE, new=OTHER, key=ELSEWHERE, chain=()),
        Rollback(plan=Plan.PREVIOUS_KEY),
    ),
    "same-key": (
        holding(ELSEWHERE, new=RENEWED, key=OTHER, chain=()),
        Rollback(plan=Plan.SAME_KEY),
    ),
    "no-key": (
        holding(ELSEWHERE, new=OTHER, key=OTHER, chain=()),
        Rollback(plan=Plan.IMPOSSIBLE, reason="key-not-exportable"),
    ),
    "nothing": (
        holding(ELSEWHERE),
        Rollback(plan=Plan.IMPOSSIBLE, reason="key-not-exportable"),
    ),
    "no-chain": (
        holding(ELSEWHERE, key=ELSEWHERE),
        Rollback(plan=Plan.IMPOSSIBLE, reason="chain-unknown"),
    ),
}


@pytest.mark.parametrize(("held", "plan"), PLANS.values(), ids=PLANS)
def test_how_a_version_could_be_put_back_is_known_by_what_is_held(
    held: Held, plan: Rollback
) -> None:
    current = version(ELSEWHERE)

    assert previous.plan(current, held, "key-not-exportable", expired=False) == plan


@pytest.mark.parametrize("held", [held for held, _ in PLANS.values()], ids=PLANS)
def test_what_has_expired_is_not_put_back_whatever_is_held(held: Held) -> None:
    """Key Vault would take it, but it serves nobody."""
    expired = Rollback(plan=Plan.IMPOSSIBLE, reason="certificate-expired")

    assert previous.plan(version(ELSEWHERE), held, None, expired=True) == expired


@pytest.mark.parametrize("kind", [PFX, PEM])
@pytest.mark.parametrize("plan", [Plan.PREVIOUS_KEY, Plan.SAME_KEY])
def test_the_old_leaf_goes_back_with_the_key_of_its_plan_whatever_else_is_held(
    ca: Authority, old: Issued, new: Issued, plan: Plan, kind: str
) -> None:
    renewed = ca.issue(key=old.key)
    brought = {Plan.PREVIOUS_KEY: (new, old), Plan.SAME_KEY: (renewed, new)}[plan]
    held = holding(old, new=brought[0], key=brought[1], chain=old.chain)

    found = body(held, plan, content_type=kind, exportable=False)

    value = found.pop("value")
    if kind == PFX:
        assert unpacked(value) == (old.key.public_key(), old.leaf, old.chain)
    else:
        key = load_pem_private_key(value.encode(), None)
        assert key.public_key() == old.key.public_key()
        assert load_pem_x509_certificates(value.encode()) == [old.leaf, *old.chain]
        assert re.sub(BLOCK, "", value) == ""  # no other text
    assert found["policy"]["secret_props"] == {"contentType": kind}
    assert found["policy"]["key_props"]["exportable"] is False
    assert (found["attributes"], found["tags"]) == ({"enabled": False}, {"env": "test"})


def test_where_nothing_is_known_of_its_form_a_secret_becomes_an_exportable_pfx(
    old: Issued,
) -> None:
    found = body(holding(old, key=old), Plan.PREVIOUS_KEY)

    assert unpacked(found["value"]) == (old.key.public_key(), old.leaf, ())
    assert found["policy"]["secret_props"] == {"contentType": PFX}
    assert found["policy"]["key_props"]["exportable"] is True


def test_the_same_certificate_goes_back_as_it_was_sent(old: Issued) -> None:
    found = body(Held(old.bundle()), Plan.NOT_NEEDED)

    assert unpacked(found["value"]) == (old.key.public_key(), old.leaf, old.chain)


@pytest.mark.parametrize(
    ("plan", "new", "key"),
    [
        (Plan.PREVIOUS_KEY, SELF_SIGNED, None),
        (Plan.SAME_KEY, None, ELSEWHERE),
        (Plan.SECRET, SELF_SIGNED, ELSEWHERE),
        (Plan.NOT_NEEDED, None, ELSEWHERE),
    ],
    ids=["previous-key", "same-key", "secret", "not-needed"],
)
def test_a_key_that_is_gone_cannot_be_put_back(
    plan: Plan, new: Issued | None, key: Issued | None
) -> None:
    with pytest.raises(RollbackImpossible, match=KEY_GONE):
        body(holding(ELSEWHERE, new=new, key=key), plan)


def test_after_a_crash_nothing_can_be_put_back_from_memory() -> None:
    with pytest.raises(RollbackImpossible, match=KEY_GONE):
        body(Held(), Plan.NOT_NEEDED)


def test_where_there_is_no_plan_the_reason_is_pointed_to(old: Issued) -> None:
    said = "^The previous certificate cannot be put back; `rollback.reason` says why.$"
    with pytest.raises(RollbackImpossible, match=said):
        body(holding(old, key=old), Plan.IMPOSSIBLE)


@pytest.mark.parametrize(
    ("curve", "name"),
    [(ec.SECP256R1(), "P-256"), (ec.SECP256K1(), "P-256K"), (ec.SECP224R1(), "secp224r1")],
    ids=lambda one: one if isinstance(one, str) else "curve",
)
def test_a_curve_is_named_as_key_vault_names_it_where_it_does(
    curve: ec.EllipticCurve, name: str
) -> None:
    issued = self_signed("old.example", key=ec_key(curve))

    sent = previous.request("", PFX, issued.leaf, {}, enabled=True)

    assert sent["policy"]["key_props"] == {"exportable": True, "kty": "EC", "crv": name}


def test_a_policy_says_that_key_vault_tells_of_the_end_and_never_renews(old: Issued) -> None:
    policy = previous.request("", PFX, old.leaf, {}, enabled=True)["policy"]

    assert policy["issuer"] == {"name": "Unknown"}
    assert policy["lifetime_actions"] == [
        {"trigger": {"lifetime_percentage": 80}, "action": {"action_type": "EmailContacts"}}
    ]
