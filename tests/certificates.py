"""Certificates for tests: an authority with an intermediate, and leaves of any kind below it.

Whatever was issued can issue in turn, so odd chains (a gap, a stranger, a cross-signed twin) are
one line each. RSA keys are made once per size: making one is slow.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from app import pki

# The time of the tests: fixed, and near enough to the real one that servers agree.
NOW: Final = datetime.now(UTC).replace(microsecond=0)

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Form = Literal["pkcs8", "traditional"]
_FORMS: Final = {"pkcs8": PrivateFormat.PKCS8, "traditional": PrivateFormat.TraditionalOpenSSL}
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A certificate with its key, and the certificates above it without the root."""

    leaf: x509.Certificate
    key: Key
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def cert_pem(self) -> str:
        return pem(self.leaf)

    @property
    def chain_pem(self) -> str:
        return pem(*self.chain)

    @property
    def key_pem(self) -> str:
        return key_pem(self.key)

    def bundle(self) -> pki.Bundle:
        """As the service reads it; the checks must have nothing to say."""
        bundle, faults = pki.parse(self.cert_pem, self.chain_pem, self.key_pem, now=NOW)
        assert bundle is not None, faults
        return bundle

    def issue(
        self,
        cn: str = "api.example.test",
        *,
        key: Key | None = None,
        days: float = 90,
        starts: timedelta = -_DAY,
        ca: bool = False,
        serial: int | None = None,
        names: Sequence[str] | None = None,
        extensions: Sequence[x509.ExtensionType] = (),
    ) -> "Issued":
        """A certificate below this one.

        Args:
            cn: the common name, and the DNS name of a leaf unless *names* are given.
            key: EC P-256, newly made, unless given.
            days: from `NOW` to its end; negative is expired.
            starts: from `NOW` to its beginning.
            ca: whether it may issue.
            serial: random unless given.
            names: its DNS names.
            extensions: more of them, none critical.
        """
        key = ec_key() if key is None else key
        alternatives = () if ca else _alternatives([cn] if names is None else names)
        found = (x509.BasicConstraints(ca=ca, path_length=None), *alternatives, *extensions)
        leaf = _built(cn, key, self, _validity(days, starts), serial, found)
        own = () if self.leaf.subject == self.leaf.issuer else (self.leaf,)
        return Issued(leaf=leaf, key=key, chain=(*own, *self.chain))


@dataclass(frozen=True, kw_only=True)
class Authority:
    """A root and an intermediate; leaves come from the intermediate, as in the world."""

    root: Issued
    intermediate: Issued

    def issue(
        self, cn: str = "api.example.test", *, key: Key | None = None, days: float = 90
    ) -> "Issued":
        """A leaf as a public authority would issue it; `intermediate.issue` knows odd ones."""
        return self.intermediate.issue(cn, key=key, days=days)


def authority(name: str = "Test", *, rsa: bool = False) -> Authority:
    """An authority of its own; Key Vault takes leaves of RSA only from one of *rsa*."""
    keys = (rsa_key(2048, 8), rsa_key(2048, 9)) if rsa else (ec_key(), ec_key())
    root = self_signed(f"{name} Root", ca=True, key=keys[0])
    intermediate = root.issue(f"{name} Intermediate", ca=True, days=1800, key=keys[1])
    return Authority(root=root, intermediate=intermediate)


def self_signed(
    cn: str,
    *,
    key: Key | None = None,
    days: float = 3600,
    starts: timedelta = -_DAY,
    ca: bool = False,
    extensions: Sequence[x509.ExtensionType] = (),
) -> "Issued":
    """A certificate that is its own issuer."""
    key = ec_key() if key is None else key
    found = (x509.BasicConstraints(ca=ca, path_length=None), *extensions)
    leaf = _built(cn, key, None, _validity(days, starts), None, found)
    return Issued(leaf=leaf, key=key)


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    """A new EC key, P-256 unless said otherwise."""
    return ec.generate_private_key(curve or ec.SECP256R1())


def rsa_key(bits: int = 2048, which: int = 0) -> rsa.RSAPrivateKey:
    """The RSA key of this size; *which* tells keys of one size apart."""
    return _rsa_key(bits, which)


@cache
def _rsa_key(bits: int, which: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def pem(*certificates: x509.Certificate) -> str:
    """Certificates one after the other."""
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates)


def key_pem(key: Key, form: Form = "pkcs8", password: str | None = None) -> str:
    """A key in PEM; `traditional` is PKCS#1 for RSA and SEC1 for EC."""
    lock = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, _FORMS[form], lock).decode()


def armoured(label: str, der: bytes) -> str:
    """Octets in PEM."""
    return f"-----BEGIN {label}-----\n{base64.encodebytes(der).decode()}-----END {label}-----\n"


def patched(certificate: x509.Certificate, old: bytes, new: bytes) -> str:
    """A certificate with octets of its signed part exchanged: its signature is wrong now."""
    der, signed = certificate.public_bytes(Encoding.DER), certificate.tbs_certificate_bytes
    body, rest = _body(signed), _body(der)[len(signed) :]
    assert body.count(old) == 1
    return armoured("CERTIFICATE", _tlv(0x30, _tlv(0x30, body.replace(old, new)), rest))


def rsa_pem(key: rsa.RSAPrivateKey, **changes: int) -> str:
    """An RSA key in PKCS#1 with other numbers: `n`, `e`, `d`, `p`, `q`, `dmp1`, `dmq1`, `iqmp`."""
    own = key.private_numbers()
    names = ("d", "p", "q", "dmp1", "dmq1", "iqmp")
    numbers = {"n": own.public_numbers.n, "e": own.public_numbers.e}
    numbers |= {name: getattr(own, name) for name in names} | changes
    return armoured("RSA PRIVATE KEY", _tlv(0x30, _integer(0), *map(_integer, numbers.values())))


def foreign_pem(oid: str, *parameters: int) -> str:
    """A PKCS#8 key of another algorithm (its OID in hex), its parameters, and a large key."""
    algorithm = _tlv(0x30, _tlv(6, bytes.fromhex(oid)), _tlv(0x30, *map(_integer, parameters)))
    key = _tlv(4, _integer(parameters[0] // 3))
    return armoured("PRIVATE KEY", _tlv(0x30, _integer(0), algorithm, key))


def _body(der: bytes) -> bytes:
    return der[2 + max(0, der[1] - 0x80) :]


def _integer(number: int) -> bytes:
    return _tlv(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _tlv(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    octets = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    length = bytes([len(body)]) if len(body) < 0x80 else bytes([0x80 | len(octets)]) + octets
    return bytes([tag]) + length + body


def _alternatives(names: Sequence[str]) -> tuple[x509.ExtensionType, ...]:
    return (x509.SubjectAlternativeName([x509.DNSName(one) for one in names]),) if names else ()


def _validity(days: float, starts: timedelta) -> tuple[datetime, datetime]:
    end = NOW + days * _DAY
    return min(NOW + starts, end - _DAY), end


def _built(
    cn: str,
    key: Key,
    issuer: Issued | None,
    validity: tuple[datetime, datetime],
    serial: int | None,
    extensions: Sequence[x509.ExtensionType],
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.leaf.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number() if serial is None else serial)
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
    )
    for one in extensions:
        builder = builder.add_extension(one, critical=False)
    signer = key if issuer is None else issuer.key
    return builder.sign(
        signer, None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    )
