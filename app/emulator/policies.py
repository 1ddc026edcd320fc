"""Certificate policies: what Key Vault derives from a certificate, and what a caller may set.

The policy belongs to the certificate's name, not to a version; every import sets it anew.
"""

import copy
import re
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.emulator.kinds import POLICY, fits
from app.emulator.refusals import Reason, refusal

Policy = dict[str, Any]
"""A policy as it travels, without id and attributes."""

RSA_SIZES = (2048, 3072, 4096)
CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521", "secp256k1": "P-256K"}

# .NET's short names, which differ from OpenSSL's in ST (S) and emailAddress (E)
_SHORT_NAMES = {
    x509.NameOID.COMMON_NAME: "CN",
    x509.NameOID.ORGANIZATION_NAME: "O",
    x509.NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    x509.NameOID.LOCALITY_NAME: "L",
    x509.NameOID.STATE_OR_PROVINCE_NAME: "S",
    x509.NameOID.COUNTRY_NAME: "C",
    x509.NameOID.EMAIL_ADDRESS: "E",
    x509.NameOID.DOMAIN_COMPONENT: "DC",
}

_PART = re.compile(r'\s*(?P<kind>[A-Za-z0-9.]+)=(?P<text>"(?:[^"]|"")*"|[^,]*)(?:,|$)')

_Kind = TypeVar("_Kind", bound=x509.ExtensionType)

# in the order seen in recordings, which is alphabetical
_KEY_USAGES = {
    "cRLSign": "crl_sign",
    "dataEncipherment": "data_encipherment",
    "digitalSignature": "digital_signature",
    "keyAgreement": "key_agreement",
    "keyCertSign": "key_cert_sign",
    "keyEncipherment": "key_encipherment",
    "nonRepudiation": "content_commitment",
}


def policy_for(certificate: x509.Certificate, sent: Policy | None, *, content_type: str) -> Policy:
    """The policy an import leaves: the certificate's facts, the caller's wishes for the rest."""
    sent = sent or {}
    issuer = sent.get("issuer") or {"name": "Unknown"}
    return {
        "key_props": key_props(certificate, sent.get("key_props") or {}),
        "secret_props": {"contentType": content_type},
        # the certificate's own, whatever was sent (recorded)
        "x509_props": x509_props(certificate),
        "lifetime_actions": sent.get("lifetime_actions") or _lifetime_actions(issuer),
        "issuer": issuer,
    }


def made_by_key_vault(subject: str, *, issuer: str) -> Policy:
    """The policy under which Key Vault makes a certificate when little is asked (recorded)."""
    return {
        "key_props": {"exportable": True, "kty": "RSA", "key_size": 2048, "reuse_key": False},
        "secret_props": {"contentType": "application/x-pkcs12"},
        "x509_props": {
            "subject": subject,
            "sans": {},
            "ekus": ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"],
            "key_usage": ["digitalSignature", "keyEncipherment"],
            "validity_months": 12,
            "basic_constraints": {"ca": False},
        },
        "lifetime_actions": _lifetime_actions({"name": issuer}),
        "issuer": {"name": issuer},
    }


def is_exportable(policy: Policy) -> bool:
    """Whether a key made or imported under the policy may leave Key Vault."""
    return policy.get("key_props", {}).get("exportable", True) is not False


def content_type_of(sent: Policy) -> str:
    """The content type of a policy sent with an import. Raises Refusal (400)."""
    props = sent.get("secret_props")
    content_type = props.get("contentType") if isinstance(props, dict) else None
    if content_type not in ("application/x-pkcs12", "application/x-pem-file"):
        raise refusal(Reason.INVALID_POLICY)
    return str(content_type)


def merge(policy: Policy, sent: Policy) -> Policy:
    """The policy after a PATCH: parts sent replace parts there, property by property.

    Raises Refusal (400).
    """
    if not fits(sent, POLICY):
        raise refusal(Reason.INVALID_POLICY)
    merged = copy.deepcopy(policy)
    for part in ("key_props", "secret_props", "x509_props", "issuer"):
        if part in sent:
            merged[part] = {**merged.get(part, {}), **sent[part]}
    if "lifetime_actions" in sent:
        merged["lifetime_actions"] = sent["lifetime_actions"]
    content_type_of(merged)
    return merged


def _lifetime_actions(issuer: dict[str, Any]) -> list[dict[str, Any]]:
    """With issuer Self, Key Vault renews by itself: the trap of every SDK sample."""
    action = "AutoRenew" if issuer.get("name") == "Self" else "EmailContacts"
    return [{"trigger": {"lifetime_percentage": 80}, "action": {"action_type": action}}]


