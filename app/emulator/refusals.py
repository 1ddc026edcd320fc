"""Every refusal the emulator knows, in Azure's words: status, code, inner code, message.

Rows marked "unknown" have no recorded answer of the live service: status and code are the
likely ones, the text is ours or by analogy, so do not build logic on it.
"""

from enum import Enum
from typing import Any

from app.emulator.wire import Reply

_RECOVER = (
    "If you recently deleted this {kind} you may be able to recover it using the correct "
    "recovery command. For help resolving this issue, please see "
    "https://go.microsoft.com/fwlink/?linkid=2125182"
)


class Reason(Enum):
    """The table: (status, code, inner code, message)."""

    MISSING_TOKEN = (
        401,
        "Unauthorized",
        None,
        "AKV10000: Request is missing a Bearer, PoP, or MTLS_POP token.",
    )
    WRONG_ISSUER = (
        401,
        "Unauthorized",
        None,
        "AKV10032: Invalid issuer. Expected one of {expected}, found {found}.",
    )
    WRONG_AUDIENCE = (
        401,
        "Unauthorized",
        None,
        "AKV10022: Invalid audience. Expected {expected}, found: {found}.",
    )
    # unknown: the texts for a bad signature and for an expired token
    INVALID_TOKEN = (401, "Unauthorized", None, "Error validating token: {why}.")

    UNREADABLE_PFX = (
        400,
        "BadParameter",
        None,
        (
            "The specified PKCS#12 X.509 certificate content can not be read. "
            "Please check if certificate is in valid PKCS#12 format."
        ),
    )
    NO_PRIVATE_KEY = (
        400,
        "BadParameter",
        None,
        (
            "No certificate with private key found in the specified X.509 certificate content. "
            "Please specify X.509 certificate content with only one certificate containing "
            "private key."
        ),
    )
    NO_PRIVATE_KEY_IN_PEM = (
        400,
        "BadParameter",
        None,
        (
            "Private key is not specified in the specified X.509 PEM certificate content. "
            "Please specify private key in the X.509 PEM certificate content."
        ),
    )
    UNREADABLE_PEM = (
        400,
        "BadParameter",
        None,
        (
            "The specified PEM X.509 certificate content is in an unexpected format. "
            "Please check if certificate is in valid PEM format."
        ),
    )
    # documented for merge; for import it is probable
    KEY_MISMATCH = (
        400,
        "BadParameter",
        None,
        (
            "The public key of the end-entity certificate in the specified X.509 certificate "
            "content does not match the public part of the specified private key. "
            "Please check if certificate is valid."
        ),
    )
    # unknown for Ed25519 and other kinds of key; the text is the one for odd certificates
    UNSUPPORTED_CERTIFICATE = (
        400,
        "BadParameter",
        None,
        (
            "The specified X.509 certificate content is invalid. "
            "Error: One or more X.509 properties are invalid."
        ),
    )
    EXPIRED = (400, "BadParameter", None, "X509 Certificate is already expired")
    KEY_SIZE = (
        400,
        "BadParameter",
        "KeySizeNotSupported",
        "Unsupported key size ({size}). Supported sizes are [{supported}]",
    )
    EC_KEY_OPERATIONS = (
        400,
        "BadParameter",
        None,
        (
            'Unsupported key operation(s): "wrapKey", "unwrapKey". '
            'Supported values are "sign", "verify".'
        ),
    )
    INVALID_POLICY = (400, "BadParameter", None, "Property policy has invalid value\r\n")
    # the text is documented, status and code are unknown
    TOO_LONG = (400, "BadParameter", None, "The size of the X.509 certificate is too long")
    PASSWORD_TOO_LONG = (400, "BadParameter", None, "char length is too long")
    INVALID_NAME = (400, "BadParameter", None, "The request URI contains an invalid name: {name}")
    # quoted from an Azure Stack Hub (azure-sdk-for-python issue 28595); unknown for Azure itself
    UNKNOWN_API_VERSION = (
        400,
        "BadParameter",
        None,
        (
            "The specified version ({asked}) is not recognized. "
            "Consider using the latest supported version ({newest})."
        ),
    )
    # documented: the status; unknown: code and text
    NOT_IN_PROGRESS = (
        400,
        "BadParameter",
        None,
        "The pending certificate's status is not inProgress: {name}",
    )
    # unknown: tags over the limit, a broken body, a missing api-version, a bad maxresults
    TAGS = (400, "BadParameter", None, "Property tags has invalid value\r\n")
    INVALID_BODY = (400, "BadParameter", None, "Property {name} has invalid value\r\n")
    API_VERSION = (400, "BadParameter", None, "api-version must be specified")
    INVALID_QUERY = (400, "BadParameter", None, "Query parameter {name} has invalid value")

    NOT_FOUND = (
        404,
        "CertificateNotFound",
        None,
        "A certificate with (name/id) {name} was not found in this key vault. "
        + _RECOVER.format(kind="certificate"),
    )
    SECRET_NOT_FOUND = (
        404,
        "SecretNotFound",
        None,
        "A secret with (name/id) {name} was not found in this key vault. "
        + _RECOVER.format(kind="secret"),
    )
    KEY_NOT_FOUND = (
        404,
        "KeyNotFound",
        None,
        "A key with (name/id) {name} was not found in this key vault. "
        + _RECOVER.format(kind="key"),
    )
    DELETED_NOT_FOUND = (
        404,
        "CertificateNotFound",
        None,
        "Deleted Certificate not found: {name}",
    )
    PENDING_NOT_FOUND = (
        404,
        "PendingCertificateNotFound",
        None,
        "Pending Certificate not found: {name}",
    )

    SOFT_DELETED = (
        409,
        "Conflict",
        "ObjectIsDeletedButRecoverable",
        (
            "Certificate {name} is currently in a deleted but recoverable state, and its name "
            "cannot be reused; in this state, the certificate can only be recovered or purged."
        ),
    )
    # recorded for a key; the certificate's wording is by analogy
    BEING_DELETED = (
        409,
        "Conflict",
        "ObjectIsBeingDeleted",
        "Certificate is currently being deleted.",
    )
    PENDING = (
        409,
        "Forbidden",
        None,
        (
            "A new key vault certificate can not be created or imported while a pending key vault "
            "certificate's status is inProgress."
        ),
    )

    SECRET_DISABLED = (
        403,
        "Forbidden",
        "SecretDisabled",
        "Operation get is not allowed on a disabled secret.",
    )
    # quoted (azure-sdk-for-python issue 45342) for decrypt, sign and unwrapKey; unknown for wrapKey
    KEY_DISABLED = (
        403,
        "Forbidden",
        "KeyDisabled",
        "Operation {operation} is not allowed on a disabled key.",
    )
    # quoted (azure-sdk-for-net issue 11518) for decrypt
    KEY_OPERATION = (
        403,
        "Forbidden",
        "KeyOperationForbidden",
        "Operation {operation} is not permitted on this key.",
    )
    # quoted from a real answer to an unwrapKey
    NO_BASE64URL = (
        400,
        "BadParameter",
        None,
        "Content of '{name}' is not base64url.\r\nProperty '{name}' is required.\r\n",
    )
    # unknown: what is said of a value that this key did not wrap
    UNWRAPPABLE = (400, "BadParameter", None, "The parameter is incorrect.\r\n")
    THROTTLED = (
        429,
        "Throttled",
        None,
        (
            "Request was not processed because too many requests were received. "
            "Reason: VaultRequestTypeLimitReached"
        ),
    )
    # ours: Azure has these operations, the emulator does not
    NOT_EMULATED = (501, "NotEmulated", None, "The emulator does not know {method} {path}.")


def error_document(code: str, message: str, inner: str | None = None) -> dict[str, Any]:
    """Key Vault's error envelope."""
    error: dict[str, Any] = {"code": code, "message": message}
    if inner is not None:
        error["innererror"] = {"code": inner}
    return {"error": error}


class Refusal(Exception):
    """A request Key Vault answers with an error."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def refusal(
    reason: Reason, *, headers: tuple[tuple[str, str], ...] = (), **words: object
) -> Refusal:
    """The refusal for a row of the table, its blanks filled with the words."""
    status, code, inner, message = reason.value
    document = error_document(code, message.format(**words), inner)
    return Refusal(Reply(status=status, document=document, headers=headers))
