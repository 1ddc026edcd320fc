"""The fault programme: what goes wrong, at which call, how often.

A fault names an operation (optionally a vault and a certificate), the call at which it starts
and for how many calls it lasts; its effect says what happens then. Several may meet in one call.
"""

import re
import threading
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from pydantic import Field

from app.emulator.told import Told
from app.emulator.wire import BODILESS

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


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FRAMING = frozenset({"connection", "content-length", "transfer-encoding"})


@dataclass(frozen=True, kw_only=True)
class Answer(Told):
    """Answer so instead of doing the work, or (`applied`) after it was done.

    The body is Key Vault's error document with `code`, `message` and `inner`, unless `body` is
    given: any text, sent as it is, such as an HTML page or nothing. `headers` are pairs of name
    and value, and replace the usual ones.
    """

    kind: Literal["answer"] = "answer"
    status: int
    code: str = "InternalServerError"
    message: str = "The emulator was told to answer so."
    inner: str | None = None
    body: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    applied: bool = False

    def __post_init__(self) -> None:
        if not 200 <= self.status <= 599:  # noqa: PLR2004 - the statuses that end a request
            raise ValueError("status must be 200 to 599")
        if self.status in BODILESS and self.body != "":
            raise ValueError(f"body must be empty for status {self.status}")
        for name, text in self.headers:
            _check_header(name, text)


def _check_header(name: str, text: str) -> None:
    if not _HEADER_NAME.fullmatch(name) or name.lower() in _FRAMING:
        raise ValueError(f"headers cannot have the name {name!r}")
    if not text.isascii() or not text.isprintable():
        raise ValueError(f"headers: the value of {name} must be printable ASCII")


@dataclass(frozen=True, kw_only=True)
class Drop(Told):
    """Cut the connection without an answer: before the work, or (`applied`) after it."""

    kind: Literal["drop"] = "drop"
    applied: bool = False


@dataclass(frozen=True, kw_only=True)
class Delay(Told):
    """Wait this many real `seconds` before anything else."""

    kind: Literal["delay"] = "delay"
    seconds: float

    def __post_init__(self) -> None:
        if self.seconds < 0:
            raise ValueError("seconds must be 0 or more")


@dataclass(frozen=True, kw_only=True)
class StaleRead(Told):
    """Read the certificate as it was before the last write to it."""

    kind: Literal["stale_read"] = "stale_read"


@dataclass(frozen=True, kw_only=True)
class AnotherWriter(Told):
    """Right after this import, somebody else imports another certificate under the name."""

    kind: Literal["another_writer"] = "another_writer"


@dataclass(frozen=True, kw_only=True)
class StoreAnother(Told):
    """Store a self-made certificate under the new version instead of the one sent."""

    kind: Literal["store_another"] = "store_another"


@dataclass(frozen=True, kw_only=True)
class ForgetTags(Told):
    """Store the new version without the tags sent."""

    kind: Literal["forget_tags"] = "forget_tags"


Effect = Answer | Drop | Delay | StaleRead | AnotherWriter | StoreAnother | ForgetTags
EFFECTS: tuple[type[Effect], ...] = get_args(Effect)


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
        if self.nth < 1 or (self.count is not None and self.count < 1):
            raise ValueError("nth and count must be 1 or more")

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
