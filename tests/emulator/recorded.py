"""What Key Vault was seen to answer (`samples/`), and how an answer is compared with it.

A sample is compared whole: status, every header, every property of the body by name, kind and
value. Left open are only the values below, which belong to the vault and the moment.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

SAMPLES = Path(__file__).parent / "samples"

# values of a certificate, a moment or a request
_FREE = {
    *("cer", "csr", "value", "x5t"),
    *("nbf", "exp", "created", "updated", "deletedDate", "scheduledPurgeDate"),
    *("request_id", "x-ms-request-id", "x-ms-client-request-id", "content-length", "date"),
    # settings of a vault, made once
    *("recoveryLevel", "recoverableDays"),
    *("x-ms-keyvault-region", "x-ms-keyvault-service-version"),
}
# parts of a text: ids, callers, addresses, the vault's own name
_BLANKS = [
    (re.compile(pattern), blank)
    for pattern, blank in (
        (r"\b[0-9a-f]{32}\b", "<version>"),
        (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\*\*\*", "<id>"),
        (r"\b\d+\.\d+\.\d+\.\d+\b", "<address>"),
        (r"(?<=skiptoken=)[^&]+", "<token>"),
        (r"(?<=/subscriptions/)[^/]+(?=/resourcegroups/)", "<subscription>"),
        (r"(?<=/resourcegroups/)[^/]+(?=/providers/)", "<group>"),
        (r"(?<=microsoft.keyvault/vaults/)[^/]+(?=/)", "<vault>"),
        (r"(?<=Vault: )[^;]+;location=\w+|(?<=key vault ')[^;]+;location=\w+", "<vault>"),
    )
]
# a sanitizer takes these out of some recordings, and the samples leave out the date
_MAY_BE_MISSING = {"date", "content-length", "x-ms-request-id"}
_REDACTED = {"REDACTED", "Sanitized"}


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A request, as far as it is known, and what Key Vault answered."""

    method: str | None
    uri: str
    sent: Any
    with_token: bool
    status: int
    headers: dict[str, str] | None
    body: Any


def exchanges(sample: Path) -> list[Exchange]:
    """The exchanges of a sample, in order."""
    found = json.loads(sample.read_text())
    return [_exchange(one) for one in (found if isinstance(found, list) else [found])]


def _exchange(found: dict[str, Any]) -> Exchange:
    if "responses" in found:
        return _of_the_specification(found)
    request, response = found.get("request", {}), found["response"]
    return Exchange(
        method=request.get("method"),
        uri=request.get("uri", ""),
        sent=request.get("body"),
        with_token="Authorization" in request.get("headers", ["Authorization"]),
        status=response["status"],
        headers=response.get("headers"),
        body=response["body"],
    )


def _of_the_specification(found: dict[str, Any]) -> Exchange:
    [(status, response)] = found["responses"].items()
    asked = found["parameters"]
    path = f"certificates/{asked['certificate-name']}/import?api-version={asked['api-version']}"
    return Exchange(
        method="POST",
        uri=asked["vaultBaseUrl"] + path,
        sent=asked["parameters"],
        with_token=True,
        status=int(status),
        headers=None,
        body=response["body"],
    )


def differences(exchange: Exchange, answer: httpx.Response) -> dict[str, tuple[Any, Any]]:
    """Where an answer is not as recorded: the place, what was recorded, what came."""
    body = answer.json() if answer.content else None
    recorded = dict(_facts("body", exchange.body)) | {"status": exchange.status}
    answered = dict(_facts("body", body)) | {"status": answer.status_code}
    if exchange.headers is not None:
        names = {name.lower(): text for name, text in exchange.headers.items()}
        came = {
            name: text
            for name, text in answer.headers.items()
            if name in names or name not in _MAY_BE_MISSING
        }
        recorded |= dict(_facts("headers", names))
        answered |= dict(_facts("headers", came))
    return {
        place: (recorded.get(place), answered.get(place))
        for place in recorded.keys() | answered.keys()
        if not _same(recorded.get(place), answered.get(place))
    }


def _same(recorded: object, answered: object) -> bool:
    if isinstance(recorded, str) and recorded in _REDACTED:
        return answered is not None
    return type(recorded) is type(answered) and recorded == answered


def _facts(place: str, value: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - any JSON
    """Every leaf of a document with its place, its open values blanked."""
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from _facts(f"{place}.{name}", part)
    elif isinstance(value, list) and value:
        for index, part in enumerate(value):
            yield from _facts(f"{place}.{index}", part)
    else:
        yield place, "null" if value is None else _blanked(place.rpartition(".")[2], value)


def _blanked(name: str, value: Any) -> Any:  # noqa: ANN401 - any leaf
    if not isinstance(value, str | int) or value in _REDACTED:
        return value
    if name in _FREE:
        return f"<{type(value).__name__}>"
    if isinstance(value, str):
        for pattern, blank in _BLANKS:
            value = pattern.sub(blank, value)
    return value
