"""A request as the emulator sees it and the reply it gives: HTTP without a framework.

Own small types keep the path of a request short; the emulator also runs under benchmarks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.types import Receive, Scope

BODILESS = frozenset({204, 304})
"""The statuses that have no body and no length of one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request, read completely. Header names are lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    client: str
    secure: bool

    @property
    def host(self) -> str:
        """The Host header in lower case, with the port if the client named one."""
        return self.headers.get("host", "").lower()

    def json(self) -> Any:  # noqa: ANN401 - it is what the client sent
        """The body as JSON. Raises orjson.JSONDecodeError."""
        return orjson.loads(self.body)

    def form(self) -> dict[str, str]:
        """The body as an HTML form."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace")))


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """Status, JSON document (None: no body) and headers besides the common ones.

    `text` is sent as it is, instead of a document.
    """

    status: int = 200
    document: Any = None
    text: str | None = None
    headers: tuple[tuple[str, str], ...] = field(default=())

    def body(self) -> bytes:
        """The text or the document as bytes."""
        if self.text is not None:
            return self.text.encode()
        return b"" if self.document is None else orjson.dumps(self.document)


async def read(scope: Scope, receive: Receive) -> Request:
    """The whole request out of an ASGI scope."""
    client = scope.get("client") or ("127.0.0.1", 0)
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=dict(parse_qsl(scope["query_string"].decode("ascii", "replace"), True)),  # noqa: FBT003 - keep_blank_values
        headers={name.decode("latin-1"): text.decode("latin-1") for name, text in scope["headers"]},
        body=await _body(receive),
        client=client[0],
        secure=scope["scheme"] == "https",
    )


async def _body(receive: Receive) -> bytes:
    chunks = []
    more = True
    while more:
        message = await receive()
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(chunks)