def key_props(certificate: x509.Certificate, sent: dict[str, Any]) -> dict[str, Any]:
    """The key's facts; exportable and reuse_key are the caller's."""
    # unknown: what Azure does when kty or key_size sent disagree with the key
    wishes = {
        "exportable": sent.get("exportable", True),
        "reuse_key": sent.get("reuse_key", False),
    }
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        facts = {"kty": "EC", "key_size": key.curve.key_size, "crv": CURVES.get(key.curve.name)}
    elif isinstance(key, rsa.RSAPublicKey):
        facts = {"kty": "RSA", "key_size": key.key_size}
    else:
        facts = {}
    return {**wishes, **facts}


def x509_props(certificate: x509.Certificate) -> dict[str, Any]:
    """Subject, names, usages, months and CA flag as Key Vault writes them."""
    props: dict[str, Any] = {"subject": dotnet_name(certificate.subject)}
    names = _extension(certificate, x509.SubjectAlternativeName)
    if names is not None:
        props["sans"] = _sans(names)
    usages = _extension(certificate, x509.ExtendedKeyUsage)
    props["ekus"] = [usage.dotted_string for usage in usages or ()]
    usage = _extension(certificate, x509.KeyUsage)
    props["key_usage"] = key_usage(usage) if usage else []
    props["validity_months"] = months(certificate)
    basic = _extension(certificate, x509.BasicConstraints)
    props["basic_constraints"] = {"ca": bool(basic and basic.ca)}
    return props


def key_usage(usage: x509.KeyUsage) -> list[str]:
    """Key usages by their ASN.1 names."""
    return [name for name, attribute in _KEY_USAGES.items() if getattr(usage, attribute)]


def usage_from(names: list[str]) -> x509.KeyUsage:
    """The extension that has the usages of these ASN.1 names."""
    wanted = {attribute: name in names for name, attribute in _KEY_USAGES.items()}
    return x509.KeyUsage(**wanted, encipher_only=False, decipher_only=False)


def usage_of(certificate: x509.Certificate) -> list[str]:
    """The key usages of a certificate; empty without the extension."""
    usage = _extension(certificate, x509.KeyUsage)
    return key_usage(usage) if usage else []


def months(certificate: x509.Certificate) -> int:
    """Calendar months of validity, a started one counted whole."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    whole = (end.year - start.year) * 12 + end.month - start.month
    rest = (end.day, end.time()) > (start.day, start.time())
    return whole + rest


def dotnet_name(name: x509.Name) -> str:
    """A distinguished name as .NET prints it: last part first, comma and space between."""
    parts = [attribute for rdn in reversed(list(name.rdns)) for attribute in rdn]
    return ", ".join(f"{_short(part)}={_text(part)}" for part in parts)


def name_of(text: str) -> x509.Name:
    """A distinguished name out of what .NET prints; the kinds of part in any case."""
    parts = [(part["kind"].upper(), part["text"]) for part in _PART.finditer(text)]
    return x509.Name(
        [x509.NameAttribute(_oid(kind), _bare(part)) for kind, part in reversed(parts)]
    )


def _oid(kind: str) -> x509.ObjectIdentifier:
    known = {short: oid for oid, short in _SHORT_NAMES.items()}
    return known.get(kind) or x509.ObjectIdentifier(kind.removeprefix("OID."))


def _bare(text: str) -> str:
    return text[1:-1].replace('""', '"') if text.startswith('"') else text


def _short(part: x509.NameAttribute) -> str:  # type: ignore[type-arg] # text or bytes alike
    return _SHORT_NAMES.get(part.oid, f"OID.{part.oid.dotted_string}")


def _text(part: x509.NameAttribute) -> str:  # type: ignore[type-arg] # text or bytes alike
    text = str(part.value)
    doubled = text.replace('"', '""')
    return f'"{doubled}"' if "," in text or '"' in text else text


def _sans(names: x509.SubjectAlternativeName) -> dict[str, list[str]]:
    return {
        "emails": names.get_values_for_type(x509.RFC822Name),
        "dns_names": names.get_values_for_type(x509.DNSName),
        "upns": [],
        "uris": names.get_values_for_type(x509.UniformResourceIdentifier),
        "ipAddresses": [str(address) for address in names.get_values_for_type(x509.IPAddress)],
    }


def _extension(certificate: x509.Certificate, kind: type[_Kind]) -> _Kind | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
