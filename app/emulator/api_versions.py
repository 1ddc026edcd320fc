"""The versions of the REST API: which are known, and what an older one does not know yet.

A property of a later version is neither shown to a caller of an older one nor taken from it.
Unknown: whether Azure ignores such a property in a request, as here, or refuses it.
"""

from typing import Any

from app.emulator.refusals import Reason, refusal

KNOWN = (
    "2016-10-01",
    "7.0",
    "7.1",
    "7.2",
    "7.3",
    "7.4",
    "7.5",
    "7.6",
    "2025-07-01",
    "2026-04-01",
)
"""From the oldest to the newest. Previews are left out on purpose: they come and go."""

_SINCE = {
    "preserveCertOrder": "7.6",
    "uris": "2025-07-01",
    "ipAddresses": "2025-07-01",
}


def known(asked: str) -> str:
    """The version asked for. Raises Refusal (400)."""
    if not asked:
        raise refusal(Reason.API_VERSION)
    if asked not in KNOWN:
        raise refusal(Reason.UNKNOWN_API_VERSION, asked=asked, newest=KNOWN[-1])
    return asked


def as_of(version: str, document: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out
    """A bundle, policy or body without what a version does not know; others as they are."""
    if not isinstance(document, dict):
        return document
    unknown = {name for name, since in _SINCE.items() if KNOWN.index(version) < KNOWN.index(since)}
    return _without(document, unknown) if unknown else document


def _without(document: dict[str, Any], unknown: set[str]) -> dict[str, Any]:
    """The properties themselves stand in these objects only, so tags keep any name."""
    kept = {name: part for name, part in document.items() if name not in unknown}
    for inner in ("policy", "x509_props", "sans"):
        if isinstance(kept.get(inner), dict):
            kept[inner] = _without(kept[inner], unknown)
    return kept
