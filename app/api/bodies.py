"""Bodies, read by hand: after access was checked, straight from bytes into the typed model.

FastAPI would read a body before anything else, and keep its text for as long as the request
lives (two minutes, with `Prefer: wait=120`). Here it goes when the function that asked returns.
"""

from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from app.api import faults
from app.errors import Fault, InvalidRequest, MalformedRequest

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
    return b"".join([chunk async for chunk in request.stream()])


def parse(body: bytes, model: type[Model]) -> Model | tuple[Fault, ...]:
    """The request in *body*, or every fault of its schema.

    Raises:
        MalformedRequest: it is no JSON.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as invalid:
        found = invalid.errors(include_url=False, include_input=False)
    if found[0]["type"] == "json_invalid":
        raise MalformedRequest  # outside `except`: pydantic's error holds what was sent
    return faults.named([dict(one) for one in found])


def strictly(parsed: Model | tuple[Fault, ...]) -> Model:
    """The request, where it has no fault.

    Raises:
        InvalidRequest: it has.
    """
    if isinstance(parsed, tuple):
        raise InvalidRequest(parsed)
    return parsed
