"""The service as a process of its own: started, asked over HTTP, stopped by signals or killed."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from app import main
from app.emulator import Delay, Emulator, Fault
from app.emulator.faults import Operation
from tests.certificates import Issued

PREFIX: Final = "CERTCTL_CONNECTORS_"
DEPLOY: Final = "/api/v1/connectors/AzureKeyVault/deploy"
_START_S: Final = 90  # of a busy machine; whoever is ready sooner is not waited for


def body(issued: Issued, name: str = "api-prod") -> dict[str, Any]:
    """The request that deploys *issued*."""
    return {
        "cert_pem": issued.cert_pem,
        "chain_pem": issued.chain_pem,
        "key_pem": issued.key_pem,
        "target_config": {
            "vault_url": "https://my-vault.vault.azure.net",
            "certificate_name": name,
            "credential_mode": "client_secret",
        },
    }


def held_up(operation: Operation, nth: int = 1, *, seconds: float = 600) -> Fault:
    """The call at which a process is stopped or killed: it does not get further."""
    return Fault(operation=operation, nth=nth, effect=Delay(seconds=seconds))


class Process:
    """A running `python -m app serve`, or another command. Its log is read line by line, so
    nothing is waited for by sleeping: `until` returns when the log says so.
    """

    def __init__(
        self, environment: dict[str, str], cwd: Path, command: Sequence[str] = ("serve",)
    ) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "app", *command],
            env={**environment, "PYTHONPATH": str(Path(__file__).parents[2])},
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._said = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def until(self, event: str) -> dict[str, Any]:
        """The first log line of *event*, as soon as it is there."""
        with self._said:
            found = self._said.wait_for(lambda: self._find(event) or self._ended, _START_S)
        line = self._find(event)
        assert found, "the log said nothing for too long"
        assert line is not None, f"no {event} in:\n{self.log}"
        return line

    def every(self, event: str) -> Iterator[dict[str, Any]]:
        """The log lines of *event* so far."""
        for line in list(self.lines):
            if line.startswith("{"):
                told: dict[str, Any] = json.loads(line)
                if told.get("event") == event:
                    yield told

    @property
    def log(self) -> str:
        return "".join(self.lines)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def wait(self) -> int:
        code = self._popen.wait(timeout=_START_S)
        self._reader.join(timeout=_START_S)
        return code

    def end(self) -> None:
        if self._popen.poll() is None:
            self._popen.kill()
        self.wait()
        if self._popen.stdout is not None:
            self._popen.stdout.close()

    def _read(self) -> None:
        assert self._popen.stdout is not None
        for line in self._popen.stdout:
            with self._said:
                self.lines.append(line)
                self._said.notify_all()
        with self._said:
            self._ended = True
            self._said.notify_all()

    def _find(self, event: str) -> dict[str, Any] | None:
        return next(self.every(event), None)


class Home:
    """A folder with an access file and a record, and the settings of a service that lives there.

    What is put into `also` is in its environment as it is.
    """

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        self.folder = folder
        self.emulator = emulator
        emulator.write_ca(folder / "ca.pem")
        self.token, _ = main.new_caller("portal", folder / "callers.toml")
        self.also: dict[str, str] = {}

    def environment(self, **settings: str) -> dict[str, str]:
        ours = {
            "HTTP__PORT": "0",
            "STORE__URL": f"sqlite:///{self.folder}/record.db",
            "ACCESS__FILE": str(self.folder / "callers.toml"),
            "AZURE__CONNECT_TO": f"127.0.0.1:{self.emulator.port}",
            "AZURE__CA_BUNDLE": str(self.folder / "ca.pem"),
            **settings,
        }
        return {
            **{key: value for key, value in os.environ.items() if key.startswith("COV")},  # noqa: TID251 - coverage of the child
            **{f"{PREFIX}{name}": value for name, value in ours.items()},
            "AZURE_TENANT_ID": self.emulator.tenant_id,
            "AZURE_CLIENT_ID": self.emulator.client_id,
            "AZURE_CLIENT_SECRET": self.emulator.client_secret,
            **self.also,
        }

    @contextmanager
    def service(self, *command: str, **settings: str) -> Iterator[tuple[Process, httpx.Client]]:
        """Serve until the block ends; the client has the token and the address."""
        environment = self.environment(**settings)
        process = Process(environment, self.folder, command or ("serve",))
        try:
            port = process.until("service.listening")["port"]
            headers = {"Authorization": f"Bearer {self.token}"}
            url = f"http://127.0.0.1:{port}"
            with httpx.Client(base_url=url, headers=headers, timeout=60) as http:
                yield process, http
        finally:
            process.end()

    def run(self, *command: str, **settings: str) -> tuple[int, str]:
        """Run a command that ends by itself: its exit code, and what it said."""
        process = Process(self.environment(**settings), self.folder, command)
        try:
            return process.wait(), process.log
        finally:
            process.end()
