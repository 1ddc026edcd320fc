"""The fault programme: what goes wrong, at which call, how often.

A fault names an operation (optionally a vault and a certificate), the call at which it starts
and for how many calls it lasts; its effect says what happens then. Several may meet in one call.
"""

import threading
from dataclasses import dataclass, field
from typing import Literal, get_args

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
    "token",
    "identity_token",
    "any",
]
"""Operations by the emulator's names; "any" is every one of them."""

OPERATIONS: tuple[str, ...] = get_args(Operation)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Answer with an error: instead of doing the work, or (applied) after it was done."""

    status: int
    code: str = "InternalServerError"
    message: str = "The emulator was told to answer so."
    inner: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    applied: bool = False


@dataclass(frozen=True, kw_only=True)
class Drop:
    """Cut the connection without an answer: before the work, or (applied) after it."""

    applied: bool = False


@dataclass(frozen=True, kw_only=True)
class Delay:
    """Wait this many real seconds before anything else."""

    seconds: float


@dataclass(frozen=True, kw_only=True)
class StaleRead:
    """Read the certificate as it was before the last write to it."""


@dataclass(frozen=True, kw_only=True)
class AnotherWriter:
    """Right after this import, somebody else imports another certificate under the name."""


@dataclass(frozen=True, kw_only=True)
class StoreAnother:
    """Store a self-made certificate under the new version instead of the one sent."""


@dataclass(frozen=True, kw_only=True)
class ForgetTags:
    """Store the new version without the tags sent."""


Effect = Answer | Drop | Delay | StaleRead | AnotherWriter | StoreAnother | ForgetTags


@dataclass(frozen=True, kw_only=True)
class Fault:
    """An effect and when it happens.

    nth is the first matching call it hits, counted from 1 since it was added; count is for how
    many matching calls it lasts (None: for ever). vault and name narrow it down.
    """

    operation: Operation
    effect: Effect
    vault: str | None = None
    name: str | None = None
    nth: int = 1
    count: int | None = 1

    def __post_init__(self) -> None:
        if self.operation not in OPERATIONS:
            raise ValueError(f"no such operation: {self.operation}")

    def matches(self, operation: str, vault: str | None, name: str | None) -> bool:
        """Whether a call is one this fault counts."""
        return (
            self.operation in (operation, "any")
            and self.vault in (None, vault)
            and self.name in (None, name)
        )


@dataclass(frozen=True, slots=True)
class Effects:
    """What meets one call."""

    effects: tuple[Effect, ...] = ()

    def has(self, kind: type[Effect]) -> bool:
        """Whether an effect of this kind is among them."""
        return any(isinstance(effect, kind) for effect in self.effects)

    def delay(self) -> float:
        """Seconds to wait, all delays added."""
        return sum(effect.seconds for effect in self.effects if isinstance(effect, Delay))

    def end(self, *, applied: bool) -> Answer | Drop | None:
        """How the call ends early (applied False), or is answered falsely (applied True)."""
        for effect in self.effects:
            if isinstance(effect, Answer | Drop) and effect.applied is applied:
                return effect
        return None


NOTHING = Effects()


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
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, fault: Fault) -> None:
        """Put a fault in force; its calls are counted from now on."""
        with self._lock:
            self._entries.append(_Entry(fault))

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        with self._lock:
            self._entries.clear()

    def active(self) -> list[Fault]:
        """The faults, in the order they were added, those already over included."""
        with self._lock:
            return [entry.fault for entry in self._entries]

    def seen(self, operation: Operation) -> int:
        """How many calls the faults of an operation have counted; a delayed one counts at once."""
        with self._lock:
            return sum(entry.seen for entry in self._entries if entry.fault.operation == operation)

    def take(self, operation: str, vault: str | None, name: str | None) -> Effects:
        """Count a call and say what meets it."""
        if not self._entries:
            return NOTHING
        with self._lock:
            matching = [e for e in self._entries if e.fault.matches(operation, vault, name)]
            return Effects(tuple(entry.fault.effect for entry in matching if entry.hits()))
