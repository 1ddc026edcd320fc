"""Bodies, read by hand: after access was checked, straight from bytes into the typed model.

FastAPI would read a body before anything else, and keep its text for as long as the request
lives (two minutes, with `Prefer: wait=120`). Here it goes when the function that asked returns.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from app.api import faults
from app.errors import Fault, InvalidRequest, MalformedRequest

_ARRIVES_S: Final = 30
_MOST_MEMBERS: Final = 1000  # of all objects of a request; none has a use for a tenth of them
_KEYS: Final = ("cert_pem", "chain_pem", "key_pem", "previous_key_pem")  # examined by pki
Model = TypeVar("Model", bound=BaseModel)


async def read(request: Request) -> bytes:
    """The body.

    Raises:
        MalformedRequest: it is not said to be JSON.
        RequestTooLarge: from the limit on what is received.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise MalformedRequest("Send JSON in UTF-8, with Content-Type: application/json.")
    try:
        async with asyncio.timeout(_ARRIVES_S):
            return b"".join([chunk async for chunk in request.stream()])
    except TimeoutError as slow:
        raise MalformedRequest(f"The body did not arrive within {_ARRIVES_S} s.") from slow


def parse(body: bytes, model: type[Model]) -> Model | tuple[Fault, ...]:
    """The request in *body*, or every fault of its schema.

    Raises:
        MalformedRequest: it is no JSON.
        InvalidRequest: it has too many members to look at each.
    """
    document = _document(body)
    beyond = _too_many(document)
    if beyond is not None:
        raise InvalidRequest((beyond,))
    try:
        valid = model.model_validate_json(body)
    except ValidationError as invalid:
        found = invalid.errors(include_url=False, include_input=False)
    else:
        return tuple(_misplaced(document)) or valid
    return faults.named([dict(one) for one in found])


def _document(body: bytes) -> object:
    with contextlib.suppress(ValueError):
        return from_json(body)
    raise MalformedRequest


def _too_many(document: object) -> Fault | None:
    """Members of which each would be a fault, and hold everybody up while they are told."""
    left: list[tuple[tuple[str, ...], object]] = [((), document)]
    members = 0
    while left:
        steps, value = left.pop()
        if isinstance(value, dict):
            members += len(value)
            if members > _MOST_MEMBERS:
                text = f"Send {_MOST_MEMBERS} entries at the most, in the whole request."
                return Fault(field=faults.path(steps), code="too-many", message=text)
            left += [((*steps, name), one) for name, one in value.items()]
    return None


def _misplaced(value: object, field: str = "") -> Iterator[Fault]:
    """A private key wherever none belongs: there it would be stored, or sent on as a tag."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _misplaced(name, field)
            if field or name not in _KEYS:
                yield from _misplaced(one, f"{field}.{name}" if field else name)
    elif isinstance(value, str) and "PRIVATE KEY" in value:
        yield Fault(
            field=field.partition(".")[0] or "*",
            code="private-key-misplaced",
            message="A private key is in this field; it goes into key_pem.",
        )


def strictly(parsed: Model | tuple[Fault, ...]) -> Model:
    """The request, where it has no fault.

    Raises:
        InvalidRequest: it has.
    """
    if isinstance(parsed, tuple):
        raise InvalidRequest(parsed)
    return parsed
