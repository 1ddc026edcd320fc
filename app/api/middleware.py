"""The envelope of every request: its ids, the limit of its body, one line in the log, one way out.

Pure ASGI. It is the outermost of ours and the HTTP edge: what nothing else handled ends here.
"""

import re
from time import perf_counter
from typing import Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import errors
from app.api import problems
from app.api.rooms import Rooms

MOST_BODY_BYTES: Final = 256 * 1024
_METHODS: Final = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
# https://www.w3.org/TR/trace-context/#traceparent-header; a later version may say more
_TRACEPARENT: Final = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace_id>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}"
    r"-[0-9a-f]{2}(?P<rest>-.*)?"
)
_log = structlog.get_logger()


def trace_id(traceparent: str | None) -> str | None:
    """The trace id of a W3C `traceparent`, if it is one."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    if match is None or (match["version"] == "00" and match["rest"]):
        return None
    return match["trace_id"]


class Envelope:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, *, rooms: Rooms) -> None:
        self._app = app
        self._rooms = rooms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; anything but HTTP passes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        asked = headers.get("x-request-id", "")
        state = scope.setdefault("state", {})
        state["request_id"] = asked if _REQUEST_ID.fullmatch(asked) else self._rooms.new_id("req")
        state["trace_id"] = trace_id(headers.get("traceparent"))
        with structlog.contextvars.bound_contextvars(
            request_id=state["request_id"], trace_id=state["trace_id"]
        ):
            await _Exchange(self._app, scope, receive, send).serve(headers)


class _Exchange:
    """One request and its answer."""

    def __init__(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        self._app = app
        self._scope = scope
        self._receive = receive
        self._send = send
        self._read = 0
        self._status: int | None = None

    async def serve(self, headers: Headers) -> None:
        began = perf_counter()
        try:
            refusal = _refusal(self._scope["method"], headers.get("content-length", "0"))
            if refusal is None:
                await self._app(self._scope, self.receive, self.send)
            else:
                await self._answer(refusal)
        except Exception as bug:  # the edge of a request
            _log.exception("http.failed")
            if self._status is not None:
                raise  # the answer is under way: only a broken connection tells the caller
            await self._answer(errors.InternalError())
            bug.__traceback__ = None  # its frames may hold what the caller sent
        finally:
            _log.info(
                "http.request",
                method=self._scope["method"],
                path=_path(self._scope),
                status=self._status,
                duration_ms=round((perf_counter() - began) * 1000, 2),
            )

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._read += len(message.get("body", b""))
            if self._read > MOST_BODY_BYTES:
                raise errors.RequestTooLarge
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            MutableHeaders(scope=message)["X-Request-Id"] = self._scope["state"]["request_id"]
        await self._send(message)

    async def _answer(self, trouble: errors.Trouble) -> None:
        response = problems.answer(self._scope, trouble)
        await response(self._scope, self._receive, self.send)


def _path(scope: Scope) -> str:
    """The path where it is one of ours; of any other nobody knows what was pasted into it."""
    return str(scope["path"]) if "route" in scope else "(none of ours)"


def _refusal(method: str, content_length: str) -> errors.Trouble | None:
    """What can be said before anything is read."""
    if method not in _METHODS:
        return errors.MethodNotAllowed()
    if not (content_length.isascii() and content_length.isdecimal()):
        return errors.MalformedRequest("The Content-Length header is not a number.")
    if len(content_length) > len(str(MOST_BODY_BYTES)) or int(content_length) > MOST_BODY_BYTES:
        return errors.RequestTooLarge()
    return None
