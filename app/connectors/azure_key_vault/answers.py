"""Key Vault's answers: what a version and a secret are, and its errors in our words.

One table for the errors; Azure's texts are read only where status and codes do not tell cases
apart, and never passed on, because they hold subscription and object ids.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import orjson
from cryptography import x509

from app import errors, pki
from app.errors import TargetAnswer


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
        return str(_mapping(self.policy.get("secret_props")).get("contentType") or PFX)

    @property
    def exportable(self) -> bool:
        """Whether its key may be read, by the policy."""
        return _mapping(self.policy.get("key_props")).get("exportable") is not False


class Secret:
    """The secret of a version: the whole PFX or PEM with its key. Never printed, never pickled.

    One that is not `managed` is no certificate's, but stands under the name by itself.
    """

    __slots__ = ("content_type", "managed", "value", "version_id")

    def __init__(
        self, *, version_id: str, content_type: str, value: str, managed: bool = True
    ) -> None:
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


PFX: Final = "application/x-pkcs12"
PEM: Final = "application/x-pem-file"
# RFC 7292, section 4.2: keyBag and pkcs8ShroudedKeyBag, as DER object identifiers
_KEY_BAGS: Final = (
    bytes.fromhex("060b2a864886f70d010c0a0101"),
    bytes.fromhex("060b2a864886f70d010c0a0102"),
)

# (status, inner code or else code): our error
_TABLE: Final[dict[tuple[int, str], type[errors.TargetError]]] = {
    (403, "ForbiddenByRbac"): errors.TargetForbiddenRbac,
    (403, "ForbiddenByPolicy"): errors.TargetForbiddenPolicy,
    (403, "AccessDenied"): errors.TargetForbiddenPolicy,  # the name of it in older answers
    (403, "ForbiddenByFirewall"): errors.TargetForbiddenFirewall,
    (403, "ForbiddenByConnection"): errors.TargetForbiddenConnection,
    (409, "ObjectIsDeletedButRecoverable"): errors.NameSoftDeleted,
    (409, "ObjectIsBeingDeleted"): errors.NameBeingDeleted,
    (409, "Forbidden"): errors.PendingOperation,  # a 409 that calls itself Forbidden
    (409, "Conflict"): errors.TargetConflict,
}
# (status, a part of the message): for answers without an inner code
_TEXTS: Final[tuple[tuple[int, str, type[errors.TargetError]], ...]] = (
    (403, "client address is not authorized", errors.TargetForbiddenFirewall),
    (403, "private link", errors.TargetForbiddenConnection),
    (403, "public network access is disabled", errors.TargetForbiddenConnection),
    (403, "permission on key vault", errors.TargetForbiddenPolicy),
    (403, "not authorized to perform action", errors.TargetForbiddenRbac),
    (409, "deleted but recoverable", errors.NameSoftDeleted),
    (409, "being deleted", errors.NameBeingDeleted),
    (409, "pending", errors.PendingOperation),
)
_BY_STATUS: Final[dict[int, type[errors.TargetError]]] = {
    400: errors.CertificateRejected,
    401: errors.TargetUnauthenticated,
    403: errors.TargetForbidden,
    409: errors.TargetConflict,
    413: errors.CertificateRejected,
    429: errors.TargetThrottled,
}
_LONGEST_CODE: Final = 64


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An answer that is no success: its codes, and the text that is never passed on."""

    answer: TargetAnswer
    text: str = ""

    @property
    def code(self) -> str:
        """The inner code, or else the code."""
        return self.answer.inner_code or self.answer.code or ""

    def in_our_words(self) -> errors.TargetError:
        """The error of ours that says it."""
        status = self.answer.status or 0
        kind = _TABLE.get((status, self.code)) if self.answer.inner_code else None
        kind = kind or next(
            (kind for at, part, kind in _TEXTS if at == status and part in self.text.lower()), None
        )
        kind = kind or _TABLE.get((status, self.code)) or _BY_STATUS.get(status)
        return (kind or errors.TargetUnavailable)(answer=self.answer)


def refusal(status: int, body: bytes, request_id: str | None) -> Refusal:
    """What an unsuccessful answer says; a body that is not Key Vault's gives the status alone."""
    error = _mapping(_json(body).get("error"))
    inner = _mapping(error.get("innererror"))
    answer = TargetAnswer(
        status=status,
        code=_code(error.get("code")),
        inner_code=_code(inner.get("code")),
        request_id=_code(request_id),
    )
    return Refusal(answer=answer, text=str(error.get("message") or ""))


def version(body: bytes) -> Version:
    """The certificate version in an answer.

    Raises:
        ValueError: the body is not a certificate bundle.
    """
    found = _json(body)
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
        enabled=_mapping(found.get("attributes")).get("enabled") is True,
        tags={str(key): str(value) for key, value in _mapping(found.get("tags")).items()},
        policy=_mapping(found.get("policy")),
    )


def unfinished(body: bytes) -> bool:
    """Whether a name has no certificate yet, because its first one is still being made.

    Key Vault answers 200 then, with a version that is disabled and has neither key nor
    certificate. An import under the name is refused while that creation is pending.
    """
    found = _json(body)
    disabled = _mapping(found.get("attributes")).get("enabled") is False
    return disabled and "id" in found and "kid" not in found and "cer" not in found


def in_progress(body: bytes) -> bool:
    """Whether a creation that a name has, or had, is still under way."""
    return _json(body).get("status") == "inProgress"


def secret(body: bytes) -> Secret:
    """The secret in an answer.

    Raises:
        ValueError: the body is not a secret bundle.
    """
    found = _json(body)
    version_id = str(found.get("id") or "").rpartition("/")[2]
    value = found.get("value")
    if not version_id or not isinstance(value, str):
        raise ValueError("no secret")
    content_type = str(found.get("contentType") or PFX)
    managed = found.get("managed") is True
    return Secret(version_id=version_id, content_type=content_type, value=value, managed=managed)


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        return _mapping(orjson.loads(body))
    except orjson.JSONDecodeError:
        return {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _code(value: object) -> str | None:
    """A code as Azure writes them; anything longer or stranger is not one, and is not shown."""
    text = value if isinstance(value, str) else ""
    sane = 0 < len(text) <= _LONGEST_CODE and text.replace("-", "").replace(".", "").isalnum()
    return text if sane else None
