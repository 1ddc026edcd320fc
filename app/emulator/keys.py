"""Keys that are no certificate's: made here, and used to wrap other keys. None ever comes out.

RSA only. A certificate has a key of its own in Key Vault; that one is not served here.
"""

import base64
import binascii
from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from app.emulator import shapes
from app.emulator.orders import Order
from app.emulator.refusals import Reason, Refusal, refusal
from app.emulator.stored import RECOVERABLE_DAYS, StoredKey
from app.emulator.wire import Reply

_SIZES: Final = (2048, 3072, 4096)
_EVERYTHING: Final = ("encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey")
_HASHES: Final[dict[str, Callable[[], hashes.HashAlgorithm]]] = {
    "RSA-OAEP": hashes.SHA1,
    "RSA-OAEP-256": hashes.SHA256,
}


def create_key(order: Order) -> Reply:
    """Make a key, or one more version of it, which is current from then on."""
    sent = order.document()
    size = sent.get("key_size") or _SIZES[0]
    # EC, and times of validity, are Azure's but not ours
    if sent.get("kty") != "RSA" or size not in _SIZES or {"nbf", "exp"} & _attributes(sent).keys():
        raise _not_emulated(order)
    _no_certificate(order)
    made = order.vault.add_key(
        order.name,
        rsa.generate_private_key(public_exponent=65537, key_size=size),
        operations=tuple(sent.get("key_ops") or _EVERYTHING),
        enabled=_attributes(sent).get("enabled") is not False,
    )
    return _bundle(order, made)


def get_key(order: Order) -> Reply:
    """A version of a key, or the current one: its public half."""
    return _bundle(order, _found(order))


def update_key(order: Order) -> Reply:
    """Enable or disable a version of a key."""
    old = _found(order)
    enabled = _attributes(order.document()).get("enabled", old.enabled)
    order.vault.set_key_enabled(order.name, old.version, bool(enabled))
    return _bundle(order, _found(order))


def wrap_key(order: Order) -> Reply:
    """Encrypt another key."""
    key, scheme, value = _operation(order, "wrapKey")
    return _result(order, key, key.private_key.public_key().encrypt(value, scheme))


def unwrap_key(order: Order) -> Reply:
    """Decrypt another key."""
    key, scheme, value = _operation(order, "unwrapKey")
    try:
        return _result(order, key, key.private_key.decrypt(value, scheme))
    except ValueError as error:
        raise refusal(Reason.UNWRAPPABLE) from error


def _operation(order: Order, operation: str) -> tuple[StoredKey, padding.OAEP, bytes]:
    """The key, the padding and the octets of an operation. Raises Refusal."""
    key = _found(order)
    if not key.enabled:
        raise refusal(Reason.KEY_DISABLED, operation=operation)
    if operation not in key.operations:
        raise refusal(Reason.KEY_OPERATION, operation=operation)
    sent = order.document()
    digest = _HASHES.get(str(sent.get("alg")))
    if digest is None:
        raise refusal(Reason.INVALID_BODY, name="alg")
    scheme = padding.OAEP(padding.MGF1(digest()), digest(), label=None)
    return key, scheme, _decoded(str(sent.get("value") or ""))


def _found(order: Order) -> StoredKey:
    versions = order.vault.keys.get(order.name, ())
    if not versions:
        _no_certificate(order)
    wanted = [one for one in versions if order.version in ("", one.version)]
    if not wanted:
        name = f"{order.name}/{order.version}" if order.version else order.name
        raise refusal(Reason.KEY_NOT_FOUND, name=name)
    return wanted[-1]


def _no_certificate(order: Order) -> None:
    """Give no answer where Azure has the key of a certificate."""
    if order.name in order.vault.entries or order.name in order.vault.deleted:
        raise _not_emulated(order)


def _not_emulated(order: Order) -> Refusal:
    request = order.request
    return refusal(Reason.NOT_EMULATED, method=request.method, path=request.path)


def _attributes(document: dict[str, Any]) -> dict[str, Any]:
    return document.get("attributes") or {}


def _bundle(order: Order, key: StoredKey) -> Reply:
    numbers = key.private_key.public_key().public_numbers()
    public = {"n": _octets(numbers.n), "e": _octets(numbers.e)}
    document = {
        "key": {"kid": _kid(order, key), "kty": "RSA", "key_ops": list(key.operations), **public},
        "attributes": {
            "enabled": key.enabled,
            "created": key.created,
            "updated": key.updated,
            "recoveryLevel": shapes.RECOVERY_LEVEL,
            "recoverableDays": RECOVERABLE_DAYS,
            "exportable": False,
        },
    }
    return Reply(document=document)


def _result(order: Order, key: StoredKey, octets: bytes) -> Reply:
    return Reply(document={"kid": _kid(order, key), "value": _encoded(octets)})


def _kid(order: Order, key: StoredKey) -> str:
    return f"{order.base}/keys/{order.vault.keys.shown(order.name)}/{key.version}"


def _octets(number: int) -> str:
    return _encoded(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def _encoded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    try:
        octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise refusal(Reason.NO_BASE64URL, name="value") from error
    if not octets:
        raise refusal(Reason.NO_BASE64URL, name="value")
    return octets
