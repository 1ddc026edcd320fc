"""What `make demo` and `make run` show: the product over HTTP, with what really came back.

The service runs as it would for you, in a process of its own with access control on; the vault
is the embedded one, reached through the official SDK. Every claim is checked before it is
printed, and the demo ends with 0 only if all of them held.
"""

import json
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import httpx

from app.demo.play import Play, deploy_body
from app.demo.stage import stage
from app.demo.throwaway import Authority

_PORT: Final = 8080
_PATIENCE_S: Final = 90


def show() -> int:
    """Show everything; 0 only if every step did what it says."""
    _end_well()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, stage(Path(folder)) as running:
        headers = {"Authorization": f"Bearer {running.token}", "Prefer": "wait=60"}
        with httpx.Client(base_url=running.url, headers=headers, timeout=_PATIENCE_S) as http:
            play = Play(running.emulator, http)
            play.deployments()
            play.history()
            play.trail()
            play.metrics()
    return play.end(seconds=time.monotonic() - started)


def serve() -> int:
    """Serve with the embedded Key Vault until stopped, by Ctrl-C or SIGTERM."""
    _end_well()
    with tempfile.TemporaryDirectory() as folder, stage(Path(folder), port=_PORT) as running:
        sys.stdout.write(
            f"\nServing at {running.url} with the embedded Key Vault; the API is at "
            f"{running.url}/docs\n"
            "Deploy a throw-away certificate (its key goes through the pipe, never to a file):\n\n"
            f"  {sys.executable} -m app demo --request | curl -sS \\\n"
            f"    {running.url}/api/v1/connectors/AzureKeyVault/deploy \\\n"
            f"    -H 'Authorization: Bearer {running.token}' \\\n"
            "    -H 'Content-Type: application/json' -H 'Prefer: wait=30' --data-binary @-\n\n"
            "Stop with Ctrl-C.\n\n"
        )
        sys.stdout.flush()
        try:
            return running.service.wait()
        except KeyboardInterrupt:
            return 0


def _end_well() -> None:
    """Take SIGTERM as Ctrl-C, so that the service is stopped and the folder goes."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def request() -> int:
    """Print a deploy request with a throw-away certificate of an authority made just now."""
    sys.stdout.write(json.dumps(deploy_body(Authority().issue("api-prod.example.test"))))
    return 0
