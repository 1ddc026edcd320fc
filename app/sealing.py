"""What is held of a deployment, sealed, so that it can wait in a database without being readable.

A fresh data key seals each deployment (AES-256-GCM), and a sealing key wraps the data key. The
sealing key is never in the database: without it the text is noise, so to lose it is to lose what
waits, and to delete it is to delete what waits, in every backup too.

A seal holds for one deployment and one target: both are authenticated with the text, the target
with its whole configuration, so a row that is moved to another, or led elsewhere, does not open. An
RSA key is loaded without OpenSSL's primality proof (see `pki`): it was proven before it was sealed,
and the seal is proof that it is the same.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn, Protocol, cast

import orjson
from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.deployment.connector import Held
from app.deployment.model import Deployment
from app.errors import SealingKeyGone
from app.pki import Bundle, PrivateKey

KEY_OCTETS: Final = 32
_FORMAT: Final = "certctl-connectors seal 1"
_KEY_LABEL: Final = b"certctl-connectors sealing key\0"
_ID_DIGITS: Final = 16
_NONCE_OCTETS: Final = 12  # NIST SP 800-38D, section 5.2.1.1
_LENGTH_OCTETS: Final = 4


@dataclass(frozen=True, kw_only=True)
class Wrapped:
    """A wrapped data key, and the id of the sealing key that opens it."""

    key_id: str
    key: bytes = field(repr=False)


class Wrapping(Protocol):
    """What wraps data keys: sealing keys in memory, or keys that never leave their vault."""

    async def wrap(self, data_key: bytes) -> Wrapped:
        """Wrap a data key under the newest sealing key.

        Raises:
            SealingUnavailable: it cannot be done now.
        """

    async def unwrap(self, wrapped: Wrapped) -> bytes:
        """The data key.

        Raises:
            SealingUnavailable: it cannot be done now.
            SealingKeyGone: it cannot be done any more.
        """


class SealingKeys:
    """Sealing keys in memory (AES key wrap, RFC 3394): the first seals, all of them open.

    It cannot be printed, pickled or copied.
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_OCTETS for key in keys):
            raise ValueError("A sealing key is 32 octets, and there must be one at least.")
        self._keys = {_key_id(key): key for key in keys}

    @classmethod
    def read(cls, text: str) -> "SealingKeys":
        """The keys in a text: base64 of 32 octets each, by line or comma, the newest first.

        Raises:
            ValueError: one of them is none; the value is not repeated.
        """
        words = text.replace(",", "\n").split()
        return cls([_read_key(word, at) for at, word in enumerate(words, 1)])

    def __repr__(self) -> str:
        return "<SealingKeys>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("SealingKeys are secret and are never copied or pickled")

    async def wrap(self, data_key: bytes) -> Wrapped:
        """Wrap a data key under the first sealing key."""
        key_id, key = next(iter(self._keys.items()))
        return Wrapped(key_id=key_id, key=aes_key_wrap(key, data_key))

    async def unwrap(self, wrapped: Wrapped) -> bytes:
        """The data key; `SealingKeyGone` where no key of ours wrapped it."""
        key = self._keys.get(wrapped.key_id)
        if key is None:
            raise SealingKeyGone
        try:
            return aes_key_unwrap(key, wrapped.key)
        except InvalidUnwrap as refused:
            raise SealingKeyGone from refused


