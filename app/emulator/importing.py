"""Import: the chain of checks in Key Vault's words, then a new version every time.

The order of the checks is ours: what the request itself gets wrong (400) before what the vault
holds against it (409). Which comes first in Azure is unknown.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.emulator import shapes
from app.emulator.effects import AnotherWriter, ForgetTags, StoreAnother
from app.emulator.issuing import self_signed
from app.emulator.kinds import POLICY, fits
from app.emulator.material import PEM, PFX, Material, Reader
from app.emulator.orders import Order, enabled_of, tags_of
from app.emulator.policies import (
    CURVES,
    RSA_SIZES,
    Policy,
    content_type_of,
    policy_for,
    usage_of,
)
from app.emulator.refusals import Reason, refusal
from app.emulator.stored import Submission
from app.emulator.wire import Reply

_KINDS = {"value": str, "pwd": str, "preserveCertOrder": bool}
_MAX_VALUE = 25 * 1024
_MAX_PASSWORD = 200
_EC_SIZES = (256, 384, 521)
_UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
_ECDSA = "1.2.840.10045.4."  # signed with ECDSA, whatever the digest (RFC 5758)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sent:
    """The body of an import."""

    value: str = field(repr=False)
    password: str | None = field(repr=False)
    policy: Policy | None
    tags: dict[str, str] | None
    enabled: bool
    preserve_cert_order: bool | None

    @property
    def content_type(self) -> str:
        """Without a policy the value is taken for a PFX."""
        return PFX if self.policy is None else content_type_of(self.policy)


class Importer:
    """Serves imports; remembers what it has read."""

    def __init__(self) -> None:
        self._reader = Reader()

    def __call__(self, order: Order) -> Reply:
        """Import a certificate. Raises Refusal (400, 409)."""
        sent = _sent(order.document())
        material = self._read(sent)
        _check_certificate(material, sent.policy or {}, order.now)
        _check_state(order)
        order.vault.store(order.name, _submission(order, sent, material))
        entry = order.vault.entries[order.name]
        reply = shapes.full_bundle(order.base, order.name, entry, pending=False)
        if order.effects.has(AnotherWriter):
            _write_another(order)
        return Reply(document=reply)

    def _read(self, sent: _Sent) -> Material:
        if sent.content_type == PEM:
            return self._reader.pem(sent.value, preserve_order=bool(sent.preserve_cert_order))
        return self._reader.pfx(sent.value, sent.password)


def _sent(body: dict[str, Any]) -> _Sent:
    for name, kind in _KINDS.items():
        if body.get(name) is not None and not isinstance(body[name], kind):
            raise refusal(Reason.INVALID_BODY, name=name)
    value, password, policy = body.get("value"), body.get("pwd"), body.get("policy")
    if not value:
        raise refusal(Reason.INVALID_BODY, name="value")
    if len(value) > _MAX_VALUE:
        raise refusal(Reason.TOO_LONG)
    if len(password or "") > _MAX_PASSWORD:
        raise refusal(Reason.PASSWORD_TOO_LONG)
    if policy is not None and not fits(policy, POLICY):
        raise refusal(Reason.INVALID_POLICY)
    return _Sent(
        value=value,
        password=password,
        policy=policy,
        tags=tags_of(body),
        enabled=enabled_of(body) is not False,
        preserve_cert_order=body.get("preserveCertOrder"),
    )


def _check_certificate(material: Material, policy: Policy, now: float) -> None:
    certificate = material.certificate
    _check_readable(certificate)
    if certificate.not_valid_after_utc.timestamp() < now:
        raise refusal(Reason.EXPIRED)
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        _check_rsa(key, certificate)
    elif isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in CURVES:
        _check_ec(material, policy)
    else:
        raise refusal(Reason.UNSUPPORTED_CERTIFICATE)


def _check_readable(certificate: x509.Certificate) -> None:
    """A certificate may be well-formed but for its key or one of its extensions."""
    try:
        _ = certificate.public_key(), certificate.extensions
    except _UNREADABLE as error:
        raise refusal(Reason.UNSUPPORTED_CERTIFICATE) from error


def _check_rsa(key: rsa.RSAPublicKey, certificate: x509.Certificate) -> None:
    """An RSA key that an EC authority certified has the wrong size for Key Vault (reported).

    The same words for an RSA key of another size are by analogy.
    """
    by_ec = certificate.signature_algorithm_oid.dotted_string.startswith(_ECDSA)
    sizes = _EC_SIZES if by_ec else RSA_SIZES
    if key.key_size not in sizes:
        supported = ", ".join(map(str, sizes))
        raise refusal(Reason.KEY_SIZE, size=key.key_size, supported=supported)


def _check_ec(material: Material, policy: Policy) -> None:
    """An EC key cannot wrap keys; unknown: what a leaf without any key usage gets."""
    asked = (policy.get("x509_props") or {}).get("key_usage") or []
    if "keyEncipherment" in (*usage_of(material.certificate), *asked):
        raise refusal(Reason.EC_KEY_OPERATIONS)


def _check_state(order: Order) -> None:
    gone = order.vault.deleted.get(order.name)
    if gone is not None:
        reason = Reason.BEING_DELETED if gone.ready > order.now else Reason.SOFT_DELETED
        raise refusal(reason, name=order.name)
    operation = order.vault.pending.get(order.name)
    if operation is not None and operation.in_progress:
        raise refusal(Reason.PENDING)


def _submission(order: Order, sent: _Sent, material: Material) -> Submission:
    if order.effects.has(StoreAnother):
        material = _another(order, sent.content_type)
    policy = policy_for(material.certificate, sent.policy, content_type=sent.content_type)
    submission = Submission(
        material=material,
        # unknown: whether an import without policy keeps the old policy; here it does not
        policy=policy,
        tags=sent.tags,
        enabled=sent.enabled,
        preserve_cert_order=sent.preserve_cert_order,
    )
    return replace(submission, tags=None) if order.effects.has(ForgetTags) else submission


def _another(order: Order, content_type: str) -> Material:
    made = self_signed("another.example", now=order.now)
    return Material(
        certificate=made.certificate,
        private_key=made.key,
        chain=(),
        content_type=content_type,
        value=made.key_pem + made.pem if content_type == PEM else None,
    )


def _write_another(order: Order) -> None:
    made = self_signed("another-writer.example", now=order.now)
    order.vault.import_pem(order.name, made.pem, made.key_pem)
