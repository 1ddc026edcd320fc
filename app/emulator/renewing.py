"""Key Vault renewing by itself: the trap that a policy with issuer Self sets for a CA's leaf.

Once the trigger of an AutoRenew action has passed, the current version is replaced by one that
Key Vault makes and signs itself, under the policy of the name. This happens once a trigger and
is dated at the trigger, so what is seen does not depend on who looked when: after a long time
there are as many versions as there were triggers. Only issuer Self is imitated; a certificate
authority with an account in the vault is not.

Unknown, and therefore plain here: a disabled current version is renewed like any other, and a
creation that is pending does not hold a renewal up.
"""

import calendar
import datetime as dt
import ipaddress
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.emulator.exports import pem_of
from app.emulator.material import PEM
from app.emulator.policies import CURVES, RSA_SIZES, Policy, is_exportable, name_of, usage_from
from app.emulator.stored import Entry, StoredVersion

TEN_MINUTES = 600
"""What Key Vault makes is valid from so many seconds before (recorded)."""

_DAY = 86_400
_MOST_PERCENT = 99
_DAYS_OF_A_MONTH = 27
_KINDS = {curve_name: curve for curve, curve_name in CURVES.items()}
_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "secp256r1": ec.SECP256R1,
    "secp384r1": ec.SECP384R1,
    "secp521r1": ec.SECP521R1,
    "secp256k1": ec.SECP256K1,
}

_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def renewed(entry: Entry, now: float, new_version: Callable[[], str]) -> Entry:
    """The entry with every version that Key Vault has made by itself until now."""
    while (due := _due(entry)) is not None and due <= now and possible(entry.policy, int(due)):
        made = _replacement(entry, int(due), new_version())
        entry = replace(entry, versions=(*entry.versions, made), before=replace(entry, before=None))
    return entry


def possible(policy: Policy, now: int) -> bool:
    """Whether a certificate can be made under a policy; unknown is what Azure does if not."""
    try:
        _self_signed(policy["x509_props"], ec.generate_private_key(ec.SECP256R1()), now)
    except (ValueError, OverflowError):
        return False
    key = policy["key_props"]
    known = _curve(key) in _KINDS if _is_ec(key) else _size(key) in RSA_SIZES
    return known and policy["x509_props"]["validity_months"] >= 1


def _due(entry: Entry) -> float | None:
    """When the current version is to be replaced: at its trigger, or once that was agreed on."""
    latest, policy = entry.latest, entry.policy
    if (policy.get("issuer") or {}).get("name") != "Self":
        return None
    triggers = [
        _passed(action.get("trigger") or {}, latest, policy)
        for action in policy.get("lifetime_actions") or ()
        if (action.get("action") or {}).get("action_type") == "AutoRenew"
    ]
    known = [trigger for trigger in triggers if trigger is not None]
    return max(min(known), latest.created, entry.policy_updated) if known else None


def _passed(trigger: dict[str, Any], latest: StoredVersion, policy: Policy) -> float | None:
    """When a trigger has passed; None outside the documented bounds, which Azure may refuse."""
    percentage = int(trigger.get("lifetime_percentage") or 0)
    days = int(trigger.get("days_before_expiry") or 0)
    if 1 <= percentage <= _MOST_PERCENT:
        return latest.not_before + (latest.expires - latest.not_before) * percentage / 100
    if 1 <= days <= _DAYS_OF_A_MONTH * policy["x509_props"]["validity_months"]:
        return latest.expires - days * _DAY
    return None


def _replacement(entry: Entry, now: int, version: str) -> StoredVersion:
    """A version as Key Vault makes it; tags are replicated, which is so here only (documented)."""
    latest, policy = entry.latest, entry.policy
    reused = latest.private_key if policy["key_props"].get("reuse_key") else None
    key = reused if isinstance(reused, _Key) else _made_key(policy["key_props"])
    certificate = _self_signed(policy["x509_props"], key, now)
    content_type = policy["secret_props"]["contentType"]
    return replace(
        latest,
        version=version,
        certificate=certificate,
        private_key=key,
        chain=(),
        enabled=True,
        exportable=is_exportable(policy),
        created=now,
        updated=now,
        content_type=content_type,
        # a PFX is encoded when it is asked for, in Key Vault's own way
        sent=pem_of(certificate, key, ()) if content_type == PEM else None,
    )


def _made_key(props: dict[str, Any]) -> _Key:
    if _is_ec(props):
        return ec.generate_private_key(_CURVES[_KINDS[_curve(props)]]())
    return rsa.generate_private_key(65537, _size(props))


def _is_ec(props: dict[str, Any]) -> bool:
    return str(props.get("kty", "RSA")).startswith("EC")


def _curve(props: dict[str, Any]) -> str:
    return str(props.get("crv", "P-256"))


def _size(props: dict[str, Any]) -> int:
    return int(props.get("key_size", 2048))


def _self_signed(props: dict[str, Any], key: _Key, now: int) -> x509.Certificate:
    subject = name_of(props["subject"])
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime.fromtimestamp(now - TEN_MINUTES, dt.UTC))
        .not_valid_after(
            dt.datetime.fromtimestamp(add_months(now, props["validity_months"]), dt.UTC)
        )
        .add_extension(own, critical=False)
    )
    for extension, critical in _extensions(props):
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key, hashes.SHA256())


def _extensions(props: dict[str, Any]) -> list[tuple[x509.ExtensionType, bool]]:
    ca = bool((props.get("basic_constraints") or {}).get("ca"))
    found: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=ca, path_length=None), False)
    ]
    if names := _names(props.get("sans") or {}):
        found.append((x509.SubjectAlternativeName(names), False))
    if usages := props.get("key_usage"):
        found.append((usage_from(usages), True))
    if purposes := props.get("ekus"):
        oids = [x509.ObjectIdentifier(purpose) for purpose in purposes]
        found.append((x509.ExtendedKeyUsage(oids), False))
    return found


def _names(sans: dict[str, list[str]]) -> list[x509.GeneralName]:
    """All kinds but `upns`, which the policy of an import never has here."""
    return [
        *(x509.DNSName(name) for name in sans.get("dns_names", ())),
        *(x509.RFC822Name(name) for name in sans.get("emails", ())),
        *(x509.UniformResourceIdentifier(name) for name in sans.get("uris", ())),
        *(x509.IPAddress(ipaddress.ip_address(name)) for name in sans.get("ipAddresses", ())),
    ]


def add_months(start: int, months: int) -> int:
    """The same day of the month so many months later, or the last one of a shorter month."""
    at = dt.datetime.fromtimestamp(start, dt.UTC)
    year, month = divmod(at.year * 12 + at.month - 1 + months, 12)
    day = min(at.day, calendar.monthrange(year, month + 1)[1])
    return int(at.replace(year=year, month=month + 1, day=day).timestamp())