class Sealer:
    """Seals what is held of a deployment, and opens it again for that deployment alone."""

    __slots__ = ("_random", "_wrapping")

    def __init__(
        self, wrapping: Wrapping, random: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        self._wrapping = wrapping
        self._random = random

    async def seal(self, held: Held, deployment: Deployment) -> str:
        """What the caller sent, as ASCII that is safe in JSON: bundle and previous key.

        Raises:
            SealingUnavailable: the sealing key cannot be used now.
        """
        data_key, nonce = self._random(KEY_OCTETS), self._random(_NONCE_OCTETS)
        wrapped = await self._wrapping.wrap(data_key)
        text = AESGCM(data_key).encrypt(nonce, _packed(held), _bound_to(deployment))
        return _written(_Sealed(wrapped=wrapped, nonce=nonce, text=text))

    async def open(self, sealed: str, deployment: Deployment) -> Held:
        """What was sealed for this deployment: the same key, leaf and chain, in the same order.

        Raises:
            SealingUnavailable: the sealing key cannot be used now.
            SealingKeyGone: the key is gone, or this is not what was sealed for this deployment.
        """
        read = _read(sealed)
        data_key = await self._wrapping.unwrap(read.wrapped)
        try:
            plain = AESGCM(data_key).decrypt(read.nonce, read.text, _bound_to(deployment))
        except (InvalidTag, ValueError) as refused:  # a ValueError is a key of an odd length
            raise SealingKeyGone from refused
        return _unpacked(plain)


def new_sealing_key() -> str:
    """A fresh sealing key: base64 of 256 random bits."""
    return base64.b64encode(secrets.token_bytes(KEY_OCTETS)).decode()


@dataclass(frozen=True, kw_only=True)
class _Sealed:
    wrapped: Wrapped
    nonce: bytes
    text: bytes


def _written(sealed: _Sealed) -> str:
    parts = {"key": sealed.wrapped.key, "nonce": sealed.nonce, "text": sealed.text}
    encoded = {name: base64.b64encode(part).decode() for name, part in parts.items()}
    found = {"format": _FORMAT, "key_id": sealed.wrapped.key_id, **encoded}
    return orjson.dumps(found).decode("ascii")


def _read(sealed: str) -> _Sealed:
    """The parts of a seal; any other way to write the same parts is refused."""
    try:
        found = orjson.loads(sealed)
        key, nonce, text = (base64.b64decode(found[name]) for name in ("key", "nonce", "text"))
        wrapped = Wrapped(key_id=str(found["key_id"]), key=key)
        read = _Sealed(wrapped=wrapped, nonce=nonce, text=text)
        ours = sealed == _written(read)
    except (ValueError, TypeError, LookupError) as unreadable:
        raise SealingKeyGone from unreadable
    if not ours:
        raise SealingKeyGone
    return read


def _bound_to(deployment: Deployment) -> bytes:
    """What the seal holds for, besides the text: what decides where the key goes is among it."""
    target = deployment.target
    bound = [_FORMAT, deployment.id, target.type, target.address, dict(target.config)]
    # The record in a database keeps no order, and U+FFFD for a NUL.
    return orjson.dumps(bound, option=orjson.OPT_SORT_KEYS).replace(rb"\u0000", "\ufffd".encode())


def _packed(held: Held) -> bytes:
    """Key, previous key or nothing, leaf, chain: in DER, each after its length."""
    if held.bundle is None:
        raise ValueError("there is nothing to seal: the bundle was let go")
    bundle, previous = held.bundle, held.previous_key
    keys = (_key_der(bundle.key), b"" if previous is None else _key_der(previous))
    certificates = (one.public_bytes(Encoding.DER) for one in (bundle.leaf, *bundle.chain))
    parts = (*keys, *certificates)
    return b"".join(len(part).to_bytes(_LENGTH_OCTETS, "big") + part for part in parts)


def _unpacked(plain: bytes) -> Held:
    key, previous, *certificates = _parts(plain)
    leaf, *chain = (x509.load_der_x509_certificate(one) for one in certificates)
    bundle = Bundle(leaf, tuple(chain), _key(key))
    return Held(bundle, _key(previous) if previous else None)


def _parts(plain: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(plain):
        start = at + _LENGTH_OCTETS
        at = start + int.from_bytes(plain[at:start], "big")
        yield plain[start:at]


def _key_der(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _key(der: bytes) -> PrivateKey:
    key = serialization.load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    return cast(PrivateKey, key)


def _key_id(key: bytes) -> str:
    return hashlib.sha256(_KEY_LABEL + key).hexdigest()[:_ID_DIGITS]


def _read_key(word: str, at: int) -> bytes:
    try:
        key = base64.b64decode(word, validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_OCTETS:
        raise ValueError(f"Sealing key {at} is not base64 of 32 octets.")
    return key
