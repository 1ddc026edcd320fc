"""The real `az` CLI, taught one cloud: the emulator. It finds it as the vault `localhost`.

Each command is a process of half a second with an environment of its own, so neither a login
nor a setting of the developer is touched.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Final

from app.emulator import Emulator

_LIMIT_S: Final = 60


class Az:
    """`az` with a home of its own. What it knows and whom it logged in lives there."""

    def __init__(self, program: Path, home: Path, emulator: Emulator) -> None:
        self._program = program
        self._home = home
        self._emulator = emulator
        home.mkdir()
        emulator.write_ca(home / "ca.pem")
        self._environment = {
            "PATH": os.defpath,
            "HOME": str(home),
            "AZURE_CONFIG_DIR": str(home / "azure"),
            "AZURE_CORE_COLLECT_TELEMETRY": "false",
            # else it asks the public cloud whether this login service is one
            "AZURE_CORE_INSTANCE_DISCOVERY": "false",
            "REQUESTS_CA_BUNDLE": str(home / "ca.pem"),
        }

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """One command, whatever its end."""
        return subprocess.run(
            [self._program, *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )

    def __call__(self, *arguments: str) -> Any:  # noqa: ANN401 - whatever JSON the command prints
        """What a command prints; it must succeed."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "null")

    def certificate(self, command: str, *arguments: str) -> Any:  # noqa: ANN401 - as above
        """What a command about the vault's certificates prints; it must succeed."""
        return self(*_certificates(command), *arguments)

    def refused(self, command: str, *arguments: str) -> tuple[int, str]:
        """Exit code and error text of such a command; it must print nothing."""
        done = self.run(*_certificates(command), *arguments)
        assert done.stdout == ""
        return done.returncode, done.stderr

    def file(self, content: bytes) -> str:
        """The path of a file with this content, until the next one."""
        path = self._home / "file"
        path.write_bytes(content)
        return str(path)

    def know_the_emulator(self) -> None:
        """Register the emulator as a cloud, and use it."""
        here = f"https://localhost:{self._emulator.port}"
        endpoints = {
            "active-directory": here,
            "active-directory-resource-id": f"{here}/arm",
            "resource-manager": here,
            "management": f"{here}/management",
            "active-directory-graph-resource-id": f"{here}/graph",
            "microsoft-graph-resource-id": f"{here}/graph",
        }
        named = [part for name, url in endpoints.items() for part in (f"--endpoint-{name}", url)]
        # az puts the suffix behind the name of the vault
        suffix = ["--suffix-keyvault-dns", f":{self._emulator.port}"]
        self("cloud", "register", "-n", "here", "--skip-endpoint-discovery", *named, *suffix)
        self("cloud", "set", "-n", "here")

    def log_in(self, secret: str) -> "subprocess.CompletedProcess[str]":
        """Log the emulator's application in."""
        who = ["-u", self._emulator.client_id, "--tenant", self._emulator.tenant_id]
        return self.run("login", "--service-principal", *who, "-p", secret)


def _certificates(command: str) -> list[str]:
    return ["keyvault", "certificate", command, "--vault-name", "localhost"]
