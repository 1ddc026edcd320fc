"""One authorised request to a vault, and what its path and body mean.

Every operation of the data plane takes an Order and returns the reply or raises Refusal.
"""

import re
from dataclasses import dataclass
from typing import Any

import orjson

from app.emulator import api_versions
from app.emulator.effects import Effects, StaleRead
from app.emulator.kinds import ATTRIBUTES, fits
from app.emulator.refusals import Reason, refusal
from app.emulator.stored import Entry, StoredVersion
from app.emulator.vaults import Vault
from app.emulator.wire import Request

_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")
_MAX_TAGS = 15
_MAX_TAG = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """One authorised request to a vault."""

    vault: Vault
    request: Request
    base: str
    name: str
    version: str
    effects: Effects
    now: float
    api_version: str

    def found(self) -> Entry | None:
        """What is stored under the name, or what a stale read shows."""
        entry = self.vault.entries.get(self.name)
        if entry is not None and self.effects.has(StaleRead):
            return entry.before
        return entry

    def entry(self) -> Entry:
        """What is stored under the name. Raises Refusal (404)."""
        entry = self.found()
        if entry is None:
            raise refusal(Reason.NOT_FOUND, name=self.name)
        return entry

    def stored(self) -> StoredVersion:
        """The version of the path, or the latest. Raises Refusal (404)."""
        entry = self.entry()
        stored = entry.find(self.version) if self.version else entry.latest
        if stored is None:
            raise refusal(Reason.NOT_FOUND, name=f"{self.name}/{self.version}")
        return stored

    @property
    def pending(self) -> bool:
        """Whether a creation object exists under the name."""
        return self.name in self.vault.pending

    def document(self) -> dict[str, Any]:
        """The body, a JSON object. Raises Refusal (400)."""
        try:
            document = self.request.json()
        except orjson.JSONDecodeError as error:
            raise refusal(Reason.INVALID_BODY, name="body") from error
        if not isinstance(document, dict):
            raise refusal(Reason.INVALID_BODY, name="body")
        known: dict[str, Any] = api_versions.as_of(self.api_version, document)
        return known


def check_name(name: str) -> None:
    """Raise Refusal (400) for a name Key Vault does not allow."""
    if not _NAME.fullmatch(name):
        raise refusal(Reason.INVALID_NAME, name=name)


def enabled_of(document: dict[str, Any]) -> bool | None:
    """Whether a body enables a version, None if it does not say. Raises Refusal (400)."""
    attributes = document.get("attributes") or {}
    if not fits(attributes, ATTRIBUTES):
        raise refusal(Reason.INVALID_BODY, name="attributes")
    enabled: bool | None = attributes.get("enabled")
    return enabled


def tags_of(document: dict[str, Any]) -> dict[str, str] | None:
    """The tags of a body, None if there are none. Raises Refusal (400)."""
    tags = document.get("tags")
    if tags is None:
        return None
    if not isinstance(tags, dict) or len(tags) > _MAX_TAGS:
        raise refusal(Reason.TAGS)
    if any(not isinstance(text, str) or len(text) > _MAX_TAG for text in (*tags, *tags.values())):
        raise refusal(Reason.TAGS)
    return tags
