"""No token: why the login service gave none, as far as that may be shown.

Entra's texts hold ids and times, so only the number of its refusal is taken from them; what the
numbers mean is said in our words.
"""

import re
from typing import Final

from app import errors
from app.connectors.azure_key_vault import refusals
from app.errors import TargetAnswer, TargetError

_THROTTLED: Final = 429
_SERVER_ERROR: Final = 500
_NUMBER: Final = re.compile(r"\bAADSTS([0-9]{4,8})\b")
_NO_FEDERATED: Final = "no federated credential of the application has the token's"
# https://learn.microsoft.com/entra/identity-platform/reference-error-codes
_MEANS: Final = {
    "53003": "a Conditional Access policy blocks it",
    "70021": "no federated credential of the application fits the token",
    "90002": "there is no tenant AZURE_TENANT_ID",
    "700016": "that tenant has no application AZURE_CLIENT_ID",
    "700024": "the federated token is not valid now; check the clocks",
    "700211": f"{_NO_FEDERATED} issuer",
    "700212": f"{_NO_FEDERATED} audience",
    "700213": f"{_NO_FEDERATED} subject",
    "7000112": "the application is disabled",
    "7000215": "AZURE_CLIENT_SECRET is wrong",
    "7000222": "AZURE_CLIENT_SECRET has expired",
}
# a part of the SDK's own text, where it asked nobody: what it means
_UNASKED: Final = {
    "not configured to acquire tokens for tenant": (
        "The vault belongs to another tenant than AZURE_TENANT_ID says. Set that of the vault."
    ),
}


def trouble(error: Exception) -> TargetError:
    """What it means that there is no token; a login service that fails may work later."""
    status = getattr(error, "status_code", None) or 0
    if status == _THROTTLED or status >= _SERVER_ERROR:
        return errors.TargetUnavailable("The login service is failing. Send again later.")
    said = str(getattr(error, "message", ""))
    number = _NUMBER.search(said)
    if number is None:
        text = next((text for part, text in _UNASKED.items() if part in said), None)
        return errors.TargetUnauthenticated(text)
    return _refused(number[1], error)


def _refused(number: str, error: Exception) -> TargetError:
    """Entra's refusal of this *number*."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    answer = TargetAnswer(
        status=getattr(error, "status_code", None),
        code=f"AADSTS{number}",
        request_id=refusals.plain(headers.get("x-ms-request-id")),
    )
    means = f": {_MEANS[number]}" if number in _MEANS else ""
    text = f"Entra refused our identity (AADSTS{number}){means}. Check `credential_mode`, the "
    text += "identity of this service and its tenant."
    return errors.TargetUnauthenticated(text, answer=answer)
