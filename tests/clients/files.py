"""What a client sends: a certificate, its chain and its key in one file."""

import base64

from tests.certificates import Issued, pem
from tests.emulator.making import Leaf


def as_pfx(issued: Issued, password: str | None = None) -> bytes:
    """A PKCS#12."""
    return base64.b64decode(Leaf(issued.leaf, issued.key).pfx(password, issued.chain))


def as_pem(issued: Issued) -> bytes:
    """The key, then the certificates, as Key Vault wants them."""
    return (issued.key_pem + pem(issued.leaf, *issued.chain)).encode()
