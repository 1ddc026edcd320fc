"""How the secret of a certificate is written: PFX without a password, or PEM.

A non-exportable certificate's secret has the same form without the key.
"""

import base64

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)


def pfx_of(
    leaf: x509.Certificate, key: PrivateKeyTypes | None, chain: tuple[x509.Certificate, ...]
) -> str:
    """A base64 PKCS#12 without password; without key if there is none to give."""
    content = pkcs12.serialize_key_and_certificates(
        None,
        key,  # type: ignore[arg-type] # an unusable kind of key was refused before
        leaf,
        chain,
        NoEncryption(),
    )
    return base64.b64encode(content).decode()


def pem_of(
    leaf: x509.Certificate, key: PrivateKeyTypes | None, chain: tuple[x509.Certificate, ...]
) -> str:
    """PEM: the key if given, the leaf, the chain."""
    parts = [certificate.public_bytes(Encoding.PEM) for certificate in (leaf, *chain)]
    if key is not None:
        parts.insert(0, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return b"".join(parts).decode()
