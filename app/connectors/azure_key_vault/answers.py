"""Key Vault's answers: what a version, a list of versions and a secret are.

A body that is not what was asked for is a `ValueError`: nonsense is never taken for an answer.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

import orjson
from cryptography import x509

from app import pki


@dataclass(frozen=True, kw_only=True)
class Version:
    """A certificate version. `policy` is the name's, and only on the answer without a version."""

    id: str
    name_id: str
    certificate: x509.Certificate
    thumbprint: str
    enabled: bool
    tags: Mapping[str, str]
    policy: Mapping[str, Any]

    @property
    def content_type(self) -> str:
        """In which form its secret is, by the policy."""
        return str(mapping(self.policy.get("secret_props")).get("contentType") or PFX)

    @property
    def exportable(self) -> bool:
        """Whether its key may be read, by the policy."""
        return mapping(self.policy.get("key_props")).get("exportable") is not False


@dataclass(frozen=True, kw_only=True)
class Listed:
    """What a list says of a version."""

    id: str
    tags: Mapping[str, str]


class Secret:
    """The secret of a version: the whole PFX or PEM with its key. Never printed, never pickled.

    One that is not `managed` is no certificate's, but stands under the name by itself.
    """

    __slots__ = ("content_type", "managed", "value", "version_id")

    def __init__(self, *, version_id: str, content_type: str, value: str, managed: bool) -> None:
        self.version_id = version_id
        self.content_type = content_type
        self.value = value
        self.managed = managed

    def __repr__(self) -> str:
        return "<Secret>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret holds a private key and is never copied or pickled")

    @property
    def holds_key(self) -> bool:
        """Whether a private key is in it, told by its shape.

        A PFX is not parsed: loading one proves the primes of its key, 36-260 ms on the event
        loop. The bag that holds a key is named in plain DER whatever encrypts its content.
        """
        if self.content_type == PEM:
            return "PRIVATE KEY-----" in self.value
        try:
            der = base64.b64decode(self.value, validate=True)
        except ValueError:  # not base64, or not even ASCII
            return False
        return any(bag in der for bag in _KEY_BAGS)


class KeyResult:
    """What a key operation answers: the version of the key that did it, and the octets.

    These may be a data key, so it is never printed and never pickled.
    """

    __slots__ = ("key_id", "octets")

    def __init__(self, *, key_id: str, octets: bytes) -> None:
        self.key_id = key_id
        self.octets = octets

    def __repr__(self) -> str:
        return "<KeyResult>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a KeyResult may hold a data key and is never copied or pickled")


PFX: Final = "application/x-pkcs12"
PEM: Final = "application/x-pem-file"
# RFC 7292, section 4.2: keyBag and pkcs8ShroudedKeyBag, as DER object identifiers
_KEY_BAGS: Final = (
    bytes.fromhex("060b2a864886f70d010c0a0101"),
    bytes.fromhex("060b2a864886f70d010c0a0102"),
)


def version(body: bytes) -> Version:
    """The certificate version in an answer.

    Raises:
        ValueError: the body is not a certificate bundle.
    """
    found = parsed(body)
    id_ = str(found.get("id") or "")
    name_id, _, version_id = id_.rpartition("/")
    certificate = x509.load_der_x509_certificate(base64.b64decode(str(found.get("cer") or "")))
    if not name_id or not version_id:
        raise ValueError("no certificate id")
    return Version(
        id=version_id,
        name_id=name_id,
        certificate=certificate,
        thumbprint=pki.thumbprint(certificate),
        enabled=mapping(found.get("attributes")).get("enabled") is True,
        tags=_tags(found),
        policy=mapping(found.get("policy")),
    )


def versions(body: bytes) -> tuple[list[Listed], str | None]:
    """The versions on a page, and the query that asks for the next one.

    Of the link to it only the query is taken, so that a token is never sent anywhere else.

    Raises:
        ValueError: the body is not such a page.
    """
    page = parsed(body)
    items = page.get("value")
    if not (page and isinstance(items, list)):
        raise ValueError("no list")
    following = urlsplit(str(page.get("nextLink") or "")).query
    return [_listed(mapping(item)) for item in items], following or None


def _listed(item: Mapping[str, Any]) -> Listed:
    id_ = str(item.get("id") or "").rpartition("/")[2]
    if not id_:
        raise ValueError("no version")
    return Listed(id=id_, tags=_tags(item))


def unfinished(body: bytes) -> bool:
    """Whether a name has no certificate yet, because its first one is still being made.

    Key Vault answers 200 then, with a version that is disabled and has neither key nor
    certificate. An import under the name is refused while that creation is pending.
    """
    found = parsed(body)
    disabled = mapping(found.get("attributes")).get("enabled") is False
    return disabled and "id" in found and "kid" not in found and "cer" not in found


def in_progress(body: bytes) -> bool:
    """Whether a creation that a name has, or had, is still under way."""
    return parsed(body).get("status") == "inProgress"


def secret(body: bytes) -> Secret:
    """The secret in an answer.

    Raises:
        ValueError: the body is not a secret bundle.
    """
    found = parsed(body)
    version_id = str(found.get("id") or "").rpartition("/")[2]
    value = found.get("value")
    if not version_id or not isinstance(value, str):
        raise ValueError("no secret")
    content_type = str(found.get("contentType") or PFX)
    managed = found.get("managed") is True
    return Secret(version_id=version_id, content_type=content_type, value=value, managed=managed)


def key_result(body: bytes) -> KeyResult:
    """The result of a key operation in an answer.

    Raises:
        ValueError: the body is none.
    """
    found = parsed(body)
    value = str(found.get("value") or "")
    octets = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    if not octets:
        raise ValueError("no result of a key operation")
    return KeyResult(key_id=str(found.get("kid") or ""), octets=octets)


def base64url(octets: bytes) -> str:
    """Base64 as Key Vault writes it for keys: URL-safe, without padding."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def parsed(body: bytes) -> Mapping[str, Any]:
    """The JSON object in *body*; empty where there is none."""
    try:
        return mapping(orjson.loads(body))
    except orjson.JSONDecodeError:
        return {}


def mapping(value: object) -> Mapping[str, Any]:
    """*value*, where it is an object."""
    return value if isinstance(value, dict) else {}


def _tags(found: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in mapping(found.get("tags")).items()}
