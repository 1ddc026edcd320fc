"""The command line, as a newcomer meets it."""

import json
import re
import signal
import ssl
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import pytest

from app import main
from app.__main__ import run
from app.api.access import AccessFile
from tests.processes import PREFIX

ROOT = Path(__file__).parent.parent


def test_a_new_caller_is_let_in_by_the_token_that_is_printed_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "callers.toml"

    assert run(["token", "new", "--name", "portal", "--file", str(file)]) == 0

    printed = capsys.readouterr()
    token = printed.out.strip()
    assert AccessFile(file).caller(f"Bearer {token}").name == "portal"
    assert token not in file.read_text()
    assert token not in printed.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_callers_are_added_to_those_already_there(tmp_path: Path) -> None:
    file = tmp_path / "callers.toml"
    tokens = [main.new_caller(name, file)[0] for name in ("portal", "certctl", "portal")]

    access = AccessFile(file)
    assert [access.caller(f"Bearer {token}").name for token in tokens] == [
        "portal",
        "certctl",
        "portal",
    ]


def test_without_a_file_the_entry_is_shown_to_be_pasted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["token", "new", "--name", "portal"]) == 0

    shown = capsys.readouterr().err
    entry = tomllib.loads(shown[shown.index("[[callers]]") :])
    assert entry["callers"][0]["name"] == "portal"


@pytest.mark.parametrize("name", ['a"b', "", "a\nb", "x" * 200])
def test_a_name_that_would_break_the_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    file = tmp_path / "callers.toml"

    assert run(["token", "new", "--name", name, "--file", str(file)]) == 1
    assert not file.exists()
    assert "A caller's name is" in capsys.readouterr().err


def test_the_openapi_document_in_the_repository_is_the_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["openapi"]) == 0

    printed = capsys.readouterr().out
    assert json.loads(printed)["openapi"].startswith("3.1")
    assert printed == (ROOT / "openapi" / "openapi.json").read_text(), "run `make openapi`"


def test_migrate_says_from_which_schema_to_which(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}STORE__URL", f"sqlite:///{tmp_path}/record.db")
    monkeypatch.setenv(f"{PREFIX}ACCESS__FILE", "callers.toml")

    assert run(["migrate"]) == 0
    first = capsys.readouterr().out
    assert run(["migrate"]) == 0
    second = capsys.readouterr().out

    assert re.search(r"from schema 0 to (\d+)", first)
    assert re.search(r"from schema (\d+) to \1\.", second)


def test_what_goes_wrong_is_said_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve"]) == 1

    assert "ACCESS__FILE is not set" in capsys.readouterr().err


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(["--help"])

    shown = capsys.readouterr().out
    for command in ("serve", "demo", "emulator", "migrate", "openapi", "token"):
        assert command in shown


def test_the_embedded_key_vault_runs_alone_and_says_how_to_get_to_it(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "app", "emulator", "--ca-out", str(tmp_path / "ca.pem")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        shown = ""
        while "curl" not in shown:
            line = running.stdout.readline()
            assert line, shown
            shown += line
        found = re.search(r"AZURE__CONNECT_TO=127\.0\.0\.1:(\d+)", shown)
        assert found is not None
        trust = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        url = f"https://127.0.0.1:{found[1]}/certificates/x?api-version=7.6"
        answer = httpx.get(url, verify=trust)
        running.send_signal(signal.SIGTERM)

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "Unauthorized"
    assert running.returncode == 0
