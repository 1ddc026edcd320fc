"""The service in a process of its own, as it would run for you.

Access is on and the record is a file on the disk; only Azure is elsewhere.
"""

import asyncio
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app import main
from tests.bench import loops, machine
from tests.bench.caller import Caller, calling
from tests.bench.loops import Run

TENANT: Final = "00000000-0000-0000-0000-000000000001"
_PREFIX: Final = "CERTCTL_CONNECTORS_"
_READY_S: Final = 30
_SERVE: Final = ("-m", "app", "serve")
_MIGRATE: Final = ("-m", "app", "migrate")
VAULTS_PER_SUBSCRIPTION: Final = 5


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a vault admits in ten seconds; five times that, a subscription."""

    imports: int
    calls: int

    def settings(self) -> dict[str, str]:
        """As the service is told."""
        told = {
            "VAULT_IMPORTS": self.imports,
            "VAULT_CALLS": self.calls,
            "SUBSCRIPTION_IMPORTS": self.imports * VAULTS_PER_SUBSCRIPTION,
            "SUBSCRIPTION_CALLS": self.calls * VAULTS_PER_SUBSCRIPTION,
        }
        return {f"AZURE__{name}": str(number) for name, number in told.items()}


NO_LIMITS: Final = Limits(imports=1_000_000_000, calls=1_000_000_000)
NO_SETTINGS: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, kw_only=True)
class Service:
    """A running service. `pid` is what its CPU is counted by."""

    url: str
    token: str
    pid: int

    @property
    def pids(self) -> tuple[int, ...]:
        """The one."""
        return (self.pid,)

    async def closed(self, bodies: Sequence[bytes], warm: Sequence[bytes], concurrency: int) -> Run:
        """Deploy *bodies* to their ends, always *concurrency* at a time, after *warm*."""
        async with self.caller() as caller:
            await loops.closed(caller.deploy, warm, concurrency)
            cpu = machine.cpu_s(self.pid)
            seconds, found = await loops.closed(caller.deploy, bodies, concurrency)
            cpu = machine.cpu_s(self.pid) - cpu
        return Run(seconds=seconds, latencies=tuple(found), cpu_s=cpu)

    async def paced(self, bodies: Sequence[bytes], warm: Sequence[bytes], rate: float) -> Run:
        """Hand in *rate* of *bodies* a second and wait for each 202; at last, for their ends."""
        async with self.caller() as caller:
            await loops.closed(caller.deploy, warm, len(warm))
            cpu = machine.cpu_s(self.pid)
            began = time.monotonic()
            seconds, found = await loops.paced(caller.hand_in, bodies, rate)
            await asyncio.gather(*map(caller.end, caller.accepted))
            cpu = machine.cpu_s(self.pid) - cpu
        latencies = tuple(latency for _, latency in found)
        return Run(began=began, seconds=seconds, latencies=latencies, cpu_s=cpu)

    def caller(self) -> AbstractAsyncContextManager[Caller]:
        """Somebody with open connections to it."""
        return calling(self.url, self.token)


@contextmanager
def service(
    folder: Path,
    stub_port: int,
    core: set[int],
    arguments: Sequence[str] = _SERVE,
    settings: Mapping[str, str] = NO_SETTINGS,
) -> Iterator[Service]:
    """Start the service, wait until it is ready, and stop it at the end.

    Args:
        folder: the stub's CA is in it as `ca.pem`; a folder for record, log and access file is
            made there.
        stub_port: where Key Vault and login are.
        core: where to run.
        arguments: of the interpreter.
        settings: what it is told besides; by default no limit of a vault holds it up.
    """
    home = Path(tempfile.mkdtemp(dir=folder))
    token, _ = main.new_caller("bench", home / "callers.toml")
    url, log = f"http://127.0.0.1:{_free_port()}", home / "service.log"
    environment = _environment(home, stub_port, {"HTTP__PORT": url.rpartition(":")[2], **settings})
    with machine.running(arguments, core, environment, log) as process:
        _wait_until_listening(url, process, log)
        yield Service(url=url, token=token, pid=process.pid)


def migrate(folder: Path, stub_port: int, settings: Mapping[str, str]) -> None:
    """Bring the schema of the store that *settings* name up to date."""
    environment = _environment(folder, stub_port, settings)
    subprocess.run([sys.executable, *_MIGRATE], env=environment, check=True, capture_output=True)


def _environment(home: Path, stub_port: int, settings: Mapping[str, str]) -> dict[str, str]:
    ours = {
        "STORE__URL": f"sqlite:///{home}/record.db",
        "ACCESS__FILE": str(home / "callers.toml"),
        "AZURE__CONNECT_TO": f"127.0.0.1:{stub_port}",
        "AZURE__CA_BUNDLE": str(home.parent / "ca.pem"),
        **NO_LIMITS.settings(),
        **settings,
    }
    return {
        **main.inherited(),
        **{f"{_PREFIX}{name}": value for name, value in ours.items()},
        "AZURE_TENANT_ID": TENANT,
        "AZURE_CLIENT_ID": "client",
        "AZURE_CLIENT_SECRET": "secret",
    }


def _wait_until_listening(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + _READY_S
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise OSError(f"The service did not start. {log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
