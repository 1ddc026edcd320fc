"""A call without an answer: the record says what kept it from one, and whose it would have been."""

import errno
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.resolver import ThreadedResolver

from app.connectors.azure_key_vault.unanswered import VAULT, unanswered
from app.emulator import Delay, Drop, Emulator, Fault
from tests.certificates import Issued, authority
from tests.connectors.azure_key_vault.conftest import Open
from tests.connectors.azure_key_vault.middlebox import Middlebox
from tests.connectors.azure_key_vault.playground import Run, environment

TO_LOGIN: Final = ConnectionKey("login.example", 443, True, True, None, None, None)  # noqa: FBT003 - the library's own
ROUTES: Final = "Check routes, firewalls, proxies and AZURE__CONNECT_TO."
TRUST: Final = "Check TLS inspection on the way and AZURE__CA_BUNDLE."
AGAIN: Final = "Send again later; check proxies and firewalls if it stays so."


def told(run: Run) -> str:
    assert run.code == "target-unreachable"
    assert run.final.error is not None
    assert run.final.error.retryable
    return run.final.error.message


def login_at(emulator: Emulator, port: int) -> Mapping[str, str]:
    return {**environment(emulator), "AZURE_AUTHORITY_HOST": f"https://localhost:{port}"}


async def test_a_ca_that_is_not_trusted_is_told_with_openssls_reason(
    open_playground: Open, new: Issued, tmp_path: Path
) -> None:
    file = tmp_path / "other.pem"
    file.write_text(authority().root.cert_pem)
    async with open_playground(ca_bundle=str(file)) as play:
        run = await play.deploy(new)

    reason = "unable to get local issuer certificate"
    assert told(run) == f"No answer from the vault: TLS verification failed ({reason}). {TRUST}"


async def test_a_refused_connection_is_told(
    open_playground: Open, new: Issued, closed_port: int
) -> None:
    async with open_playground(connect_to=f"127.0.0.1:{closed_port}") as play:
        run = await play.deploy(new)

    assert told(run) == f"No answer from the vault: the connection was refused. {ROUTES}"


async def test_a_connection_that_takes_too_long_is_told(
    open_playground: Open, new: Issued, silent_port: int
) -> None:
    where = f"127.0.0.1:{silent_port}"
    async with open_playground(connect_to=where, connect_timeout_s=0.1, read_timeout_s=0.2) as play:
        run = await play.deploy(new)

    assert told(run) == f"No answer from the vault: connecting timed out. {ROUTES}"


async def test_an_answer_that_takes_too_long_is_told(open_playground: Open, new: Issued) -> None:
    async with open_playground(read_timeout_s=0.1) as play:
        slow = Fault(operation="get_certificate", effect=Delay(seconds=0.3), count=2)
        await play.happen([slow])

        run = await play.deploy(new)

    assert told(run) == f"No answer from the vault: its answer timed out. {AGAIN}"


async def test_a_connection_that_is_closed_is_told(open_playground: Open, new: Issued) -> None:
    async with open_playground() as play:
        await play.happen([Fault(operation="get_certificate", effect=Drop(), count=None)])

        run = await play.deploy(new)

    assert told(run) == f"No answer from the vault: the connection was closed. {AGAIN}"


