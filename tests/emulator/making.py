"""Certificates for the tests, made in memory."""

import base64
import datetime as dt
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

_MACS: dict[pkcs12.PBES, hashes.HashAlgorithm] = {
    pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC: hashes.SHA1(),  # noqa: S303 - what goes with 3DES
    pkcs12.PBES.PBESv2SHA256AndAES256CBC: hashes.SHA256(),
}

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class Leaf:
    certificate: x509.Certificate
    key: Key

    @property
    def cert_pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def pem(self) -> str:
        return self.key_pem + self.cert_pem

    def pfx(self, password: str | None = None, chain: tuple[x509.Certificate, ...] = ()) -> str:
        encryption: KeySerializationEncryption = NoEncryption()
        if password:
            encryption = BestAvailableEncryption(password.encode())
        content = pkcs12.serialize_key_and_certificates(
            None, self.key, self.certificate, chain, encryption
        )
        return base64.b64encode(content).decode()

    def pfx_under(self, algorithm: pkcs12.PBES, password: str) -> str:
        """A PFX under a password that may be empty, as other tools make it."""
        builder = PrivateFormat.PKCS12.encryption_builder().key_cert_algorithm(algorithm)
        encryption = builder.hmac_hash(_MACS[algorithm]).build(b"any")
        vars(encryption)["password"] = password.encode()  # an empty one is refused above
        content = pkcs12.serialize_key_and_certificates(
            None, self.key, self.certificate, None, encryption
        )
        return base64.b64encode(content).decode()


def curve_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def leaf(
    name: str = "www.example.com",
    *,
    key: Key | None = None,
    subject: x509.Name | None = None,
    days: tuple[int, int] = (-1, 89),
    validity: tuple[int, int] | None = None,
    extensions: tuple[x509.ExtensionType, ...] = (),
) -> Leaf:
    key = key or curve_key()
    subject = subject or x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    today = dt.datetime.now(dt.UTC)
    start, end = (today + dt.timedelta(days=each) for each in days)
    if validity is not None:  # in seconds since the epoch
        start, end = (dt.datetime.fromtimestamp(each, dt.UTC) for each in validity)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Leaf(certificate=builder.sign(key, digest), key=key)


def usage(*, key_encipherment: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
