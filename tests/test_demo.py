"""The demo is run for real: it ends with 0 only if every step did what it says."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app import demo, pki

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
