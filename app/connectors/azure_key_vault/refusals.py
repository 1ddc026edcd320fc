"""Key Vault's refusals, in our words.

One table; Azure's texts are read only where status and codes do not tell cases apart, and never
passed on, because they hold subscription and object ids.
"""

import re
from dataclasses import dataclass
from typing import Final

from app import errors
from app.connectors.azure_key_vault.answers import mapping, parsed
from app.errors import TargetAnswer

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
    401: errors.TargetUnauthenticated,
    403: errors.TargetForbidden,
    409: errors.TargetConflict,
    429: errors.TargetThrottled,
}
# what is wrong with a request is the certificate in it, and only an import brings one
_OF_AN_IMPORT: Final = frozenset({400, 413})
_NO_QUESTION: Final = (
    "The target took a question of ours for a bad request, though no certificate was in it; a "
    "proxy on the way may answer so. Send again later, and report it if it stays so."
)
_CODE: Final = re.compile(r"[0-9A-Za-z.-]{1,64}")


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An answer that is no success: its codes, and the text that is never passed on."""

    answer: TargetAnswer
    text: str = ""

    @property
    def code(self) -> str:
        """The inner code, or else the code."""
        return self.answer.inner_code or self.answer.code or ""

    def in_our_words(self, *, importing: bool = True) -> errors.TargetError:
        """The error of ours that says it, of an import or of a question."""
        status = self.answer.status or 0
        if status in _OF_AN_IMPORT:
            if importing:
                return errors.CertificateRejected(answer=self.answer)
            return errors.TargetUnavailable(_NO_QUESTION, answer=self.answer)
        kind = _TABLE.get((status, self.code)) if self.answer.inner_code else None
        kind = kind or next(
            (kind for at, part, kind in _TEXTS if at == status and part in self.text.lower()), None
        )
        kind = kind or _TABLE.get((status, self.code)) or _BY_STATUS.get(status)
        return (kind or errors.TargetUnavailable)(answer=self.answer)


def refusal(status: int, body: bytes, request_id: str | None) -> Refusal:
    """What an unsuccessful answer says; a body that is not Key Vault's gives the status alone."""
    error = mapping(parsed(body).get("error"))
    inner = mapping(error.get("innererror"))
    answer = TargetAnswer(
        status=status,
        code=plain(error.get("code")),
        inner_code=plain(inner.get("code")),
        request_id=plain(request_id),
    )
    return Refusal(answer=answer, text=str(error.get("message") or ""))


def plain(value: object) -> str | None:
    """*value*, if it is a code as Azure writes them; anything longer or stranger is not shown."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else None
