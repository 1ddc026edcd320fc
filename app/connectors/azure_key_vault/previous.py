"""The previous version: whether it could be put back, and with what.

A GET of a certificate holds no private key, so the old certificate alone is not enough: its key
must come from its secret, from the caller, or be the new key as well.
"""

import base64
from typing import Any, Final, NoReturn

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app import pki
from app.connectors.azure_key_vault.answers import PEM, PFX, Secret, Version
from app.deployment.connector import Held
from app.deployment.model import Plan, Rollback, Snapshot
from app.errors import RollbackImpossible
from app.pki import PrivateKey

# why there is no plan; the same words label certctl_deploy_rollback_impossible_total
NO_PERMISSION: Final = "secret-permission-missing"
NOT_ASKED: Final = "secret-reading-disabled"
NOT_EXPORTABLE: Final = "key-not-exportable"
DISABLED: Final = "version-disabled"
EXPIRED: Final = "certificate-expired"
CHAIN_UNKNOWN: Final = "chain-unknown"

# said after an import, when the sentence of the error ("nothing changed") is no longer true
_NO_WAY: Final = "The previous certificate cannot be put back; `rollback.reason` says why."
_KEY_GONE: Final = "The process died, and the key that the rollback needs went with it."

# what a snapshot keeps besides, so that the secret is what its readers know
CONTENT_TYPE: Final = "content_type"
EXPORTABLE: Final = "exportable"

_CURVES: Final = {**pki.CURVES, "secp256k1": "P-256K"}  # we send none such, but it may be there


class Previous:
    """What is held of the previous version until the deployment is final. Never printed.

    Args:
        certificate: its leaf.
        secret: the whole secret, where it could be read and holds the key.
        chain: the chain for a PFX made by us, where the old leaf has the same issuer.
    """

    __slots__ = ("certificate", "chain", "secret")

    def __init__(
        self,
        certificate: x509.Certificate,
        secret: Secret | None,
        chain: tuple[x509.Certificate, ...] | None,
    ) -> None:
        self.certificate = certificate
        self.secret = secret
        self.chain = chain

    def __repr__(self) -> str:
        return "<Previous>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Previous holds a private key and is never copied or pickled")


def plan(current: Version, held: Held, why_no_secret: str | None, *, expired: bool) -> Rollback:
    """How *current* could be put back, given what is held; *why_no_secret* if it is not."""
    previous = held.previous
    assert isinstance(previous, Previous)  # noqa: S101 - the snapshot has just put it there
    if expired:
        return Rollback(plan=Plan.IMPOSSIBLE, reason=EXPIRED)
    if previous.secret is not None:
        return Rollback(plan=Plan.SECRET)
    wanted = _by_key(current, held)
    if wanted is None:
        return Rollback(plan=Plan.IMPOSSIBLE, reason=why_no_secret)
    if previous.chain is None:
        return Rollback(plan=Plan.IMPOSSIBLE, reason=CHAIN_UNKNOWN)
    return Rollback(plan=wanted)


def _by_key(current: Version, held: Held) -> Plan | None:
    if held.previous_key is not None and pki.fits(held.previous_key, current.certificate):
        return Plan.PREVIOUS_KEY
    if held.bundle is not None and held.bundle.fits(current.certificate):
        return Plan.SAME_KEY
    return None


def chain_for(leaf: x509.Certificate, held: Held) -> tuple[x509.Certificate, ...] | None:
    """The new chain, where it is the old one too: the old leaf has the same issuer, or none."""
    if leaf.issuer == leaf.subject:
        return ()
    chain = held.bundle.chain if held.bundle is not None else ()
    return chain if chain and pki.issued(chain[0], leaf) else None


def body(snapshot: Snapshot, rollback: Rollback, held: Held, tags: dict[str, str]) -> Any:  # noqa: ANN401 - the JSON of an import
    """The import that puts *snapshot* back.

    Raises:
        RollbackImpossible: there is no plan, or the key it needs is gone.
    """
    if rollback.plan is Plan.IMPOSSIBLE:
        raise RollbackImpossible(_NO_WAY)
    previous = held.previous
    if rollback.plan is Plan.SECRET and isinstance(previous, Previous) and previous.secret:
        value, kind = previous.secret.value, previous.secret.content_type
        return request(value, kind, previous.certificate, tags, enabled=snapshot.enabled)
    leaf, chain, key = _material(rollback.plan, held)
    kind = snapshot.attributes.get(CONTENT_TYPE, PFX)
    value = _pem(leaf, chain, key) if kind == PEM else _pfx(leaf, chain, key)
    exportable = snapshot.attributes.get(EXPORTABLE, True)
    return request(value, kind, leaf, tags, enabled=snapshot.enabled, exportable=exportable)


def _material(plan: Plan, held: Held) -> tuple[x509.Certificate, pki.Chain, PrivateKey]:
    """Leaf, chain and key of the previous certificate, as far as we hold them."""
    if plan is Plan.NOT_NEEDED and held.bundle is not None:
        return held.bundle.leaf, held.bundle.chain, held.bundle.key
    if not isinstance(held.previous, Previous):
        raise RollbackImpossible(_KEY_GONE)
    return held.previous.certificate, held.previous.chain or (), _key(plan, held)


def _pfx(leaf: x509.Certificate, chain: pki.Chain, key: PrivateKey) -> str:
    return base64.b64encode(pki.pfx(leaf, chain, key)).decode()


def _pem(leaf: x509.Certificate, chain: pki.Chain, key: PrivateKey) -> str:
    """As Key Vault takes PEM: the key in PKCS#8, then the certificates, and no other text."""
    written = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return b"".join((written, *(one.public_bytes(Encoding.PEM) for one in (leaf, *chain)))).decode()


def _key(plan: Plan, held: Held) -> PrivateKey:
    if plan is Plan.PREVIOUS_KEY and held.previous_key is not None:
        return held.previous_key
    if plan is Plan.SAME_KEY and held.bundle is not None:
        return held.bundle.key
    raise RollbackImpossible(_KEY_GONE)


def request(
    value: str,
    content_type: str,
    leaf: x509.Certificate,
    tags: dict[str, str],
    *,
    enabled: bool,
    exportable: bool = True,
) -> Any:  # noqa: ANN401 - the JSON of an import
    """The body of an import, with a policy that can never renew by itself.

    The issuer `Self` would make Key Vault replace the CA's certificate by a self-signed one at
    80 % of its life; `Unknown` with an e-mail to the contacts cannot. A policy without a content
    type is refused, and EC needs its curve named. `pwd` is left out: there is none.
    """
    key_props: dict[str, Any] = {"exportable": exportable}
    public = leaf.public_key()
    if isinstance(public, ec.EllipticCurvePublicKey):
        key_props |= {"kty": "EC", "crv": _CURVES.get(public.curve.name, public.curve.name)}
    warn = {"trigger": {"lifetime_percentage": 80}, "action": {"action_type": "EmailContacts"}}
    return {
        "value": value,
        "policy": {
            "key_props": key_props,
            "secret_props": {"contentType": content_type},
            "issuer": {"name": "Unknown"},
            "lifetime_actions": [warn],
        },
        "attributes": {"enabled": enabled},
        "tags": tags,
    }