@pytest.mark.parametrize("host", ["the vault", "the login service"])
async def test_a_name_that_cannot_be_resolved_now_is_told(
    open_playground: Open, new: Issued, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    resolve, part = ThreadedResolver.resolve, "login." if "login" in host else ".vault."
    asked: list[str] = []

    async def unknown(resolver: ThreadedResolver, name: str, *rest: Any, **more: Any) -> Any:  # noqa: ANN401 - the library's signature
        asked.append(name)
        if part in name:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        found = await resolve(resolver, "127.0.0.1", *rest, **more)
        return [{**one, "port": here} for one in found]

    monkeypatch.setattr(ThreadedResolver, "resolve", unknown)
    monkeypatch.setattr(aiohttp.connector, "DefaultResolver", ThreadedResolver)
    async with open_playground(connect_to=None) as play:
        here = play.emulator.port
        run = await play.deploy(new)

    do = "Check DNS, on a private link its zone, and the name of a proxy."
    assert told(run) == f"No answer from {host}: a name was not resolved. {do}"


async def test_a_login_service_that_refuses_the_connection_is_told(
    open_playground: Open, emulator: Emulator, new: Issued, closed_port: int
) -> None:
    async with open_playground(variables=login_at(emulator, closed_port)) as play:
        run = await play.deploy(new)

    assert told(run) == f"No answer from the login service: the connection was refused. {ROUTES}"


async def test_a_login_service_that_takes_too_long_is_told(
    open_playground: Open, emulator: Emulator, new: Issued, silent_port: int
) -> None:
    variables = login_at(emulator, silent_port)
    async with open_playground(variables=variables, connect_timeout_s=0.5) as play:
        run = await play.deploy(new)

    assert told(run) == f"No answer from the login service: connecting timed out. {ROUTES}"


async def test_a_login_service_that_is_not_trusted_is_told_with_openssls_reason(
    open_playground: Open, emulator: Emulator, box: Middlebox, new: Issued
) -> None:
    """The box has a certificate that nobody trusts here, and another name than it is asked by."""
    async with open_playground(variables=login_at(emulator, box.port)) as play:
        run = await play.deploy(new)

    assert told(run).startswith("No answer from the login service: TLS verification failed (")
    assert "localhost" not in told(run)


def refused(cause: OSError, kind: type[aiohttp.ClientConnectorError]) -> Exception:
    return kind(TO_LOGIN, cause)


def untrusted(said: str) -> Exception:
    cause = ssl.SSLCertVerificationError(1, "certificate verify failed")
    cause.verify_message = said
    return aiohttp.ClientConnectorCertificateError(TO_LOGIN, cause)


def misunderstood() -> ssl.SSLError:
    cause = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
    cause.reason = "WRONG_VERSION_NUMBER"
    return cause


_OF_THE_TRANSPORT: Final[dict[str, tuple[Exception, str]]] = {
    "another-name": (
        untrusted("Hostname mismatch, certificate is not valid for 'my-vault.vault.azure.net'."),
        "TLS verification failed (Hostname mismatch).",
    ),
    "no-reason": (untrusted(""), "TLS verification failed."),
    "strange-reason": (untrusted("<b>4f7c</b>"), "TLS verification failed."),
    "not-tls": (
        refused(misunderstood(), aiohttp.ClientConnectorSSLError),
        "the TLS handshake failed (WRONG_VERSION_NUMBER).",
    ),
    "no-proxy": (
        refused(OSError(errno.ECONNREFUSED, "refused"), aiohttp.ClientProxyConnectionError),
        "the proxy was not reached.",
    ),
    "no-route": (
        refused(OSError(errno.EHOSTUNREACH, "no route"), aiohttp.ClientConnectorError),
        "no route leads there.",
    ),
    "reset": (
        OSError(errno.ECONNRESET, "Connection reset by 10.0.0.1"),
        "the connection was closed.",
    ),
    "disconnected": (aiohttp.ServerDisconnectedError("GET /secret"), "the connection was closed."),
    "read": (aiohttp.SocketTimeoutError("Timeout on /secret"), "its answer timed out."),
    "unknown": (OSError(errno.EIO, "at 10.0.0.1"), "the connection failed."),
    "no-number": (RuntimeError("at 10.0.0.1"), "the connection failed."),
}


@pytest.mark.parametrize(("below", "says"), _OF_THE_TRANSPORT.values(), ids=_OF_THE_TRANSPORT)
def test_every_error_of_the_transport_is_told_in_our_words(below: Exception, says: str) -> None:
    found = unanswered(Exception("at 10.0.0.1"), below)

    assert found.startswith(f"No answer from the login service: {says} Check ") or (
        found == f"No answer from the login service: {says} {AGAIN}"
    )
    for foreign in ("10.0.0.1", "secret", "4f7c", "my-vault"):
        assert foreign not in found


def test_what_the_sdk_raised_is_told_where_nothing_is_known_below_it() -> None:
    error = TimeoutError("at 10.0.0.1")
    error.add_note(VAULT)

    assert unanswered(error, None) == f"No answer from the vault: its answer timed out. {AGAIN}"


@pytest.mark.parametrize(
    ("host", "whose"),
    [("my-vault.vault.azure.net", "the vault"), ("login.example", "the login service")],
)
def test_whose_answer_is_missing_is_told_by_the_host_where_nothing_else_says_it(
    host: str, whose: str
) -> None:
    to = ConnectionKey(host, 443, True, True, None, None, None)  # noqa: FBT003 - the library's own
    below = aiohttp.ClientConnectorError(to, OSError(errno.ECONNREFUSED, "refused"))

    found = unanswered(Exception("no connection"), below)

    assert found == f"No answer from {whose}: the connection was refused. {ROUTES}"


async def test_a_proxy_whose_name_does_not_exist_is_no_vault_that_does_not(
    open_playground: Open, new: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unknown(_: ThreadedResolver, name: str, *rest: Any, **more: Any) -> Any:  # noqa: ANN401 - the library's signature
        assert name == "proxy.example"
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for name in ("NO_PROXY", "no_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setattr(ThreadedResolver, "resolve", unknown)
    monkeypatch.setattr(aiohttp.connector, "DefaultResolver", ThreadedResolver)
    async with open_playground(connect_to=None) as play:
        run = await play.deploy(new)

    assert "a name was not resolved" in told(run)
