"""The service in a process of its own, as it would run for you, and a caller with open connections.

Access is on and the record is a file on the disk; only Azure is elsewhere.
"""

import asyncio
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp
import orjson

from app import main
from tests.bench import loops, machine
from tests.bench.loops import Run

TENANT: Final = "00000000-0000-0000-0000-000000000001"
_PREFIX: Final = "CERTCTL_CONNECTORS_"
_READY_S: Final = 30
_PATIENCE: Final = aiohttp.ClientTimeout(total=90)
_SERVE: Final = ("-m", "app", "serve")
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
        return {f"{_PREFIX}AZURE__{name}": str(number) for name, number in told.items()}


_NO_LIMITS: Final = Limits(imports=1_000_000_000, calls=1_000_000_000)


@dataclass(frozen=True, kw_only=True)
class Service:
    """A running service. `pid` is what its CPU is counted by."""

    url: str
    token: str
    pid: int

    async def closed(self, bodies: Sequence[bytes], warm: Sequence[bytes], concurrency: int) -> Run:
        """Deploy *bodies* to their ends, always *concurrency* at a time, after *warm*."""
        async with self._caller() as caller:
            await loops.closed(caller.deploy, warm, concurrency)
            cpu = machine.cpu_s(self.pid)
            seconds, found = await loops.closed(caller.deploy, bodies, concurrency)
            cpu = machine.cpu_s(self.pid) - cpu
        return Run(seconds=seconds, latencies=tuple(found), cpu_s=cpu)

    async def paced(self, bodies: Sequence[bytes], warm: Sequence[bytes], rate: float) -> Run:
        """Hand in *rate* of *bodies* a second and wait for each 202; at last, for their ends."""
        async with self._caller() as caller:
            await loops.closed(caller.deploy, warm, len(warm))
            caller.accepted.clear()
            cpu = machine.cpu_s(self.pid)
            began = time.monotonic()
            seconds, found = await loops.paced(caller.hand_in, bodies, rate)
            await asyncio.gather(*map(caller.end, caller.accepted))
            cpu = machine.cpu_s(self.pid) - cpu
        return Run(began=began, seconds=seconds, latencies=tuple(found), cpu_s=cpu)

    @asynccontextmanager
    async def _caller(self) -> AsyncIterator["_Caller"]:
        connector = aiohttp.TCPConnector(limit=0)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        async with aiohttp.ClientSession(
            self.url, connector=connector, headers=headers, timeout=_PATIENCE
        ) as session:
            yield _Caller(session)


class _Caller:
    """Deploys over connections that stay open."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.accepted: list[str] = []

    async def deploy(self, body: bytes) -> None:
        """Deploy, and wait for the end."""
        answer = await self._post(body, HTTPStatus.OK, {"Prefer": "wait=60"})
        _succeeded(answer)

    async def hand_in(self, body: bytes) -> None:
        """Deploy, and wait for nothing but the 202."""
        answer = await self._post(body, HTTPStatus.ACCEPTED, {})
        self.accepted.append(orjson.loads(answer)["id"])

    async def end(self, id: str) -> None:  # noqa: A002 - the field's name
        """Wait for the end of a deployment."""
        path = f"/api/v1/deployments/{id}"
        async with self._session.get(path, headers={"Prefer": "wait=60"}) as response:
            _succeeded(await response.read())

    async def _post(self, body: bytes, wanted: int, headers: dict[str, str]) -> bytes:
        path = "/api/v1/connectors/AzureKeyVault/deploy"
        async with self._session.post(path, data=body, headers=headers) as response:
            answer = await response.read()
            if response.status != wanted:
                raise OSError(f"{response.status} {answer.decode()}")
            return answer


@contextmanager
def service(
    folder: Path,
    stub_port: int,
    core: set[int],
    arguments: Sequence[str] = _SERVE,
    limits: Limits = _NO_LIMITS,
) -> Iterator[Service]:
    """Start the service, wait until it is ready, and stop it at the end.

    Args:
        folder: the stub's CA is in it as `ca.pem`; record, log and access file are put there.
        stub_port: where Key Vault and login are.
        core: where to run.
        arguments: of the interpreter.
        limits: what it keeps under; by default nothing waits for that.
    """
    token, _ = main.new_caller("bench", folder / "callers.toml")
    url, log = f"http://127.0.0.1:{_free_port()}", folder / "service.log"
    environment = _environment(folder, stub_port, url, limits)
    with machine.running(arguments, core, environment, log) as process:
        _wait_until_listening(url, process, log)
        yield Service(url=url, token=token, pid=process.pid)


def _environment(folder: Path, stub_port: int, url: str, limits: Limits) -> dict[str, str]:
    return {
        **main.inherited(),
        f"{_PREFIX}HTTP__PORT": url.rpartition(":")[2],
        f"{_PREFIX}STORE__URL": f"sqlite:///{folder}/record.db",
        f"{_PREFIX}ACCESS__FILE": str(folder / "callers.toml"),
        f"{_PREFIX}AZURE__CONNECT_TO": f"127.0.0.1:{stub_port}",
        f"{_PREFIX}AZURE__CA_BUNDLE": str(folder / "ca.pem"),
        **limits.settings(),
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


def _succeeded(answer: bytes) -> None:
    if b'"state":"succeeded"' not in answer:
        raise OSError(answer.decode())
