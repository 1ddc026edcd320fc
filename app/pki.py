"""PEM in, `Bundle` out: the checks in order, all faults at once, and the PFX in memory.

A private key is loaded without OpenSSL's primality proof (36-260 ms, holding the interpreter
lock) and proven against the certificate instead: its numbers agree with each other (plain
integers, before OpenSSL uses them), and what it signs the certificate's public key verifies.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import lcm
from typing import Final, NoReturn, TypeVar, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificatePublicKeyTypes,
    PrivateKeyTypes,
    PublicKeyTypes,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from app.errors import Fault

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

RSA_BITS: Final = (2048, 3072, 4096)
CURVES: Final = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
MOST_CERTIFICATES: Final = 16
SOON: Final = timedelta(days=30)
_KEYS: Final = "RSA 2048, 3072, 4096 and EC P-256, P-384, P-521"
_SERIAL_OCTETS: Final = 20  # RFC 5280, section 4.1.2.2
_PROOF: Final = b"certctl-connectors proves that this key belongs to this certificate"
_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END \1-----")
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)
_UNREADABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm)


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

    It cannot be printed, pickled or copied, and `drop` lets go of the key.
    """

    __slots__ = ("_key", "chain", "details", "leaf", "notices")

    def __init__(
        self, leaf: x509.Certificate, chain: tuple[x509.Certificate, ...], key: PrivateKey
    ) -> None:
        self.leaf = leaf
        self.chain = chain
        self.details = details(leaf)
        self.notices: tuple[Notice, ...] = ()
        self._key: PrivateKey | None = key

    def __repr__(self) -> str:
        return "<Bundle>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Bundle holds a private key and is never copied or pickled")

    def pfx(self) -> bytes:
        """The PKCS#12 as Key Vault wants it: leaf, intermediates, no root, no password."""
        return pfx(self.leaf, self.chain, self.key)

    @property
    def key(self) -> PrivateKey:
        """The private key; `ValueError` once it was dropped."""
        if self._key is None:
            raise ValueError("the key of this bundle was dropped")
        return self._key

    def fits(self, certificate: x509.Certificate) -> bool:
        """Whether our key is also the key of *certificate*."""
        return fits(self.key, certificate)

    def drop(self) -> None:
        """Let go of the key."""
        self._key = None


def pfx(leaf: x509.Certificate, chain: Sequence[x509.Certificate], key: PrivateKey) -> bytes:
    """A PKCS#12 without a password: it lives in memory and inside TLS only."""
    return serialize_key_and_certificates(None, key, leaf, list(chain) or None, NoEncryption())


def details(leaf: x509.Certificate) -> Details:
    """What may be shown of *leaf*."""
    return Details(
        serial=serial_text(leaf.serial_number),
        thumbprint=thumbprint(leaf),
        subject=leaf.subject.rfc4514_string(),
        dns_names=_dns_names(leaf),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        key_type=_key_type(leaf.public_key()),
    )


def thumbprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the DER, lower hex."""
    return certificate.fingerprint(SHA256()).hex()


def serial_text(number: int) -> str:
    """A serial number in lower hex with colons, as certctl writes it."""
    return number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big").hex(":")


def fits(key: PrivateKey, certificate: x509.Certificate) -> bool:
    """Whether *key* is the key of *certificate* (their SubjectPublicKeyInfo is the same)."""
    return _spki(key.public_key()) == _spki(certificate.public_key())


def issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether *issuer* signed *certificate* (names and signature)."""
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
    own, faults = _certificates("cert_pem", cert_pem)
    others, more = _certificates("chain_pem", chain_pem) if chain_pem.strip() else ([], [])
    key, worse = read_key("key_pem", key_pem)
    faults = [*faults, *more, *worse]
    leaf = _leaf(own, key, faults)
    if leaf is not None:
        faults.extend(_fault(code) for code, wrong in _LEAF_CHECKS.items() if wrong(leaf, now))
        chain, broken = _chain(leaf, [*own, *others])
        faults.extend(broken)
        if key is not None and not faults:
            faults.extend(_unproven(leaf, key))
            bundle = Bundle(leaf, chain, key)
            bundle.notices = tuple(_notices(leaf, chain, now))
            return (None, tuple(faults)) if faults else (bundle, ())
    return None, tuple(faults)


