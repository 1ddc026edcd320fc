"""The fault programme: what goes wrong, at which call, how often.

A fault names an operation (optionally a vault and a certificate), the call at which it starts
and for how many calls it lasts; its effect says what happens then. Several may meet in one call.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Literal, get_args

from pydantic import Field

from app.emulator.effects import (
    NOTHING,
    AnotherWriter,
    Effect,
    Effects,
    ForgetTags,
    StaleRead,
    StoreAnother,
)
from app.emulator.told import Told

Operation = Literal[
    "import",
    "get_certificate",
    "get_certificate_version",
    "list_versions",
    "list_certificates",
    "update_certificate",
    "get_policy",
    "update_policy",
    "delete_certificate",
    "get_deleted",
    "list_deleted",
    "recover",
    "purge",
    "get_pending",
    "update_pending",
    "delete_pending",
    "get_secret",
    "create_key",
    "get_key",
    "update_key",
    "wrap_key",
    "unwrap_key",
    "token",
    "identity_token",
    "any",
]
"""Operations by the emulator's names; "any" is every one of them."""

OPERATIONS: tuple[str, ...] = get_args(Operation)

_READS = ("get_certificate", "get_certificate_version", "list_versions", "get_policy", "get_secret")
_HAPPENS_TO: Mapping[type[Effect], tuple[str, ...]] = MappingProxyType(
    {
        StaleRead: (*_READS, "any"),
        **dict.fromkeys((AnotherWriter, StoreAnother, ForgetTags), ("import", "any")),
    }
)


@dataclass(frozen=True, kw_only=True)
class Fault(Told):
    """An effect and when it happens.

    nth is the first matching call it hits, counted from 1 since it was added; count is for how
    many matching calls it lasts (None: for ever). vault and name narrow it down.
    """

    operation: Operation
    effect: Annotated[Effect, Field(discriminator="kind")]
    vault: str | None = None
    name: str | None = None
    nth: int = 1
    count: int | None = 1

    def __post_init__(self) -> None:
        if self.operation not in OPERATIONS:
            raise ValueError(f"no such operation: {self.operation}")
        if self.operation not in _HAPPENS_TO.get(type(self.effect), OPERATIONS):
            raise ValueError(f"effect {self.effect.kind} never happens to {self.operation}")
        if self.nth < 1 or (self.count is not None and self.count < 1):
            raise ValueError("nth and count must be 1 or more")

    def matches(self, operation: str, vault: str | None, name: str | None) -> bool:
        """Whether a call is one this fault counts."""
        return (
            self.operation in (operation, "any")
            and _means(self.vault, vault)
            and _means(self.name, name)
        )


def _means(asked: str | None, found: str | None) -> bool:
    """Key Vault does not tell upper from lower case in names."""
    return asked is None or (found is not None and asked.lower() == found.lower())


@dataclass
class _Entry:
    fault: Fault
    seen: int = 0

    def hits(self) -> bool:
        self.seen += 1
        late = self.seen >= self.fault.nth
        return late and (self.fault.count is None or self.seen < self.fault.nth + self.fault.count)


@dataclass
class Programme:
    """The faults in force."""

    _entries: list[_Entry] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def add(self, fault: Fault) -> None:
        """Put a fault in force; its calls are counted from now on."""
        with self._changed:
            self._entries.append(_Entry(fault))

    def remove(self, fault: Fault) -> None:
        """Take one fault out of force; no matter if it is not."""
        with self._changed:
            self._entries[:] = [entry for entry in self._entries if entry.fault is not fault]

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        with self._changed:
            self._entries.clear()

    def active(self) -> list[Fault]:
        """The faults, in the order they were added, those already over included."""
        with self._changed:
            return [entry.fault for entry in self._entries]

    def wait_until_met(self, fault: Fault, *, within: float = 30.0) -> None:
        """Wait until a call met *fault*, even if it is held up by it. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._met(fault), within):
                raise TimeoutError(f"no call has met {fault} within {within} s")

    def take(self, operation: str, vault: str | None, name: str | None) -> Effects:
        """Count a call and say what meets it."""
        if not self._entries:
            return NOTHING
        with self._changed:
            matching = [e for e in self._entries if e.fault.matches(operation, vault, name)]
            met = Effects(tuple(entry.fault.effect for entry in matching if entry.hits()))
            self._changed.notify_all()
            return met

    def _met(self, fault: Fault) -> bool:
        return any(e.fault is fault and e.seen >= fault.nth for e in self._entries)
