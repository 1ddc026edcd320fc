"""PFX as Key Vault writes it: 3DES and SHA-1 under an empty password.

Recorded exports are encrypted with pbeWithSHA1And3-KeyTripleDES-CBC (2000 iterations) and an
empty, not an absent, password. `cryptography` reads that but refuses to write it, hence this
writer (RFC 7292). It protects nothing; it exists so that clients meet the real format.
"""

import hashlib
import hmac
import secrets

from cryptography import x509
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

_ITERATIONS = 2000
_EMPTY_PASSWORD = b"\x00\x00"  # a BMPString is terminated, even an empty one
_BLOCK = 64
_FOR_KEY, _FOR_IV, _FOR_MAC = 1, 2, 3

_DATA = "2A864886F70D010701"
_ENCRYPTED_DATA = "2A864886F70D010706"
_PBE_3DES = "2A864886F70D010C0103"
_KEY_BAG = "2A864886F70D010C0A0102"
_CERT_BAG = "2A864886F70D010C0A0103"
_X509_CERTIFICATE = "2A864886F70D01091601"
_LOCAL_KEY_ID = "2A864886F70D010915"
_SHA1 = "2B0E03021A"

_SEQUENCE, _SET, _OCTETS, _INTEGER, _OID, _NULL = 0x30, 0x31, 0x04, 0x02, 0x06, 0x05
_EXPLICIT, _IMPLICIT = 0xA0, 0x80


def write(
    leaf: x509.Certificate, key: PrivateKeyTypes | None, chain: tuple[x509.Certificate, ...]
) -> bytes:
    """A PKCS#12 of key (None: there is none to give), leaf and chain, in that order."""
    bags = [_certificate_bag(leaf, own=True), *(_certificate_bag(other) for other in chain)]
    keys = [] if key is None else [_plain(_der(_SEQUENCE, _key_bag(key)))]
    safe = _der(_SEQUENCE, *keys, _sealed(_der(_SEQUENCE, *bags)))
    return _der(_SEQUENCE, _integer(3), _plain(safe), _mac(safe))


def _plain(content: bytes) -> bytes:
    return _der(_SEQUENCE, _oid(_DATA), _der(_EXPLICIT, _der(_OCTETS, content)))


def _sealed(content: bytes) -> bytes:
    algorithm, octets = _encrypted(content)
    body = _der(_SEQUENCE, _oid(_DATA), algorithm, bytes([_IMPLICIT]) + octets[1:])
    encrypted = _der(_SEQUENCE, _integer(0), body)
    return _der(_SEQUENCE, _oid(_ENCRYPTED_DATA), _der(_EXPLICIT, encrypted))


def _key_bag(key: PrivateKeyTypes) -> bytes:
    pkcs8 = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return _bag(_KEY_BAG, _der(_SEQUENCE, *_encrypted(pkcs8)), own=True)


def _certificate_bag(certificate: x509.Certificate, *, own: bool = False) -> bytes:
    der = _der(_OCTETS, certificate.public_bytes(Encoding.DER))
    content = _der(_SEQUENCE, _oid(_X509_CERTIFICATE), _der(_EXPLICIT, der))
    return _bag(_CERT_BAG, content, own=own)


def _bag(kind: str, content: bytes, *, own: bool) -> bytes:
    """The attribute ties the key to its certificate; Key Vault always uses this id."""
    identifier = _der(_SET, _der(_OCTETS, b"\x01\x00\x00\x00"))
    attributes = _der(_SET, _der(_SEQUENCE, _oid(_LOCAL_KEY_ID), identifier)) if own else b""
    return _der(_SEQUENCE, _oid(kind), _der(_EXPLICIT, content), attributes)


def _encrypted(content: bytes) -> tuple[bytes, bytes]:
    """Algorithm identifier and ciphertext."""
    salt = secrets.token_bytes(8)
    cipher = Cipher(TripleDES(_derive(salt, _FOR_KEY, 24)), CBC(_derive(salt, _FOR_IV, 8)))
    padder, encryptor = PKCS7(64).padder(), cipher.encryptor()
    padded = padder.update(content) + padder.finalize()
    parameters = _der(_SEQUENCE, _der(_OCTETS, salt), _integer(_ITERATIONS))
    algorithm = _der(_SEQUENCE, _oid(_PBE_3DES), parameters)
    return algorithm, _der(_OCTETS, encryptor.update(padded) + encryptor.finalize())


def _mac(safe: bytes) -> bytes:
    salt = secrets.token_bytes(20)
    digest = hmac.digest(_derive(salt, _FOR_MAC, 20), safe, "sha1")
    algorithm = _der(_SEQUENCE, _oid(_SHA1), _der(_NULL))
    info = _der(_SEQUENCE, algorithm, _der(_OCTETS, digest))
    return _der(_SEQUENCE, info, _der(_OCTETS, salt), _integer(_ITERATIONS))


def _derive(salt: bytes, purpose: int, size: int) -> bytes:
    """The key derivation of RFC 7292, appendix B, for SHA-1 and the empty password."""
    mixed = _filled(salt) + _filled(_EMPTY_PASSWORD)
    derived = b""
    while len(derived) < size:
        digest = bytes([purpose]) * _BLOCK + mixed
        for _ in range(_ITERATIONS):
            digest = hashlib.sha1(digest, usedforsecurity=False).digest()
        derived += digest
        mixed = _stirred(mixed, digest)
    return derived[:size]


def _filled(text: bytes) -> bytes:
    return (text * _BLOCK)[:_BLOCK]


def _stirred(mixed: bytes, digest: bytes) -> bytes:
    step = int.from_bytes(_filled(digest)) + 1
    blocks = (mixed[at : at + _BLOCK] for at in range(0, len(mixed), _BLOCK))
    return b"".join(
        ((int.from_bytes(block) + step) % 256**_BLOCK).to_bytes(_BLOCK) for block in blocks
    )


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:  # noqa: PLR2004 - DER's limit of the short form
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + content


def _oid(encoded: str) -> bytes:
    return _der(_OID, bytes.fromhex(encoded))


def _integer(number: int) -> bytes:
    return _der(_INTEGER, number.to_bytes(number.bit_length() // 8 + 1))
