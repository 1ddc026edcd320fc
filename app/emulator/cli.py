"""The emulator in the foreground, for `python -m app emulator`.

What stands in its way is said in a sentence: every OSError raised here has one.
"""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from app.emulator.emulator import Emulator

_DAY = 86_400


def serve(
    emulator: Emulator,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    plain_port: int | None = None,
    ca_out: str | Path,
    token_out: str | Path | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; say how to point a client here.

    Args:
        emulator: what to serve.
        host: the address to listen on.
        port: the TLS port; 0 takes a free one.
        plain_port: the plain HTTP port of the managed identities, if wanted.
        ca_out: the file to write the CA to.
        token_out: the file to write a federated token to, valid for a day.

    Raises:
        OSError: a port or a file cannot be used.
    """
    running = emulator.running(host=host, port=port, plain_port=plain_port)
    with _until_told() as stopped, running:
        if token_out is not None:
            _write(token_out, emulator.federated_token(seconds=_DAY), "federated token")
        _write(ca_out, emulator.ca_pem, "CA")
        sys.stdout.write(directions(emulator, host=host, ca=ca_out, token=token_out))
        sys.stdout.flush()
        stopped.wait()


@contextmanager
def _until_told() -> Iterator[threading.Event]:
    """An event that the usual signals set, while the block lasts."""
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _write(path: str | Path, text: str, what: str) -> None:
    try:
        Path(path).write_text(text, encoding="ascii")
    except OSError as error:
        raise OSError(f"The {what} cannot be written to {path}: {error.strerror}.") from None


def directions(
    emulator: Emulator, *, host: str, ca: str | Path, token: str | Path | None = None
) -> str:
    """How a client gets to the running emulator: sentences, and lines to paste into a shell."""
    address = f"{host}:{emulator.port}"
    lines = [
        f"The embedded Key Vault serves every vault at {address}; its CA is {ca}.",
        "It is for demos and tests: nothing is kept, and its secrets are known to all.",
        "",
        "The service, with credential_mode client_secret:",
        f"export CERTCTL_CONNECTORS_AZURE__CONNECT_TO={address}",
        f"export CERTCTL_CONNECTORS_AZURE__CA_BUNDLE={ca}",
        f"export AZURE_TENANT_ID={emulator.tenant_id}",
        f"export AZURE_CLIENT_ID={emulator.client_id}",
        f"export AZURE_CLIENT_SECRET={emulator.client_secret}",
    ]
    if token is not None:
        lines += ["", "With workload_identity, also (the token is valid for a day):"]
        lines += [f"export AZURE_FEDERATED_TOKEN_FILE={token}"]
    if emulator.plain_port is not None:
        lines += ["", *_managed_identities(emulator, host)]
    lines += ["", "A first request:", *_first_request(emulator, address, ca)]
    if emulator.controlled:
        lines += ["", "What the control API does:"]
        lines += [f"curl -sS --cacert {ca} https://localhost:{emulator.port}/_control/"]
    return "\n".join([*lines, ""])


def _first_request(emulator: Emulator, address: str, ca: str | Path) -> list[str]:
    login = f"https://localhost:{emulator.port}/$AZURE_TENANT_ID/oauth2/v2.0/token"
    return [
        f'TOKEN=$(curl -sS --cacert {ca} "{login}" \\',
        "  -d grant_type=client_credentials -d scope=https://vault.azure.net/.default \\",
        '  -d "client_id=$AZURE_CLIENT_ID" -d "client_secret=$AZURE_CLIENT_SECRET" |',
        "  jq -r .access_token)",
        f'curl -sS --cacert {ca} --connect-to ::{address} -H "Authorization: Bearer $TOKEN" \\',
        "  'https://my-vault.vault.azure.net/certificates?api-version=7.6'",
    ]


def _managed_identities(emulator: Emulator, host: str) -> list[str]:
    plain = f"http://{host}:{emulator.plain_port}"
    return [
        "With managed_identity, also, as on a virtual machine:",
        f"export AZURE_POD_IDENTITY_AUTHORITY_HOST={plain}",
        "or, as in App Service:",
        f"export IDENTITY_ENDPOINT={plain}/msi/token",
        f"export IDENTITY_HEADER={emulator.identity_header}",
    ]
