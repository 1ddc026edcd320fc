"""The image: built from what the lock names, run by nobody in particular, checked by itself."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from app import __version__
from tests.packaging.chart import FOLDER

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage, as (name, the rest), comments and line breaks taken out."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    found: list[list[tuple[str, str]]] = []
    for line in filter(str.strip, text.splitlines()):
        name, rest = line.split(maxsplit=1)
        if name == "FROM":
            found.append([])
        found[-1].append((name, " ".join(rest.split())))
    return found


BUILDER, FINAL = stages()


def said(stage: list[tuple[str, str]], instruction: str) -> list[str]:
    """What a stage says by an instruction."""
    return [rest for name, rest in stage if name == instruction]


def image_environment() -> dict[str, str]:
    """The environment that the image sets."""
    pairs = " ".join(said(FINAL, "ENV")).split()
    return {name: value.strip('"') for name, _, value in (pair.partition("=") for pair in pairs)}


def health_check() -> list[str]:
    """The command of the health check."""
    [check] = said(FINAL, "HEALTHCHECK")
    command: list[str] = json.loads(check.partition("CMD ")[2])
    return command


def test_hadolint_finds_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    answer = subprocess.run(
        [hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (answer.returncode, answer.stdout) == (0, "")


def test_both_stages_stand_on_the_same_pinned_python() -> None:
    [builder] = said(BUILDER, "FROM")
    [final] = said(FINAL, "FROM")

    assert builder == f"{final} AS builder"
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", final)


def test_every_dependency_is_checked_against_its_hash_and_none_is_compiled() -> None:
    [install] = [run for run in said(BUILDER, "RUN") if "pip install" in run]

    for option in ("--require-hashes", "--no-deps", "--only-binary=:all:", "-r requirements.lock"):
        assert option in install


def test_nothing_is_installed_from_elsewhere() -> None:
    assert DOCKERFILE.count("pip install") == 1
    assert not re.search(r"apt-get|apk |curl|wget|https?://|^ADD ", DOCKERFILE, re.MULTILINE)


def test_the_final_image_takes_only_the_environment_the_licence_and_the_service() -> None:
    assert said(FINAL, "COPY") == [
        "--from=builder /opt/venv /opt/venv",
        "LICENSE ./",
        "app/ ./app/",
    ]


def test_the_service_runs_as_a_number_that_is_not_root() -> None:
    assert said(FINAL, "USER") == ["10001:10001"]
    assert [name for name, _ in FINAL].index("USER") > max(
        index for index, (name, _) in enumerate(FINAL) if name in {"RUN", "COPY"}
    )


def test_a_signal_reaches_the_service_itself() -> None:
    assert [json.loads(said(FINAL, name)[0]) for name in ("ENTRYPOINT", "CMD")] == [
        ["python", "-m", "app"],
        ["serve"],
    ]
    assert said(FINAL, "STOPSIGNAL") == ["SIGTERM"]


def test_only_data_is_written() -> None:
    environment = image_environment()

    assert json.loads(said(FINAL, "VOLUME")[0]) == ["/data"]
    assert environment["CERTCTL_CONNECTORS_STORE__URL"].startswith("sqlite:////data/")
    assert environment["SQLITE_TMPDIR"] == "/data"
    assert environment["PYTHONDONTWRITEBYTECODE"] == "1"


def test_no_secret_is_built_in() -> None:
    names = [*image_environment(), *(arg.partition("=")[0] for arg in said(FINAL, "ARG"))]

    assert not [name for name in names if re.search(r"SECRET|TOKEN|PASSWORD|KEY", name)]


def test_the_build_sees_only_what_it_copies() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]

    assert rules[0] == "*"
    assert [rule for rule in rules if rule.startswith("!")] == [
        "!LICENSE",
        "!requirements.lock",
        "!app/",
    ]


def test_image_chart_and_service_bear_one_version() -> None:
    chart = yaml.safe_load((FOLDER / "Chart.yaml").read_text())

    assert f"VERSION={__version__}" in said(FINAL, "ARG")
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_image_and_chart_agree_on_user_port_and_store() -> None:
    templates = "".join(path.read_text() for path in (FOLDER / "templates").iterdir())
    environment = image_environment()

    assert said(FINAL, "EXPOSE") == ["8080"]
    assert "runAsUser: 10001" in templates
    assert "containerPort: 8080" in templates
    assert environment["CERTCTL_CONNECTORS_HTTP__PORT"] == "8080"
    assert f"value: {environment['CERTCTL_CONNECTORS_STORE__URL']}" in templates


@pytest.fixture
def answering(request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of a server that answers /health with the status the test asks for."""

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(request.param if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:  # noqa: ANN401  # as the base class has it
            pass

    with HTTPServer(("127.0.0.1", 0), Health) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield server.server_port
        server.shutdown()
        serving.join()


def ask(port: int) -> int:
    """Runs the health check, with a proxy in the environment that it must not ask."""
    environment = {
        "CERTCTL_CONNECTORS_HTTP__PORT": str(port),
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
    }
    command = [sys.executable, *health_check()[1:]]
    return subprocess.run(
        command, env=environment, capture_output=True, timeout=30, check=False
    ).returncode


@pytest.mark.parametrize(
    ("answering", "code"),
    [pytest.param(200, 0, id="healthy"), pytest.param(503, 1, id="not-healthy")],
    indirect=["answering"],
)
def test_the_health_check_asks_the_service(answering: int, code: int) -> None:
    assert health_check()[:2] == ["python", "-c"]
    assert ask(answering) == code


def test_the_health_check_fails_where_nobody_answers() -> None:
    assert ask(1) == 1
