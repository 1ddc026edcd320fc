"""The official JavaScript SDK: an act is a Node.js process that says what the SDK gave or threw."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from app.emulator import Emulator

_LIMIT_S: Final = 60
VAULT: Final = "https://my-vault.vault.azure.net"


@dataclass(frozen=True, kw_only=True)
class JavaScript:
    """Acts of the SDK on one vault; `act.mjs` names them."""

    node: Path
    act: Path
    home: Path
    emulator: Emulator

    def __call__(self, act: str, **details: object) -> Any:  # noqa: ANN401 - whatever the SDK gives
        """What the SDK gave; it must not throw."""
        told = self._told(act, details)
        assert "thrown" not in told, told["thrown"]
        return told.get("given")

    def thrown(self, act: str, secret: str | None = None, **details: object) -> dict[str, Any]:
        """The error that the SDK threw: its name, code, status and message."""
        told = self._told(act, details, secret)
        assert "given" not in told, told["given"]
        error: dict[str, Any] = told["thrown"]
        return error

    def _told(
        self, act: str, details: dict[str, object], secret: str | None = None
    ) -> dict[str, Any]:
        asked = {"port": self.emulator.port, "vault": VAULT, "act": act, **details}
        done = subprocess.run(
            [self.node, self.act],
            env=self._environment(secret or self.emulator.client_secret),
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def _environment(self, secret: str) -> dict[str, str]:
        ca = self.home / "ca.pem"
        self.emulator.write_ca(ca)
        return {
            "HOME": str(self.home),
            "NODE_EXTRA_CA_CERTS": str(ca),
            "AZURE_TENANT_ID": self.emulator.tenant_id,
            "AZURE_CLIENT_ID": self.emulator.client_id,
            "AZURE_CLIENT_SECRET": secret,
        }
