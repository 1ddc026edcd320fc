"""Error → HTTP: one table, and `application/problem+json` (RFC 9457) out of it.

A fault names the field and never its value: what pydantic says of the input is not passed on.
"""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Scope

from app import errors
from app.api import faults

MEDIA_TYPE: Final = "application/problem+json"
_STATUS: Final[Mapping[type[errors.Trouble], HTTPStatus]] = {
    errors.Trouble: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.RequestRefused: HTTPStatus.BAD_REQUEST,
    errors.InvalidRequest: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.RequestTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    errors.UnknownConnector: HTTPStatus.NOT_FOUND,
    errors.DeploymentNotFound: HTTPStatus.NOT_FOUND,
    errors.NotCancellable: HTTPStatus.CONFLICT,
    errors.IdempotencyKeyReused: HTTPStatus.CONFLICT,
    errors.ValidateOnlyNotSupported: HTTPStatus.NOT_IMPLEMENTED,
    errors.QueueFull: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Draining: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.SealingUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DeployError: HTTPStatus.BAD_GATEWAY,
    errors.InternalError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.DeadlineExceeded: HTTPStatus.GATEWAY_TIMEOUT,
    errors.TargetUnreachable: HTTPStatus.GATEWAY_TIMEOUT,
    errors.TargetThrottled: HTTPStatus.SERVICE_UNAVAILABLE,
}
_HEADERS: Final[Mapping[type[errors.Trouble], Mapping[str, str]]] = {
    errors.Unauthenticated: {"WWW-Authenticate": "Bearer"},
    errors.MethodNotAllowed: {"Allow": "GET, POST"},
    errors.QueueFull: {"Retry-After": "5"},
    errors.Draining: {"Retry-After": "10"},
    errors.SealingUnavailable: {"Retry-After": "5"},
    errors.StoreUnavailable: {"Retry-After": "5"},
    errors.TargetThrottled: {"Retry-After": "10"},
}
_GONE: Final = 499  # nginx's for a caller who hung up: no fault of ours, and told to nobody
_MOST_FAULTS: Final = 100  # that are told at once
_ROUTING: Final = {
    HTTPStatus.NOT_FOUND: errors.NotFound,
    HTTPStatus.METHOD_NOT_ALLOWED: errors.MethodNotAllowed,
}


_log = structlog.get_logger()


def status(kind: type[errors.Trouble]) -> HTTPStatus:
    """The HTTP status of an error class: its own, or its nearest ancestor's."""
    return next(_STATUS[one] for one in kind.__mro__ if one in _STATUS)


def headers(kind: type[errors.Trouble]) -> Mapping[str, str]:
    """The headers that go with an error class."""
    return _HEADERS.get(kind, {})


def fields(trouble: errors.Trouble, *, instance: str, request_id: str) -> dict[str, Any]:
    """The members of the problem document of *trouble*."""
    members: dict[str, Any] = {
        "type": f"urn:certctl-connectors:problem:{trouble.code}",
        "title": trouble.code.replace("-", " ").capitalize(),
        "status": status(type(trouble)).value,
        "detail": trouble.message,
        "instance": instance,
        "code": trouble.code,
        "request_id": request_id,
        "retryable": trouble.retryable,
    }
    if isinstance(trouble, errors.InvalidRequest):
        members["errors"] = trouble.faults[:_MOST_FAULTS]
        members["more_errors"] = max(0, len(trouble.faults) - _MOST_FAULTS)
    if isinstance(trouble, errors.DeployError) and trouble.answer is not None:
        members["azure"] = trouble.answer
    return members


def cause(trouble: errors.Trouble) -> str:
    """What an operator may read of the cause; of a target's error its kind, for its text is not."""
    text = str(trouble.__cause__) if isinstance(trouble, errors.StoreUnavailable) else ""
    return text or type(trouble.__cause__).__name__


def answer(
    scope: Scope,
    trouble: errors.Trouble,
    *,
    extra: Mapping[str, object] | None = None,
    sent: Mapping[str, str] | None = None,
) -> Response:
    """The response to a request that met *trouble*, with *extra* members and *sent* headers."""
    members = fields(trouble, instance=scope["path"], request_id=scope["state"]["request_id"])
    return Response(
        orjson.dumps({**members, **(extra or {})}),
        status_code=members["status"],
        headers={**headers(type(trouble)), **(sent or {})},
        media_type=MEDIA_TYPE,
    )


def install(app: FastAPI) -> None:
    """Answer every error of *app* as a problem."""
    app.add_exception_handler(errors.Trouble, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _unroutable)
    app.add_exception_handler(ClientDisconnect, _left)


async def _refused(request: Request, trouble: Exception) -> Response:
    assert isinstance(trouble, errors.Trouble)  # noqa: S101 - what it is registered for
    if status(type(trouble)) >= HTTPStatus.INTERNAL_SERVER_ERROR and trouble.__cause__ is not None:
        _log.warning("request.failed", code=trouble.code, cause=cause(trouble))
    return answer(request.scope, trouble)


async def _invalid(request: Request, invalid: Exception) -> Response:
    assert isinstance(invalid, RequestValidationError)  # noqa: S101 - what it is registered for
    named = faults.named(_without_place(invalid.errors()))
    return answer(request.scope, errors.InvalidRequest(named))


async def _unroutable(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, HTTPException)  # noqa: S101 - what it is registered for
    kind = _ROUTING.get(HTTPStatus(refusal.status_code), errors.MalformedRequest)
    return answer(request.scope, kind(), sent=refusal.headers)


async def _left(request: Request, gone: Exception) -> Response:  # noqa: ARG001 - Starlette's signature
    """For the log and the metrics; where it goes nobody reads it."""
    return Response(status_code=_GONE)


def _without_place(found: Sequence[Any]) -> Iterable[Mapping[str, Any]]:
    """FastAPI's errors, whose first step is where the parameter stands (`query`, `header`)."""
    return ({**one, "loc": one["loc"][1:]} for one in found)
