"""What an import carries: PFX or PEM, parsed for real, refused in Key Vault's words.

Reading a PKCS#12 with an RSA key costs some 40 ms, so what was read is kept by the hash of
what was sent: importing the same bytes again is quick.
"""

import base64
import binascii
import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    pkcs12,
)

from app.emulator.exports import pem_of
from app.emulator.refusals import Reason, refusal

PFX = "application/x-pkcs12"
PEM = "application/x-pem-file"

_BLOCK = re.compile(
    r"\s*-----BEGIN (?P<label>[A-Z0-9 ]+)-----\n[A-Za-z0-9+/=\n]+-----END (?P=label)-----[\n]?"
)
_KEY = "PRIVATE KEY"
_CERTIFICATE = "CERTIFICATE"


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """A certificate with its key and chain, and the text its secret will show.

    value is None if the secret is to be encoded anew: a PFX that came with a password.
    """

    certificate: x509.Certificate
    private_key: PrivateKeyTypes | None = field(repr=False)
    chain: tuple[x509.Certificate, ...]
    content_type: str
    value: str | None = field(repr=False)


class Reader:
    """Reads imports, remembering the last ones."""

    def __init__(self, *, keep: int = 256) -> None:
        self._keep = keep
        self._read: OrderedDict[bytes, Material] = OrderedDict()

    def pfx(self, value: str, password: str | None) -> Material:
        """A base64 PKCS#12. Raises Refusal (400)."""
        return self._once(_hash("pfx", value, password), lambda: read_pfx(value, password))

    def pem(self, value: str, *, preserve_order: bool) -> Material:
        """A PEM file, raw or in base64. Raises Refusal (400)."""
        key = _hash("pem", value, str(preserve_order))
        return self._once(key, lambda: read_pem(value, preserve_order=preserve_order))

    def _once(self, key: bytes, read: Callable[[], Material]) -> Material:
        known = self._read.get(key)
        if known is not None:
            return known
        material = self._read[key] = read()
        if len(self._read) > self._keep:
            self._read.popitem(last=False)
        return material


def _hash(kind: str, value: str, extra: str | None) -> bytes:
    # the length keeps (value, password) pairs apart that are equal when joined
    text = f"{kind}:{len(value)}:{value}{'' if extra is None else '=' + extra}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def read_pfx(value: str, password: str | None) -> Material:
    """A base64 PKCS#12, its password or None. Raises Refusal (400)."""
    content = _load_pfx(value, password)
    chain = tuple(other.certificate for other in content.additional_certs)
    if content.key is None:
        raise refusal(Reason.NO_PRIVATE_KEY)
    if content.cert is None:
        # the parser gives no leaf when no certificate belongs to the key
        raise refusal(Reason.KEY_MISMATCH if chain else Reason.NO_PRIVATE_KEY)
    leaf = content.cert.certificate
    # Documented: Azure keeps no password and exports under none, the certificates as imported.
    # Unknown: in which form; here it is the one in which it exports what it made itself. Unknown
    # too: whether preserveCertOrder means anything for a PFX.
    kept = None if password else value
    return Material(
        certificate=leaf, private_key=content.key, chain=chain, content_type=PFX, value=kept
    )


def _load_pfx(value: str, password: str | None) -> pkcs12.PKCS12KeyAndCertificates:
    if value.lstrip().startswith("-----BEGIN"):
        # PEM sent as PFX: reported with this text
        raise refusal(Reason.NO_PRIVATE_KEY)
    try:
        raw = base64.b64decode(value, validate=True)
        if raw.lstrip().startswith(b"-----BEGIN"):
            raise refusal(Reason.NO_PRIVATE_KEY)
        return pkcs12.load_pkcs12(raw, password.encode() if password else None)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise refusal(Reason.UNREADABLE_PFX) from error


def read_pem(value: str, *, preserve_order: bool = False) -> Material:
    """A PEM file with one unencrypted PKCS#8 key and certificates. Raises Refusal (400)."""
    text = _pem_text(value)
    blocks = _blocks(text)
    keys = [block for label, block in blocks if label == _KEY]
    certificates = [_load(block) for label, block in blocks if label == _CERTIFICATE]
    if not certificates or len(keys) > 1 or len(blocks) > len(keys) + len(certificates):
        raise refusal(Reason.UNREADABLE_PEM)
    if not keys:
        raise refusal(Reason.NO_PRIVATE_KEY_IN_PEM)
    key = _load_key(keys[0])
    leaf = _leaf(certificates, key)
    chain = tuple(certificate for certificate in certificates if certificate is not leaf)
    reorder = certificates[0] is not leaf and not preserve_order
    return Material(
        certificate=leaf,
        private_key=key,
        chain=chain,
        content_type=PEM,
        value=pem_of(leaf, key, chain) if reorder else text,
    )


def _pem_text(value: str) -> str:
    """The Python SDK puts PEM into base64, the .NET SDK sends it raw; Key Vault takes both."""
    if "-----BEGIN" in value:
        return value
    try:
        return base64.b64decode(value, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise refusal(Reason.UNREADABLE_PEM) from error


def _blocks(text: str) -> list[tuple[str, str]]:
    """Label and text of every block; anything between blocks, or a CR, is refused."""
    found = []
    position = 0
    while match := _BLOCK.match(text, position):
        found.append((match["label"], match[0]))
        position = match.end()
    if text[position:].strip(" \n\t") or "\r" in text:
        raise refusal(Reason.UNREADABLE_PEM)
    return found


def _load(block: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(block.encode())
    except ValueError as error:
        raise refusal(Reason.UNREADABLE_PEM) from error


def _load_key(block: str) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(block.encode(), None)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise refusal(Reason.UNREADABLE_PEM) from error


def _leaf(certificates: list[x509.Certificate], key: PrivateKeyTypes) -> x509.Certificate:
    """The certificate of the key, wherever it stands."""
    wanted = _spki(key.public_key())
    for certificate in certificates:
        if _spki_of(certificate) == wanted:
            return certificate
    raise refusal(Reason.KEY_MISMATCH)


def _spki_of(certificate: x509.Certificate) -> bytes | None:
    """None for a key of a kind that nothing here reads, which an issuer may well have."""
    try:
        return _spki(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm):
        return None


def _spki(public_key: object) -> bytes:
    encoded: bytes = public_key.public_bytes(  # type: ignore[attr-defined] # every kind has it
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    return encoded
