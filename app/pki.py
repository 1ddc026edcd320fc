"""PEM in, `Bundle` out: the checks in order, all faults at once, and the PFX in memory.

An RSA key is loaded without OpenSSL's primality proof (36-260 ms, holding the interpreter lock)
and proven by arithmetic on its numbers, before OpenSSL uses them: the modulus of the certificate
has one factoring, so who knows it has the key. An EC key is checked by the library as it loads.

`parse` runs on the event loop, so whatever a caller chooses is bounded before it costs anything:
how many certificates, how large, which keys are loaded at all, and which signatures are verified.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import lcm
from typing import Final, NoReturn, TypeVar, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, types
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509 import Certificate

from app.errors import FAULTS, Fault

Chain = tuple[Certificate, ...]
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

RSA_BITS: Final = (2048, 3072, 4096)
CURVES: Final = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
MOST_CERTIFICATES: Final = 10  # what Java clients take of a chain by default
MOST_CHARACTERS: Final = 24 * 1024  # of PEM, each certificate once
SOON: Final = timedelta(days=30)
_MOST_PARTS: Final = 64  # of a subject or issuer
_LONGEST_KEY: Final = 12 * 1024  # octets of DER; RSA 4096 has 2400
_WIDEST_ISSUER: Final = 8192  # bits of RSA
_SERIAL_OCTETS: Final = 20  # RFC 5280, section 4.1.2.2
# Nothing in it can match in two ways, so it takes no longer than its text. Not by possessive
# quantifiers: CPython 3.11.2, which Debian 12 has, loses groups that stand before them.
_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z\d ]+)-----([^-]*(?:-(?!----)[^-]*)*)-----END \1-----")
_LENGTH: Final = rb"(?:[\x00-\x7f]|\x81.|\x82..)"
# How PKCS#1, SEC1 and PKCS#8 (RFC 5958) begin; the group is an algorithm that is not RSA or EC.
# Such a key is never loaded: for DSA and DH the library would compute a public key, for seconds.
_SHAPE: Final = re.compile(
    rb"\x30%b\x02\x01(?:\x00\x02|\x01\x04|[\x00\x01]\x30%b\x06"
    rb"(?:\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01|\x07\x2a\x86\x48\xce\x3d\x02\x01|(.)))"
    % (_LENGTH, _LENGTH),
    re.DOTALL,
)
_PublicKey = types.CertificatePublicKeyTypes | types.PublicKeyTypes
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)
_ODD: Final = (x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType)
_UNREADABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm, *_ODD)


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something to know that is no reason to refuse."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Details:
    """What may be shown of a leaf: serial and SHA-256 thumbprint in lower hex, times in UTC."""

    serial: str
    thumbprint: str
    subject: str
    dns_names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    key_type: str


class Bundle:
    """Leaf, chain (leaf to root, without the root) and key, parsed and checked.

    It cannot be printed, pickled or copied, and `drop` lets go of the key and of the PFX.
    """

    __slots__ = ("_key", "_pfx", "chain", "details", "leaf", "notices")

    def __init__(
        self, leaf: Certificate, chain: Chain, key: PrivateKey, notices: tuple[Notice, ...] = ()
    ) -> None:
        self.leaf = leaf
        self.chain = chain
        self.details = details(leaf)
        self.notices = notices
        self._key: PrivateKey | None = key
        self._pfx: bytes | None = None

    def __repr__(self) -> str:
        return "<Bundle>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Bundle holds a private key and is never copied or pickled")

    def pfx(self) -> bytes:
        """The PKCS#12 as Key Vault wants it: leaf, intermediates, no root, no password.

        One that was packed is handed over, and not kept beyond that.
        """
        packed, self._pfx = self._pfx, None
        return packed or pfx(self.leaf, self.chain, self.key)

    def pack(self) -> None:
        """Build the PFX for the next `pfx()`, half a millisecond, while something is waited for."""
        self._pfx = pfx(self.leaf, self.chain, self.key)

    @property
    def key(self) -> PrivateKey:
        """The private key; `ValueError` once it was dropped."""
        if self._key is None:
            raise ValueError("the key of this bundle was dropped")
        return self._key

    def fits(self, certificate: Certificate) -> bool:
        """Whether our key is also the key of *certificate*."""
        return fits(self.key, certificate)

    def drop(self) -> None:
        """Let go of the key."""
        self._key = self._pfx = None


def pfx(leaf: Certificate, chain: Sequence[Certificate], key: PrivateKey) -> bytes:
    """A PKCS#12 without a password: it lives in memory and inside TLS only."""
    return serialize_key_and_certificates(
        None, key, leaf, list(chain) or None, serialization.NoEncryption()
    )


def details(leaf: Certificate) -> Details:
    """What may be shown of *leaf*."""
    names = _extension(leaf, x509.SubjectAlternativeName)
    return Details(
        serial=serial_text(leaf.serial_number),
        thumbprint=thumbprint(leaf),
        subject=leaf.subject.rfc4514_string(),
        dns_names=tuple(names.get_values_for_type(x509.DNSName)) if names is not None else (),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        key_type=_key_type(leaf.public_key()),
    )


