"""The demo is run for real: it ends with 0 only if every step did what it says."""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from app import demo, pki
from app.demo.play import deploy_body
from app.demo.throwaway import Authority

ROOT = Path(__file__).parent.parent


def test_the_demo_shows_every_act_and_every_claim_holds() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app", "demo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 claims broken" in done.stdout
    for state in ("succeeded", "unchanged", "rolled_back"):
        assert state in done.stdout
    assert "PRIVATE KEY" not in done.stdout


def test_a_demo_that_is_told_to_stop_leaves_no_service_and_no_folder_behind(
    tmp_path: Path,
) -> None:
    environment = {"PATH": "", "PYTHONUNBUFFERED": "1", "TMPDIR": str(tmp_path), "COLUMNS": "200"}
    with subprocess.Popen(
        [sys.executable, "-m", "app", "demo"],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as running:
        assert running.stdout is not None
        shown = running.stdout.fileno()
        fcntl.fcntl(shown, fcntl.F_SETPIPE_SZ, 4096)  # what it shows is more: it waits for a reader
        assert os.read(shown, 1)
        (service,) = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()

        running.send_signal(signal.SIGTERM)
        rest = running.stdout.read()

    assert running.returncode == 130, rest
    assert not Path(f"/proc/{service}").exists()
    assert [*tmp_path.iterdir()] == []


def test_the_ready_made_request_holds_a_new_certificate_with_its_key(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert demo.request() == 0

    body = json.loads(capsys.readouterr().out)
    bundle, faults = pki.parse(
        body["cert_pem"], body["chain_pem"], body["key_pem"], now=datetime.now(UTC)
    )
    assert faults == ()
    assert bundle is not None


def test_make_run_serves_until_stopped_and_prints_a_command_that_works() -> None:
    environment = {"PATH": "", "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", "app", "demo", "--serve"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        assert running.stdout is not None
        shown = ""
        while "Stop with Ctrl-C." not in shown:
            line = running.stdout.readline()
            assert line, shown
            shown += line
        address = re.search(r"Serving at (\S+)", shown)
        token = re.search(r"Bearer (\S+)'", shown)
        assert address is not None
        assert token is not None
        body = deploy_body(Authority().issue("api-prod.example.test"))
        answer = httpx.post(
            f"{address[1]}/api/v1/connectors/AzureKeyVault/deploy",
            json=body,
            headers={"Authorization": f"Bearer {token[1]}", "Prefer": "wait=30"},
            timeout=60,
        )
        running.send_signal(signal.SIGTERM)
        rest = running.stdout.read()

    assert answer.json()["state"] == "succeeded"
    assert "service.draining" in rest
    assert running.returncode == 0
