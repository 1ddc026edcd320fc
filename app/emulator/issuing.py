"""Certificates the emulator makes itself: its CA, its server certificate, strangers' ones.

All in memory and all P-256: making one takes less than a millisecond.
"""

import base64
import datetime as dt
import ipaddress
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.emulator.clouds import SERVER_NAMES

_DAY = dt.timedelta(days=1)
_LIFETIME = dt.timedelta(days=90)
_LONGEST_NAME = 64  # characters of a common name (RFC 5280, appendix A.1)


@dataclass(frozen=True, kw_only=True)
class Made:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def pem(self) -> str:
        """The certificate as PEM."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """The key as unencrypted PKCS#8 PEM."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _builder(name: str, key: ec.EllipticCurvePrivateKey, now: float) -> x509.CertificateBuilder:
    today = dt.datetime.fromtimestamp(now, dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - _DAY)
        .not_valid_after(today + _LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


def self_signed(name: str, *, now: float) -> Made:
    """A self-signed leaf, as somebody unknown would have it."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, key, now).issuer_name(_name(name))
    return Made(certificate=builder.sign(key, hashes.SHA256()), key=key)


def signing_request(name: str) -> str:
    """A certificate signing request in base64, its key thrown away."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(name[:_LONGEST_NAME]))
    made = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return base64.b64encode(made.public_bytes(Encoding.DER)).decode()


def authority(*, now: float) -> Made:
    """The CA that clients of the emulator trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = "Embedded Key Vault"
    builder = (
        _builder(name, key, now)
        .issuer_name(_name(name))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return Made(certificate=builder.sign(key, hashes.SHA256()), key=key)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def server(ca: Made, *, now: float) -> Made:
    """The server's certificate: every vault and login name, and this machine."""
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in SERVER_NAMES]
    names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key())
    builder = (
        _builder("localhost", key, now)
        .issuer_name(ca.certificate.subject)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.OID_SERVER_AUTH]), critical=False)
        .add_extension(issuer, critical=False)
    )
    return Made(certificate=builder.sign(ca.key, hashes.SHA256()), key=key)


def tls_context(ca: Made, *, now: float) -> ssl.SSLContext:
    """A server context with a certificate of the CA."""
    made = server(ca, now=now)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # ssl loads a key from a file only. This one is the emulator's own throw-away server key:
    # it lies for an instant in a fresh directory that nobody else can enter.
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "server.pem")
        path.touch(mode=0o600)
        path.write_text(made.key_pem + made.pem)
        context.load_cert_chain(path)
    return context
