"""The emulator in the foreground, for `python -m app emulator`."""

import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from app.emulator.emulator import Emulator


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ca_out: str | Path,
    plain_port: int | None = None,
    control: bool = False,
) -> None:
    """Serve until SIGINT or SIGTERM; write the CA to ca_out and say how to point a client here."""
    emulator = Emulator(control=control)
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with emulator.running(host=host, port=port, plain_port=plain_port):
            emulator.write_ca(ca_out)
            sys.stdout.write(directions(emulator, host=host, ca=ca_out, control=control))
            sys.stdout.flush()
            stopped.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def directions(emulator: Emulator, *, host: str, ca: str | Path, control: bool = False) -> str:
    """How a client gets to the running emulator."""
    address = f"{host}:{emulator.port}"
    lines = [
        f"The embedded Key Vault serves every vault at {address}; its CA is {ca}.",
        "It is for demos and tests: nothing is kept, and its secrets are known to all.",
        "",
        f"export CERTCTL_CONNECTORS_AZURE__CONNECT_TO={address}",
        f"export CERTCTL_CONNECTORS_AZURE__CA_BUNDLE={ca}",
        f"export AZURE_TENANT_ID={emulator.tenant_id}",
        f"export AZURE_CLIENT_ID={emulator.client_id}",
        f"export AZURE_CLIENT_SECRET={emulator.client_secret}",
        "",
        f"curl --cacert {ca} --connect-to ::{address} \\",
        "  https://my-vault.vault.azure.net/certificates?api-version=7.6",
    ]
    if emulator.plain_port is not None:
        plain = f"http://{host}:{emulator.plain_port}"
        lines += ["", f"export AZURE_POD_IDENTITY_AUTHORITY_HOST={plain}"]
        lines += [f"# or IDENTITY_ENDPOINT={plain}/msi/token"]
        lines += [f"#    IDENTITY_HEADER={emulator.identity_header}"]
    if control:
        lines += ["", f"Control API: https://localhost:{emulator.port}/_control/"]
    return "\n".join([*lines, ""])
