"""Every refusal of the login service, in Entra's words: status, error, code, shortened text.

Rows marked "unknown" have no quoted answer of the live service for this very case: the code is
the likely one, so do not build logic on it.
"""

from enum import Enum
from typing import Any

from app.emulator.refusals import Refusal
from app.emulator.wire import Reply

_NO_MATCH = (
    "No matching federated identity record found for presented assertion {what} '{found}'. "
    "Check your federated identity credential Subject, Audience and Issuer against the presented "
    "assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
)


class Sts(Enum):
    """The table: (status, error, code, text)."""

    NO_TENANT = (400, "invalid_request", 90002, "Tenant '{tenant}' not found.")
    GRANT = (400, "unsupported_grant_type", 70003, "Unsupported grant type.")
    NO_APPLICATION = (
        400,
        "unauthorized_client",
        700016,
        "Application with identifier '{client_id}' was not found in the directory.",
    )
    WRONG_SECRET = (401, "invalid_client", 7000215, "Invalid client secret provided.")
    NO_PROOF = (
        401,
        "invalid_client",
        7000216,
        (
            "'client_assertion', 'client_secret' or 'request' is required for the "
            "'client_credentials' grant type."
        ),
    )
    MALFORMED = (400, "invalid_request", 50027, "JWT token is invalid or malformed.")
    ISSUER = (401, "invalid_client", 700211, _NO_MATCH)
    AUDIENCE = (401, "invalid_client", 700212, _NO_MATCH)
    SUBJECT = (401, "invalid_client", 700213, _NO_MATCH)
    # quoted for a key that the issuer does not publish; unknown for a signature that is just wrong
    SIGNATURE = (
        401,
        "invalid_client",
        7000272,
        (
            "The certificate used to sign the federated credential could not be found in the "
            "metadata of identity provider {issuer}."
        ),
    )
    TIME = (
        401,
        "invalid_client",
        700024,
        (
            "Client assertion is not within its valid time range. Current time: {now}, assertion "
            "valid from {begin}, expiry time of assertion {end}."
        ),
    )


def rejection(reason: Sts, **words: object) -> Refusal:
    """The refusal for a row of the table, its blanks filled with the words."""
    status, error, code, text = reason.value
    document: dict[str, Any] = {
        "error": error,
        "error_description": f"AADSTS{code}: {text.format(**words)}",
        "error_codes": [code],
    }
    return Refusal(Reply(status=status, document=document))