def read_key(field: str, pem: str) -> tuple[PrivateKey | None, list[Fault]]:
    """The private key in *pem*, checked in itself, or what is wrong with it."""
    blocks = [match[0] for match in _BLOCK.finditer(pem) if match[1].endswith("PRIVATE KEY")]
    try:
        if len(blocks) != 1:
            return None, [_fault("key-unreadable", field)]
        key = load_pem_private_key(blocks[0].encode(), None, unsafe_skip_rsa_key_validation=True)
    except TypeError:  # the library's word for "a password is needed"
        return None, [_fault("key-encrypted", field)]
    except (ValueError, UnsupportedAlgorithm):
        return None, [_fault("key-unreadable", field)]
    code = _unsound(key)
    return (None, [_fault(code, field)]) if code else (cast(PrivateKey, key), [])


def _unsound(key: PrivateKeyTypes) -> str | None:
    if not _supported(key.public_key()):
        return "key-type-unsupported"
    if isinstance(key, rsa.RSAPrivateKey) and not _consistent(key.private_numbers()):
        return "key-inconsistent"
    return None


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


def _certificates(field: str, pem: str) -> tuple[list[x509.Certificate], list[Fault]]:
    if "PRIVATE KEY" in pem:
        return [], [_fault("private-key-misplaced", field)]
    if pem.count("-----BEGIN ") > MOST_CERTIFICATES:
        return [], [_fault("chain-too-long", field)]
    try:
        found = x509.load_pem_x509_certificates(pem.encode())
        for one in found:  # the library reads these late, and this is the place to find out
            _ = one.extensions, one.subject, one.issuer, _spki(one.public_key())
    except _UNREADABLE:
        return [], [_fault("certificate-unreadable", field)]
    return found, []


def _leaf(
    own: list[x509.Certificate], key: PrivateKey | None, faults: list[Fault]
) -> x509.Certificate | None:
    """The one certificate of the key, else the first, so that it is judged too."""
    if key is None or not own:
        return own[0] if own else None
    mine = list(dict.fromkeys(one for one in own if fits(key, one)))
    if not mine:
        faults.append(_fault("key-mismatch"))
    elif len(mine) > 1:
        faults.append(_fault("leaf-ambiguous"))
    return mine[0] if mine else own[0]


def _expired(leaf: x509.Certificate, now: datetime) -> bool:
    return leaf.not_valid_after_utc <= now


def _is_ca(leaf: x509.Certificate, _: datetime) -> bool:
    return _may_issue(leaf)


def _key_unsupported(leaf: x509.Certificate, _: datetime) -> bool:
    return not _supported(leaf.public_key())


def _ec_key_encipherment(leaf: x509.Certificate, _: datetime) -> bool:
    usage = _extension(leaf, x509.KeyUsage)
    is_ec = isinstance(leaf.public_key(), ec.EllipticCurvePublicKey)
    return is_ec and usage is not None and usage.key_encipherment


def _serial_invalid(leaf: x509.Certificate, _: datetime) -> bool:
    return not 0 < leaf.serial_number < 1 << (8 * _SERIAL_OCTETS)


_LEAF_CHECKS: Final[dict[str, Callable[[x509.Certificate, datetime], bool]]] = {
    "leaf-expired": _expired,
    "leaf-is-ca": _is_ca,
    "leaf-key-unsupported": _key_unsupported,
    "ec-key-encipherment": _ec_key_encipherment,
    "serial-invalid": _serial_invalid,
}

# code: (the field at fault, what to say)
_SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "certificate-unreadable": ("cert_pem", "Send PEM certificates; this cannot be read as one."),
    "private-key-misplaced": ("cert_pem", "A private key is in this field; it goes into key_pem."),
    "key-unreadable": ("key_pem", "Send one private key in PEM: PKCS#8, PKCS#1 or SEC1."),
    "key-encrypted": ("key_pem", "The key is encrypted; send it unencrypted, inside TLS."),
    "key-type-unsupported": ("key_pem", f"Supported keys are {_KEYS}."),
    "key-inconsistent": ("key_pem", "The numbers of the RSA key do not belong together."),
    "key-mismatch": ("key_pem", "The key does not belong to the certificate in cert_pem."),
    "leaf-ambiguous": ("cert_pem", "Two certificates belong to this key; send one leaf."),
    "leaf-expired": ("cert_pem", "The certificate has expired; targets refuse it."),
    "leaf-is-ca": ("cert_pem", "The certificate is a CA; send the server's own certificate."),
    "leaf-key-unsupported": ("cert_pem", f"Supported keys are {_KEYS}."),
    "ec-key-encipherment": ("cert_pem", "Key Vault refuses EC with keyEncipherment; reissue it."),
    "serial-invalid": ("cert_pem", "The serial number must be positive, 20 octets at most."),
    "chain-too-long": ("chain_pem", f"Send {MOST_CERTIFICATES} certificates at the most."),
    "chain-signature-invalid": ("chain_pem", "A chain certificate did not sign the one below."),
    "chain-stranger": ("chain_pem", "A chain certificate has nothing to do with the leaf."),
    "chain-gap": ("chain_pem", "The chain has a gap: an issuer in between is missing."),
    "chain-issuer-not-ca": ("chain_pem", "A chain certificate signed another but is not a CA."),
}


