"""Who calls: bearer tokens, of which the access file holds SHA-256 hashes only.

The file is read again when it changes. A new file that cannot be read is reported and not used:
the callers known so far stay, so that a slip of the pen locks nobody out.
"""

import hashlib
import hmac
import os
import re
import secrets
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import structlog

from app.audit import ANONYMOUS, Actor
from app.errors import Unauthenticated

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@:/-]{0,127}")
_HASH: Final = re.compile(r"[0-9a-fA-F]{64}")
_log = structlog.get_logger()


class Access(Protocol):
    """Tells callers apart."""

    def caller(self, authorization: str | None) -> Actor:
        """The caller whose `Authorization` header this is.

        Raises:
            Unauthenticated: nobody we know.
        """


class Open:
    """Access control is off: everybody is anonymous. Only fit for a loopback address."""

    def caller(self, authorization: str | None) -> Actor:  # noqa: ARG002 - the port's argument
        """Anonymous, always."""
        return ANONYMOUS


@dataclass(frozen=True, kw_only=True)
class _Entry:
    actor: Actor
    token_sha256: str


class AccessFile:
    """The callers of a TOML file of `[[callers]]`, each a `name` and a `token_sha256`.

    A name may stand there several times, so that a token can be changed without a gap.

    Raises:
        ValueError: the file is missing, unreadable, or names nobody; with a sentence.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._entries = _read(path)

    def caller(self, authorization: str | None) -> Actor:
        """The caller whose token this is. Every entry is compared, so time tells nothing."""
        self._refresh()
        scheme, _, token = (authorization or "").partition(" ")
        digest = hash_token(token.strip())
        found = None
        for entry in self._entries:
            if hmac.compare_digest(entry.token_sha256, digest):
                found = entry.actor
        if found is None or scheme.lower() != "bearer":
            raise Unauthenticated
        return found

    def _refresh(self) -> None:
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp  # before reading: a broken file is reported once
        try:
            self._entries = _read(self._path)
        except ValueError as broken:
            _log.error("access.file_broken", reason=str(broken))
        else:
            _log.info("access.file_read", callers=len(self._entries))


def new_token() -> str:
    """A token to hand to a caller: `cc_` and 256 random bits."""
    return f"cc_{secrets.token_urlsafe(32)}"


def hash_token(token: str) -> str:
    """What the access file holds of a token. 256 random bits need no salt and no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        seen = os.stat(path)  # noqa: PTH116 - follows the links of a mounted secret
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_ino, seen.st_size


def _read(path: Path) -> tuple[_Entry, ...]:
    try:
        callers = tomllib.loads(path.read_text("utf-8")).get("callers")
    except OSError as missing:
        raise ValueError(f"the access file {path} cannot be read: {missing.strerror}") from missing
    except ValueError as broken:  # neither TOML nor UTF-8
        raise ValueError(f"the access file {path} is not TOML") from broken
    if not isinstance(callers, list) or not callers:
        raise ValueError(f"the access file {path} names no caller: add a [[callers]] entry")
    return tuple(_entry(path, number, caller) for number, caller in enumerate(callers, 1))


def _entry(path: Path, number: int, caller: object) -> _Entry:
    match caller:
        case {"name": str(name), "token_sha256": str(token), **rest} if not rest:
            if NAME.fullmatch(name) and _HASH.fullmatch(token):
                return _Entry(actor=Actor(name=name, kind="token"), token_sha256=token.lower())
    raise ValueError(
        f"caller {number} of the access file {path} needs exactly a name (letters, digits, spaces "
        "and ._@:/- ) and a token_sha256 of 64 hex digits"
    )
