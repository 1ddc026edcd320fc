"""The control API under /_control/: what the Python API does, for tests in other languages.

Only there when asked for; it needs no token, so the emulator must then be reachable by its
tester alone. GET /_control/ lists every control, out of the same table that serves it.
"""

from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from app.emulator import controls, preparing
from app.emulator.controls import Control
from app.emulator.federation import Federation
from app.emulator.state import State
from app.emulator.told import Absent
from app.emulator.wire import Reply, Request

PREFIX = "/_control/"
_ANY = ("{vault}", "{name}")


class ControlApi:
    """Serves the control API."""

    def __init__(self, state: State, federation: Federation) -> None:
        self._controls = table(state, federation)

    def __call__(self, request: Request) -> Reply | None:
        """The reply, or None if the request is not for the control API."""
        if not request.path.startswith(PREFIX):
            return None
        asked = f"{request.method} {request.path.removeprefix(PREFIX)}"
        if asked == "GET ":
            return Reply(
                document=[_shown(name, control) for name, control in self._controls.items()]
            )
        for name, control in self._controls.items():
            found = _matched(name, asked)
            if found is not None:
                return _done(control, request.body, found)
        return _error(404, f"There is no control {asked}; GET {PREFIX} lists them all.")


def table(state: State, federation: Federation) -> dict[str, Control]:
    """Every control by method and path."""
    return {**controls.table(state, federation), **preparing.table(state)}


def fields_of(told: Any) -> tuple[list[str], list[str]]:  # noqa: ANN401 - a dataclass, or None
    """The names of the fields it must have, and of those it may have."""
    every = fields(told) if told is not None else ()
    needed = [f.name for f in every if f.default is MISSING and f.default_factory is MISSING]
    return needed, [f.name for f in every if f.name not in needed]


def _shown(name: str, control: Control) -> dict[str, object]:
    required, optional = fields_of(control.body)
    return {"control": name, "does": control.does, "required": required, "optional": optional}


def _matched(pattern: str, asked: str) -> dict[str, str] | None:
    """The words of a path that stand for themselves, or None if it is another path."""
    wanted, parts = pattern.split("/"), asked.split("/")
    pairs = list(zip(wanted, parts, strict=False))
    if len(wanted) != len(parts) or any(w not in (p, *_ANY) for w, p in pairs):
        return None
    return {word.strip("{}"): part for word, part in pairs if word in _ANY}


def _done(control: Control, body: bytes, words: dict[str, str]) -> Reply:
    try:
        told = _read(control, body)
        result = control.run(*told, **words)
    except ValidationError as error:
        return _error(400, "; ".join(_sentences(error)))
    except ValueError as error:
        return _error(400, str(error))
    except Absent as error:
        return _error(404, str(error))
    return Reply(status=204) if result is None else Reply(document=result)


def _read(control: Control, body: bytes) -> tuple[object, ...]:
    """What the body says, as the one argument the control takes, if it takes any."""
    if control.body is None:
        if body.strip() not in (b"", b"{}"):
            raise ValueError("this control takes no body")
        return ()
    return (TypeAdapter(control.body).validate_json(body or b"{}"),)


def _sentences(error: ValidationError) -> Iterator[str]:
    """What is wrong, each with the field; never what was sent, which may hold a key."""
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        field = ".".join(str(part) for part in one["loc"]) or "body"
        yield f"{field}: {_PLAIN.get(one['type'], one['msg'].removeprefix('Value error, '))}"


_PLAIN = {
    "unexpected_keyword_argument": "there is no such field",
    "missing": "is missing",
    "missing_keyword_only_argument": "is missing",
}


def _error(status: int, text: str) -> Reply:
    return Reply(status=status, document={"error": text})
