"""What can go wrong with one call, each effect with what it needs to know.

The docstrings are what the README says of them.
"""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from app.emulator.told import Told
from app.emulator.wire import BODILESS

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
