"""The stage: the embedded Key Vault, and the service in a process of its own before it."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from app import main
from app.emulator import Emulator

_READY_S: Final = 20
_PREFIX: Final = "CERTCTL_CONNECTORS_"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A running service with its embedded Key Vault, and the token of a caller."""

    url: str
    token: str
    emulator: Emulator
    service: "subprocess.Popen[bytes]"


@contextmanager
def stage(folder: Path, *, port: int | None = None) -> Iterator[Stage]:
    """Start both, and end both.

    Args:
        folder: for the record, the access file, the vault's CA and the log; no key goes there.
        port: where to serve if it is free, with the log on standard output; else a free one,
            and a quiet log.
    """
    emulator = Emulator()
    with emulator.running():
        emulator.write_ca(folder / "ca.pem")
        token, _ = main.new_caller("demo", folder / "callers.toml")
        url = f"http://127.0.0.1:{_free_port(port or 0)}"
        with (folder / "log").open("wb") as log:
            service = subprocess.Popen(
                [sys.executable, "-m", "app", "serve"],
                env=_environment(folder, emulator, url),
                stdout=log if port is None else None,
                stderr=subprocess.STDOUT,
            )
        try:
            _wait_until_ready(url, service, folder / "log")
            yield Stage(url=url, token=token, emulator=emulator, service=service)
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait()


def _environment(folder: Path, emulator: Emulator, url: str) -> dict[str, str]:
    return {
        **main.inherited(),
        f"{_PREFIX}HTTP__PORT": url.rpartition(":")[2],
        f"{_PREFIX}STORE__URL": f"sqlite:///{folder}/record.db",
        f"{_PREFIX}ACCESS__FILE": str(folder / "callers.toml"),
        f"{_PREFIX}AZURE__CONNECT_TO": f"127.0.0.1:{emulator.port}",
        f"{_PREFIX}AZURE__CA_BUNDLE": str(folder / "ca.pem"),
        "AZURE_TENANT_ID": emulator.tenant_id,
        "AZURE_CLIENT_ID": emulator.client_id,
        "AZURE_CLIENT_SECRET": emulator.client_secret,
    }


def _wait_until_ready(url: str, service: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + _READY_S
    while time.monotonic() < until and service.poll() is None:
        try:
            if httpx.get(f"{url}/ready").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise OSError(f"The service did not start. {log.read_text()[-2000:]}")


def _free_port(wanted: int) -> int:
    """The port *wanted* where nobody listens on it yet, or another one."""
    try:
        with socket.create_server(("127.0.0.1", wanted)) as server:
            port: int = server.getsockname()[1]
            return port
    except OSError:
        return _free_port(0)