def thumbprint(certificate: Certificate) -> str:
    """SHA-256 of the DER, lower hex."""
    return certificate.fingerprint(SHA256()).hex()


def serial_text(number: int) -> str:
    """A serial number in lower hex with colons, as certctl writes it."""
    octets = abs(number).to_bytes(max(1, (number.bit_length() + 7) // 8), "big").hex(":")
    return f"-{octets}" if number < 0 else octets


def fits(key: PrivateKey, certificate: Certificate) -> bool:
    """Whether *key* is the key of *certificate* (their public keys are the same)."""
    return key.public_key() == certificate.public_key()


def issued(issuer: Certificate, certificate: Certificate) -> bool:
    """Whether *issuer* signed *certificate* (names and signature)."""
    if not _affordable(issuer.public_key()):
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (*_UNREADABLE, InvalidSignature):
        return False
    return True


def parse(
    cert_pem: str, chain_pem: str, key_pem: str, *, now: datetime
) -> tuple[Bundle | None, tuple[Fault, ...]]:
    """Read and check a certificate, its chain and its key.

    Args:
        cert_pem: the leaf, which may be followed by its chain.
        chain_pem: the rest of the chain, in any order; duplicates and a root are dropped.
        key_pem: PKCS#8, PKCS#1 or SEC1, unencrypted.
        now: the time to judge validity by, aware.

    Returns:
        The bundle, with what to know about it in `notices`, or `None`; and every fault found.
    """
    read: dict[str, Certificate] = {}
    faults = _certificates("cert_pem", cert_pem, read)
    own = list(read.values())
    if chain_pem.strip():
        faults += _certificates("chain_pem", chain_pem, read)
    key, worse = read_key("key_pem", key_pem)
    faults += worse
    leaf = _leaf(own, key, faults)
    if leaf is not None:
        faults += _leaf_faults(leaf, now)
        chain, broken = _chain(leaf, list(read.values()))
        faults += broken
        if key is not None and not faults:
            alone = set(read.values()) == {leaf}
            return Bundle(leaf, chain, key, _notices(leaf, chain, now, alone=alone)), ()
    return None, tuple(faults)


def read_key(field: str, pem: str) -> tuple[PrivateKey | None, list[Fault]]:
    """The private key in *pem*, checked in itself, or what is wrong with it."""
    blocks = [match for match in _BLOCK.finditer(pem) if match[1].endswith("PRIVATE KEY")]
    found = _key(*blocks[0].groups()) if len(blocks) == 1 else "key-unreadable"
    return (None, [_fault(found, field)]) if isinstance(found, str) else (found, [])


def _key(label: str, body: str) -> PrivateKey | str:
    """The key, or the code of what is wrong with it."""
    if label.startswith("ENCRYPTED ") or ",ENCRYPTED" in body:
        return "key-encrypted"
    try:
        key = _loaded(body)
    except _UNREADABLE:
        return "key-unreadable"
    if key is None or not _supported(key.public_key()):
        return "key-type-unsupported"
    if isinstance(key, rsa.RSAPrivateKey) and not _consistent(key.private_numbers()):
        return "key-inconsistent"
    return cast(PrivateKey, key)


def _loaded(body: str) -> types.PrivateKeyTypes | None:
    """The key, or `None` for one of another kind."""
    der = base64.b64decode("".join(body.split()), validate=True)
    shape = _SHAPE.match(der)
    if shape is None:
        raise ValueError("neither PKCS#8 nor PKCS#1 nor SEC1")
    if shape[1] or len(der) > _LONGEST_KEY:
        return None
    return serialization.load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)


def _consistent(numbers: rsa.RSAPrivateNumbers) -> bool:
    """Whether the numbers are an RSA key (RFC 8017, section 3.2), but for p, q being prime."""
    p, q, d = numbers.p, numbers.q, numbers.d
    n, e = numbers.public_numbers.n, numbers.public_numbers.e
    return (
        min(p, q, e) > 1
        and p * q == n
        and e * d % lcm(p - 1, q - 1) == 1
        and (numbers.dmp1, numbers.dmq1) == (d % (p - 1), d % (q - 1))
        and numbers.iqmp * q % p == 1
    )


def _certificates(field: str, pem: str, read: dict[str, Certificate]) -> list[Fault]:
    """Add the certificates in *pem* to *read*, each block once, within the bounds."""
    if "PRIVATE KEY" in pem:
        return [_fault("private-key-misplaced", field)]
    matches = list(_BLOCK.finditer(pem))
    blocks = dict.fromkeys(found[0] for found in matches if found[1].endswith("CERTIFICATE"))
    if not blocks or len(matches) != pem.count("-----BEGIN "):
        return [_fault("certificate-unreadable", field)]
    every = blocks.keys() | read.keys()
    if len(every) > MOST_CERTIFICATES or sum(map(len, every)) > MOST_CHARACTERS:
        return [_fault("chain-too-long", field)]
    try:
        read |= {block: _certificate(block) for block in blocks if block not in read}
    except _UNREADABLE:
        return [_fault("certificate-unreadable", field)]
    return []


def _certificate(block: str) -> Certificate:
    """The certificate; the library reads its parts late, and this is the place to find out."""
    found = x509.load_pem_x509_certificate(block.encode())
    _ = found.extensions, found.public_key(), found.not_valid_before_utc, found.not_valid_after_utc
    if any(len(list(name)) > _MOST_PARTS for name in (found.subject, found.issuer)):
        raise ValueError("a name of very many parts")
    return found


def _leaf(
    own: list[Certificate], key: PrivateKey | None, faults: list[Fault]
) -> Certificate | None:
    """The one certificate of the key, else the first, so that it is judged too."""
    mine = [one for one in dict.fromkeys(own) if key is not None and fits(key, one)]
    if key is not None and own and len(mine) != 1:
        faults.append(_fault("leaf-ambiguous" if mine else "key-mismatch"))
    return next(iter([*mine, *own]), None)


def _leaf_faults(leaf: Certificate, now: datetime) -> list[Fault]:
    usage = _extension(leaf, x509.KeyUsage)
    is_ec = isinstance(leaf.public_key(), ec.EllipticCurvePublicKey)
    wrong = {
        "leaf-expired": leaf.not_valid_after_utc <= now,
        "leaf-is-ca": _may_issue(leaf),
        "leaf-key-unsupported": not _supported(leaf.public_key()),
        "ec-key-encipherment": is_ec and usage is not None and usage.key_encipherment,
        "serial-invalid": not 0 < leaf.serial_number < 1 << (8 * _SERIAL_OCTETS),
    }
    return [_fault(code) for code, found in wrong.items() if found]


_NOTICES: Final = {
    "leaf-not-yet-valid": "The certificate is not valid yet.",
    "leaf-self-signed": "The certificate is self-signed.",
    "leaf-without-issuer": "No issuer was sent; Front Door and others need the full chain.",
    "leaf-expires-soon": "Fewer than 30 days are left.",
    "chain-expired": "A certificate of the chain has expired; clients will refuse the path.",
}


def _fault(code: str, field: str | None = None) -> Fault:
    usual, text = FAULTS[code]
    return Fault(field=field or usual, code=code, message=text)


def _chain(leaf: Certificate, given: Sequence[Certificate]) -> tuple[Chain, list[Fault]]:
    """The path from the leaf upward, every link verified, without the root."""
    rest = sorted((one for one in dict.fromkeys(given) if one != leaf), key=_self_issued)
    path = [leaf]
    while not _self_issued(path[-1]):
        above = (one for one in rest if one.subject not in [below.subject for below in path])
        found = next((one for one in above if issued(one, path[-1])), None)
        if found is None:
            break
        rest.remove(found)
        path.append(found)
    codes = [_stray(path[-1], one) for one in rest if not _root_of(one, path)]
    codes += ["chain-issuer-not-ca" for one in path[1:] if not _may_issue(one)]
    chain = tuple(one for one in path[1:] if not _self_issued(one))
    return chain, [_fault(code) for code in dict.fromkeys(codes)]


def _root_of(one: Certificate, path: list[Certificate]) -> bool:
    """A second way up: the root beside its cross-signed twin. It is dropped like any root."""
    return _self_issued(one) and any(issued(one, below) for below in path[:-1])


def _stray(end: Certificate, one: Certificate) -> str:
    if _self_issued(end):
        return "chain-stranger"
    if one.subject == end.issuer:
        return "chain-signature-invalid"
    return "chain-gap" if _may_issue(one) else "chain-stranger"


def _notices(leaf: Certificate, chain: Chain, now: datetime, *, alone: bool) -> tuple[Notice, ...]:
    own = _self_issued(leaf)
    found = {
        "leaf-not-yet-valid": leaf.not_valid_before_utc > now,
        "leaf-self-signed": own,
        "leaf-without-issuer": alone and not own,
        "leaf-expires-soon": leaf.not_valid_after_utc - now < SOON,
        "chain-expired": any(one.not_valid_after_utc <= now for one in chain),
    }
    return tuple(Notice(code=code, message=_NOTICES[code]) for code, true in found.items() if true)


def _supported(public: _PublicKey) -> bool:
    if isinstance(public, rsa.RSAPublicKey):
        return public.key_size in RSA_BITS and _affordable(public)
    return isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in CURVES


def _affordable(public: _PublicKey) -> bool:
    """Whether a signature is verified in a millisecond, whatever numbers the caller chose."""
    if isinstance(public, rsa.RSAPublicKey):
        return public.key_size <= _WIDEST_ISSUER and public.public_numbers().e < 1 << 64
    return _supported(public) or isinstance(public, ed25519.Ed25519PublicKey)


def _key_type(public: _PublicKey) -> str:
    if isinstance(public, rsa.RSAPublicKey):
        return f"RSA {public.key_size}"
    if isinstance(public, ec.EllipticCurvePublicKey):
        return f"EC {CURVES.get(public.curve.name, public.curve.name)}"
    return type(public).__name__.removesuffix("PublicKey")


def _may_issue(certificate: Certificate) -> bool:
    constraints = _extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _self_issued(certificate: Certificate) -> bool:
    return certificate.subject == certificate.issuer


def _extension(certificate: Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
