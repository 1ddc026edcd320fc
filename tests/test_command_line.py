"""The command line, as a newcomer meets it."""

import json
import re
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import psycopg
import pytest

from app import main
from app.__main__ import run
from app.api.access import AccessFile
from app.sealing import SealingKeys
from tests.service.processes import PREFIX

ROOT = Path(__file__).parent.parent
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


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


async def test_a_fresh_sealing_key_is_printed_once_and_can_be_used(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["sealing-key"]) == 0

    printed = capsys.readouterr()
    keys = SealingKeys.read(printed.out)
    assert await keys.unwrap(await keys.wrap(bytes(32))) == bytes(32)
    assert printed.out.strip() not in printed.err
    assert "QUEUE__SEALING_KEYS" in printed.err


def test_the_openapi_document_in_the_repository_is_the_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["openapi"]) == 0

    printed = capsys.readouterr().out
    assert json.loads(printed)["openapi"].startswith("3.1")
    assert printed == (ROOT / "openapi" / "openapi.json").read_text(), "run `make openapi`"


@pytest.fixture(name="file_of_its_own")
def _file_of_its_own(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/record.db"


@pytest.mark.parametrize("store", ["file_of_its_own", "postgres_url"])
def test_migrate_says_from_which_schema_to_which_and_asks_for_no_caller(
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    store: str,
) -> None:
    monkeypatch.setenv(f"{PREFIX}STORE__URL", request.getfixturevalue(store))

    assert run(["migrate"]) == 0
    first = capsys.readouterr().out
    assert run(["migrate"]) == 0
    second = capsys.readouterr().out

    assert re.search(r"from schema 0 to (\d+)", first)
    assert re.search(r"from schema (\d+) to \1\.", second)


def test_migrate_says_what_became_of_the_queue_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    monkeypatch.setenv(f"{PREFIX}STORE__URL", postgres_url)
    said = []
    for queue in (None, None, "03.04.00_01_pre_add_retry_failed_job_procedure.sql"):
        if queue is not None:
            queue_is_at(postgres_url, queue)
        assert run(["migrate"]) == 0
        said.append(capsys.readouterr().out.splitlines()[-1])

    newest = r"03\.04\.00_50_\w+"
    older = r"03\.04\.00_01_\w+"
    made, same, moved = said
    assert re.fullmatch(f"The queue was made, with .* migrations up to {newest}.", made)
    assert re.fullmatch(f"The queue was up to date, at .* migration {newest}.", same)
    assert re.fullmatch(f"The queue went from .* migration {older} to {newest}.", moved)


def test_migrate_refuses_the_queue_of_a_newer_version_with_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    monkeypatch.setenv(f"{PREFIX}STORE__URL", postgres_url)
    assert run(["migrate"]) == 0
    newer = "99.00.00_01_pre_something.sql"
    queue_is_at(postgres_url, newer)

    assert run(["migrate"]) == 1

    assert "queue's schema is newer" in capsys.readouterr().err
    asked = "SELECT obj_description('procrastinate_jobs'::regclass)"
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute(asked).fetchone() == (f"certctl-connectors: {newer}",)


def queue_is_at(url: str, migration: str) -> None:
    """Let the queue's schema say that this was the last of its migrations."""
    mark = f"COMMENT ON TABLE procrastinate_jobs IS 'certctl-connectors: {migration}'"
    with psycopg.connect(url) as connection:
        connection.execute(mark.encode())


def test_what_goes_wrong_is_said_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve"]) == 1

    assert "ACCESS__FILE is not set" in capsys.readouterr().err


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(["--help"])

    shown = capsys.readouterr().out
    for command in ("serve", "demo", "emulator", "migrate", "openapi", "sealing-key", "token"):
        assert command in shown


def test_the_embedded_key_vault_runs_alone_and_says_how_to_get_to_it(tmp_path: Path) -> None:
    ca, token = tmp_path / "ca.pem", tmp_path / "token"
    chosen = ["--ca-out", str(ca), "--federated-token-out", str(token), "--control", "--throttle"]
    with subprocess.Popen(
        [sys.executable, "-m", "app", "emulator", *chosen],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        shown = ""
        while "/_control/" not in shown:
            line = running.stdout.readline()
            assert line, shown
            shown += line
        told = dict(re.findall(r"^export (\w+)=(\S+)", shown, flags=re.MULTILINE))
        url = f"https://{told['CERTCTL_CONNECTORS_AZURE__CONNECT_TO']}"
        trust = ssl.create_default_context(cafile=told["CERTCTL_CONNECTORS_AZURE__CA_BUNDLE"])
        with httpx.Client(base_url=url, verify=trust) as client:
            answer = client.get("/certificates/x?api-version=7.6")
            login = client.post(
                f"/{told['AZURE_TENANT_ID']}/oauth2/v2.0/token",
                data={
                    "grant_type": "client_credentials",
                    "client_id": told["AZURE_CLIENT_ID"],
                    "scope": "https://vault.azure.net/.default",
                    "client_assertion_type": ASSERTION,
                    "client_assertion": Path(told["AZURE_FEDERATED_TOKEN_FILE"]).read_text(),
                },
            )
            budgets = client.get("/_control/budgets")
        running.send_signal(signal.SIGTERM)

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "Unauthorized"
    assert login.json()["token_type"] == "Bearer"
    assert budgets.json()["budgets"]["imports"] == 300
    assert running.returncode == 0


def test_a_port_that_is_taken_is_said_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        code = run(["emulator", "--ca-out", str(tmp_path / "ca.pem"), "--port", port])

    assert code == 1
    told = f"certctl-connectors: Port {port} of 127.0.0.1 cannot be used: Address already in use.\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize(
    ("option", "what"), [("--ca-out", "CA"), ("--federated-token-out", "federated token")]
)
def test_a_file_that_cannot_be_written_is_said_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, what: str
) -> None:
    file = tmp_path / "none" / "file"

    code = run(["emulator", "--ca-out", str(tmp_path / "ca.pem"), option, str(file)])

    assert code == 1
    told = f"The {what} cannot be written to {file}: No such file or directory."
    assert capsys.readouterr().err == f"certctl-connectors: {told}\n"


@pytest.mark.parametrize("port", ["65536", "-1", "https", ""])
def test_a_port_that_is_none_is_not_understood(
    capsys: pytest.CaptureFixture[str], port: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["emulator", "--ca-out", "ca.pem", f"--port={port}"])

    assert ended.value.code == 2
    assert f"{port!r} is no port; a port is 0 to 65535" in capsys.readouterr().err
