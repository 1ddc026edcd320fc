"""What kept a call from an answer, in our words: one table, by the transport's error.

Of foreign texts only OpenSSL's reason is passed on: it comes from a table in this process, and
nothing but its leading plain words is taken.
"""

import errno
import re
from typing import Final

import aiohttp

VAULT: Final = "the vault"  # noted on an error that came up on the way there, see `pipeline`
_LOGIN: Final = "the login service"
_IN_A_VAULTS_NAME: Final = ".vault."  # and in no login service's

_ROUTES: Final = "Check routes, firewalls, proxies and AZURE__CONNECT_TO."
_TRUST: Final = "Check TLS inspection on the way and AZURE__CA_BUNDLE."
_NAMES: Final = "Check DNS, on a private link its zone, and the name of a proxy."
_AGAIN: Final = "Send again later; check proxies and firewalls if it stays so."
# the transport's error: (what kept the call from an answer, what to do)
_KINDS: Final[tuple[tuple[type[BaseException], str, str], ...]] = (
    (aiohttp.ClientConnectorCertificateError, "TLS verification failed", _TRUST),
    (aiohttp.ClientConnectorSSLError, "the TLS handshake failed", _TRUST),
    (aiohttp.ClientConnectorDNSError, "a name was not resolved", _NAMES),
    (aiohttp.ClientProxyConnectionError, "the proxy was not reached", _ROUTES),
    (aiohttp.ClientHttpProxyError, "the proxy refused", _ROUTES),
    (aiohttp.ConnectionTimeoutError, "connecting timed out", _ROUTES),
    (TimeoutError, "its answer timed out", _AGAIN),
    (aiohttp.ServerDisconnectedError, "the connection was closed", _AGAIN),
    (aiohttp.ClientPayloadError, "the connection was closed", _AGAIN),
)
# likewise, where the operating system's number tells
_NUMBERS: Final[dict[int | None, tuple[str, str]]] = {
    errno.ECONNREFUSED: ("the connection was refused", _ROUTES),
    errno.ECONNRESET: ("the connection was closed", _AGAIN),
    errno.EPIPE: ("the connection was closed", _AGAIN),
    errno.ENETUNREACH: ("no route leads there", _ROUTES),
    errno.EHOSTUNREACH: ("no route leads there", _ROUTES),
    errno.ETIMEDOUT: ("connecting timed out", _ROUTES),
}
_UNKNOWN: Final = (
    "the connection failed",
    "Check routes, proxies, TLS inspection and the CA bundle.",
)
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_ -]{2,60}")


def unanswered(error: Exception, below: BaseException | None) -> str:
    """What kept the call from an answer, whose, and what to do.

    Args:
        error: what the SDK raised.
        below: what the transport did, where that is known.
    """
    what, do = _cause(below or error)
    whom = VAULT if at_vault(error, below) else _LOGIN
    return f"No answer from {whom}: {what}{_reason(below)}. {do}"


def at_vault(error: Exception, below: BaseException | None) -> bool:
    """Whether it was on the way to the vault, and not to whom a token was asked of."""
    noted = VAULT in getattr(error, "__notes__", ())
    return noted or of_a_vault(below)


def of_a_vault(below: BaseException | None) -> bool:
    """Whether the host that was not reached is a vault, and not a proxy or whoever gives tokens."""
    return _IN_A_VAULTS_NAME in str(getattr(below, "host", ""))


def _cause(below: BaseException) -> tuple[str, str]:
    found = next(((what, do) for kind, what, do in _KINDS if isinstance(below, kind)), None)
    return found or _NUMBERS.get(getattr(below, "errno", None), _UNKNOWN)


def _reason(below: BaseException | None) -> str:
    """OpenSSL's reason, where it gave one."""
    found = getattr(below, "certificate_error", None) or getattr(below, "os_error", None)
    text = getattr(found, "verify_message", None) or getattr(found, "reason", None)
    plain = _PLAIN.match(text) if isinstance(text, str) else None
    return f" ({plain[0].strip()})" if plain else ""
