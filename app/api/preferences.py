"""What a caller prefers: how long to wait (`Prefer: wait`), and in which format (`Accept`)."""

from typing import Annotated, Final
from urllib.request import parse_http_list

from fastapi import Header, Request

MOST_WAIT_S: Final = 120

# For the document: there may be several such headers, so `wait_s` reads them itself.
Prefer = Annotated[
    str | None,
    Header(
        description="`wait=N` (RFC 7240): answer when it has ended, or after N seconds, 120 at "
        "the most. Other preferences are ignored.",
        examples=["wait=30"],
    ),
]


def wait_s(request: Request) -> int | None:
    """The seconds of the first preferred `wait` (RFC 7240), 120 at the most.

    Other preferences, and a `wait` that is no number, are ignored, as the RFC asks.
    """
    for preference in parse_http_list(",".join(request.headers.getlist("prefer"))):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            digits = value.strip().strip('"')
            if not (digits.isascii() and digits.isdecimal()):
                return None
            return min(
                int(digits.lstrip("0")[:6] or 0), MOST_WAIT_S
            )  # a long number is a long wait
    return None


def accepts(request: Request, media_type: str) -> bool:
    """Whether the caller names this media type in `Accept`."""
    named = ",".join(request.headers.getlist("accept")).split(",")
    return media_type in {one.partition(";")[0].strip().lower() for one in named}