def _fault(code: str, field: str | None = None) -> Fault:
    usual, text = _SENTENCES[code]
    return Fault(field=field or usual, code=code, message=text)


def _chain(
    leaf: x509.Certificate, given: Sequence[x509.Certificate]
) -> tuple[tuple[x509.Certificate, ...], list[Fault]]:
    """The path from the leaf upward, every link verified, without the root."""
    rest = sorted((one for one in dict.fromkeys(given) if one != leaf), key=_self_issued)
    path = [leaf]
    while not _self_issued(path[-1]):
        found = next((one for one in rest if issued(one, path[-1])), None)
        if found is None:
            break
        rest.remove(found)
        path.append(found)
    codes = [_stray(path[-1], one) for one in rest if not _root_of(one, path)]
    codes += ["chain-issuer-not-ca" for one in path[1:] if not _may_issue(one)]
    chain = tuple(one for one in path[1:] if not _self_issued(one))
    return chain, [_fault(code) for code in dict.fromkeys(codes)]


def _root_of(one: x509.Certificate, path: list[x509.Certificate]) -> bool:
    """A second way up: the root beside its cross-signed twin. It is dropped like any root."""
    return _self_issued(one) and any(issued(one, below) for below in path[:-1])


def _stray(end: x509.Certificate, one: x509.Certificate) -> str:
    if _self_issued(end):
        return "chain-stranger"
    if one.subject == end.issuer:
        return "chain-signature-invalid"
    return "chain-gap" if _may_issue(one) else "chain-stranger"


def _unproven(leaf: x509.Certificate, key: PrivateKey) -> Iterator[Fault]:
    """One signature by the key, verified with the certificate's public key."""
    public = leaf.public_key()
    try:
        if isinstance(key, rsa.RSAPrivateKey):
            signature = key.sign(_PROOF, padding.PKCS1v15(), SHA256())
            cast(rsa.RSAPublicKey, public).verify(signature, _PROOF, padding.PKCS1v15(), SHA256())
        else:
            signature = key.sign(_PROOF, ec.ECDSA(SHA256()))
            cast(ec.EllipticCurvePublicKey, public).verify(signature, _PROOF, ec.ECDSA(SHA256()))
    except (*_UNREADABLE, InvalidSignature):
        yield _fault("key-mismatch")


def _notices(
    leaf: x509.Certificate, chain: tuple[x509.Certificate, ...], now: datetime
) -> Iterator[Notice]:
    if leaf.not_valid_before_utc > now:
        yield Notice(code="leaf-not-yet-valid", message="The certificate is not valid yet.")
    if _self_issued(leaf):
        yield Notice(code="leaf-self-signed", message="The certificate is self-signed.")
    elif not chain:
        text = "No issuer was sent; Front Door and others need the full chain."
        yield Notice(code="leaf-without-issuer", message=text)
    if leaf.not_valid_after_utc - now < SOON:
        yield Notice(code="leaf-expires-soon", message="Fewer than 30 days are left.")
    if any(one.not_valid_after_utc <= now for one in chain):
        text = "A certificate of the chain has expired; clients will refuse the path."
        yield Notice(code="chain-expired", message=text)


def _supported(public: CertificatePublicKeyTypes | PublicKeyTypes) -> bool:
    if isinstance(public, rsa.RSAPublicKey):
        return public.key_size in RSA_BITS
    return isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in CURVES


def _key_type(public: CertificatePublicKeyTypes | PublicKeyTypes) -> str:
    if isinstance(public, rsa.RSAPublicKey):
        return f"RSA {public.key_size}"
    if isinstance(public, ec.EllipticCurvePublicKey):
        return f"EC {CURVES.get(public.curve.name, public.curve.name)}"
    return type(public).__name__.removesuffix("PublicKey")


def _may_issue(certificate: x509.Certificate) -> bool:
    constraints = _extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _self_issued(certificate: x509.Certificate) -> bool:
    return certificate.subject == certificate.issuer


def _dns_names(leaf: x509.Certificate) -> tuple[str, ...]:
    names = _extension(leaf, x509.SubjectAlternativeName)
    return tuple(names.get_values_for_type(x509.DNSName)) if names is not None else ()


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _spki(public: CertificatePublicKeyTypes | PublicKeyTypes) -> bytes:
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
