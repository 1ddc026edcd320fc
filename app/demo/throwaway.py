"""Throw-away certificates for the demo: an authority that lives in memory only."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_LIFE = timedelta(days=90)


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A leaf with its chain and key, in PEM. The key is not shown when this is printed."""

    certificate: x509.Certificate
    cert_pem: str
    chain_pem: str
    key_pem: str = field(repr=False)


class Authority:
    """A root and an intermediate, made when this is made."""

    def __init__(self) -> None:
        self._root_key, self._key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self._root = _certificate("Throw-away root", self._root_key, None, self._root_key)
        self._issuer = _certificate("Throw-away CA", self._key, self._root, self._root_key)

    def issue(self, dns_name: str) -> Issued:
        """A server certificate with a new key."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = _certificate(dns_name, key, self._issuer, self._key, dns_name=dns_name)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Issued(
            certificate=leaf,
            cert_pem=_pem(leaf),
            chain_pem=_pem(self._issuer),
            key_pem=pem.decode(),
        )


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    signer: ec.EllipticCurvePrivateKey,
    *,
    dns_name: str | None = None,
) -> x509.Certificate:
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + _LIFE)
        .add_extension(x509.BasicConstraints(ca=dns_name is None, path_length=None), critical=True)
    )
    if dns_name is not None:
        names = x509.SubjectAlternativeName([x509.DNSName(dns_name)])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer, SHA256())


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
