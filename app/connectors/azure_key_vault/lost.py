"""A call without an answer: what became of it, by the SDK's error and the transport's below it.

What matters is whether the vault may have read the call: an import that it read may be applied.
"""

import socket
from typing import Final, NoReturn

import aiohttp
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
)

from app import errors
from app.connectors.azure_key_vault import login
from app.connectors.azure_key_vault.unanswered import of_a_vault, unanswered
from app.errors import TargetError

# the name surely does not exist; every other failure of DNS may be over soon
_NO_SUCH_NAME: Final = frozenset(
    {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
)


class Lost(Exception):
    """A call without an answer. `sent` is whether the vault may have read it."""

    def __init__(self, trouble: TargetError, *, sent: bool) -> None:
        super().__init__(trouble.message)
        self.trouble = trouble
        self.sent = sent


def lost(error: Exception) -> NoReturn:
    """Say what became of a call, by the SDK's error and the transport's below it."""
    below = error.__cause__ or getattr(error, "inner_exception", None)
    if _no_token(error):
        raise Lost(login.trouble(error), sent=False) from error
    if isinstance(error, HttpResponseError):  # an answer that cannot be read
        raise Lost(errors.TargetUnavailable(), sent=True) from error
    if _no_such_name(below) and of_a_vault(below):  # and not a proxy's name
        raise Lost(errors.TargetNotFound(), sent=False) from error
    never = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
    sent = not (isinstance(error, ServiceRequestError) and isinstance(below, never))
    raise Lost(errors.TargetUnreachable(unanswered(error, below)), sent=sent) from error


def _no_such_name(below: BaseException | None) -> bool:
    return isinstance(below, aiohttp.ClientConnectorDNSError) and below.errno in _NO_SUCH_NAME


def _no_token(error: Exception) -> bool:
    """Whether there was no token, so that nothing was sent to the vault but a bare question.

    A `ValueError` is the SDK's for a challenge that names another resource, an `OSError` with a
    file name is that of a token file.
    """
    unreadable = isinstance(error, OSError) and error.filename is not None
    return unreadable or isinstance(error, ClientAuthenticationError | ValueError)
