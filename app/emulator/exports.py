"""How the secret of a certificate is written: PFX under an empty password, or PEM.

A non-exportable certificate's secret has the same form without the key.
"""

import base64

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.emulator import legacy_pfx


def pfx_of(
    leaf: x509.Certificate, key: PrivateKeyTypes | None, chain: tuple[x509.Certificate, ...]
) -> str:
    """A base64 PKCS#12; without key if there is none to give."""
    return base64.b64encode(legacy_pfx.write(leaf, key, chain)).decode()


def pem_of(
    leaf: x509.Certificate, key: PrivateKeyTypes | None, chain: tuple[x509.Certificate, ...]
) -> str:
    """PEM: the key if given, the leaf, the chain."""
    parts = [certificate.public_bytes(Encoding.PEM) for certificate in (leaf, *chain)]
    if key is not None:
        parts.insert(0, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return b"".join(parts).decode()
