"""A call without an answer: what is said of it, and whether the vault may have read it."""

import errno
import socket
from typing import Final

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseError,
)

from app import errors
from app.connectors.azure_key_vault.lost import Lost, lost

VAULT: Final = "my-vault.vault.azure.net"
LOGIN: Final = "login.microsoftonline.com"
GONE: Final = OSError(errno.ECONNRESET, "Connection reset by peer")


def to(host: str) -> ConnectionKey:
    return ConnectionKey(host, 443, True, True, None, None, None)  # noqa: FBT003 - the library's own


def wrapped(kind: type[ServiceRequestError], below: Exception) -> Exception:
    """As the SDK's transport wraps what it caught."""
    return kind(below, error=below)


def caused(below: Exception) -> Exception:
    """As what passes a transport of another kind is wrapped."""
    error = ServiceRequestError("no connection")
    error.__cause__ = below
    return error


def login(status: int | None) -> Exception:
    error = ClientAuthenticationError("no token")
    error.status_code = status
    return error


REFUSED = aiohttp.ClientConnectorError(to(VAULT), GONE)
NO_NAME: Final = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
NO_VAULT = aiohttp.ClientConnectorDNSError(to(VAULT), NO_NAME)
NO_LOGIN = aiohttp.ClientConnectorDNSError(to(LOGIN), NO_NAME)
SLOW = aiohttp.ConnectionTimeoutError()

NEVER_SENT = {
    "refused": (wrapped(ServiceRequestError, REFUSED), errors.TargetUnreachable),
    "refused-below": (caused(REFUSED), errors.TargetUnreachable),
    "no-connection-in-time": (wrapped(ServiceRequestTimeoutError, SLOW), errors.TargetUnreachable),
    "no-such-vault": (wrapped(ServiceRequestError, NO_VAULT), errors.TargetNotFound),
    "no-such-login": (wrapped(ServiceRequestError, NO_LOGIN), errors.TargetUnreachable),
    "another-resource": (ValueError("challenge"), errors.TargetUnauthenticated),
    "no-token-file": (
        FileNotFoundError(errno.ENOENT, "No such file", "/token"),
        errors.TargetUnauthenticated,
    ),
    "login-silent": (login(None), errors.TargetUnauthenticated),
    "login-refuses": (login(499), errors.TargetUnauthenticated),
    "login-throttles": (login(429), errors.TargetUnavailable),
    "login-fails": (login(500), errors.TargetUnavailable),
}
MAYBE_READ = {
    "broken-off": (wrapped(ServiceRequestError, GONE), errors.TargetUnreachable),
    "no-answer": (ServiceResponseError("timed out"), errors.TargetUnreachable),
    "disconnected": (aiohttp.ServerDisconnectedError(), errors.TargetUnreachable),
    "reset": (GONE, errors.TargetUnreachable),
    "unreadable": (HttpResponseError("not HTTP"), errors.TargetUnavailable),
}


def said(error: Exception) -> Lost:
    with pytest.raises(Lost) as caught:
        lost(error)
    assert caught.value.__cause__ is error
    assert str(caught.value) == caught.value.trouble.message
    return caught.value


@pytest.mark.parametrize(("error", "kind"), NEVER_SENT.values(), ids=NEVER_SENT)
def test_what_never_left_us_was_surely_not_read(
    error: Exception, kind: type[errors.TargetError]
) -> None:
    found = said(error)

    assert (type(found.trouble), found.sent) == (kind, False)


@pytest.mark.parametrize(("error", "kind"), MAYBE_READ.values(), ids=MAYBE_READ)
def test_what_was_on_its_way_may_have_been_read(
    error: Exception, kind: type[errors.TargetError]
) -> None:
    found = said(error)

    assert (type(found.trouble), found.sent) == (kind, True)


def test_a_login_service_that_fails_is_told_apart_from_a_vault_that_does() -> None:
    assert str(said(login(503))) == "The login service is failing. Send again later."
