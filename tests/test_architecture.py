"""The house rules that a linter does not know."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from app import errors
from app.audit import Action
from app.metrics import Metrics

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "app").rglob("*.py"))
EVERYTHING = [*MODULES, *sorted((ROOT / "tests").rglob("*.py"))]
LOCKS = ("requirements.lock", "requirements-dev.lock")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("module", MODULES, ids=named)
def test_no_module_is_longer_than_400_lines(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= 400


@pytest.mark.parametrize("module", MODULES, ids=named)
def test_every_module_opens_by_saying_what_it_is(module: Path) -> None:
    assert ast.get_docstring(ast.parse(module.read_text()))


def test_no_room_is_named_for_nothing() -> None:
    nothing = {"utils", "util", "common", "helpers", "services", "manager", "base", "core", "misc"}

    assert not [named(path) for path in MODULES if {path.stem, *path.parts} & nothing]


def test_every_ignore_carries_its_reason_on_the_line() -> None:
    bare = re.compile(
        r"#\s*(noqa(: ?[A-Z0-9, ]+)?|type: ?ignore(\[[\w, -]+\])?|pragma: no cover)\s*$"
    )
    found = [
        f"{named(path)}:{number}"
        for path in EVERYTHING
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if bare.search(line)
    ]

    assert not found


def test_sql_is_in_the_store_and_in_the_queue_only() -> None:
    statement = re.compile(r"\b(SELECT\s.+\sFROM|INSERT INTO|DELETE FROM|UPDATE \w+ SET)\b")
    found = {path for path in MODULES if statement.search(path.read_text())}

    rooms = {named(path.parent) for path in found}
    assert rooms == {"app/store", "app/worker"}
    queue = {"alongside.py", "fetching.py", "jobs.py", "schema.py"}
    assert {path.name for path in found if path.parent.name == "worker"} <= queue


def test_whatever_goes_wrong_is_caught_at_the_edges_only() -> None:
    caught = re.compile(r"except (Base)?Exception\b.*|except:.*")
    found = {
        named(path): [match[0].partition("#")[2] for match in caught.finditer(path.read_text())]
        for path in MODULES
    }

    edges = {name: reasons for name, reasons in found.items() if reasons}
    assert {*edges} == {"app/api/middleware.py", "app/worker/running.py", "app/worker/carrying.py"}
    assert all(len(reasons) == 1 and "the edge of a" in reasons[0] for reasons in edges.values())


def test_importing_the_service_does_nothing() -> None:
    program = (
        "import sys, threading, app.__main__, app.main\n"
        "assert threading.active_count() == 1\n"
        "assert not [m for m in sys.modules if m.startswith('tests')]\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_one_vocabulary_no_name_means_two_things() -> None:
    codes = [kind.code for kind in errors.every()]
    actions = [action.value for action in Action]
    metrics = [metric.name for metric in Metrics(version="0", build="0").registry.collect()]

    names = [*codes, *actions, *metrics]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("lock", [*LOCKS, "tests/clients/az.lock"])
def test_the_lock_has_hashes_and_names_no_index(lock: str) -> None:
    text = (ROOT / lock).read_text()

    assert not re.search(r"https?://|--index|--find-links|--trusted-host", text)
    for requirement in re.split(r"\n(?=\S)", text):
        if "==" in requirement and not requirement.startswith("#"):
            assert "--hash=sha256:" in requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_holds_every_dependency(lock: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = {
        match[1]
        for match in re.finditer(r"^([\w.-]+)[\[=]", (ROOT / lock).read_text(), re.MULTILINE)
    }

    wanted = {re.split(r"[>=\[]", one)[0] for one in project["dependencies"]}
    assert wanted <= locked


def test_the_lock_pins_the_extras_that_are_asked_for_since_pip_would_fetch_newer_ones() -> None:
    text = (ROOT / LOCKS[-1]).read_text()
    locked = {
        f"{name}[{extra}]"
        for name, extras in re.findall(r"^([\w.-]+)\[([^]]+)\]==", text, re.MULTILINE)
        for extra in extras.split(", ")
    }
    asked = {
        f"{wanted.name.lower()}[{extra}]"
        for distribution in metadata.distributions()
        for wanted in map(Requirement, distribution.requires or ())
        for extra in wanted.extras
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""})
    }

    assert asked <= locked


def test_no_file_names_a_place_of_one_machine() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"],  # noqa: S607 - the developers' git
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    places = re.compile(rb"/(?:work|farm)/|/root/|/tmp/bash_jobs")

    assert not [
        name
        for name in tracked
        if name != named(Path(__file__)) and places.search((ROOT / name).read_bytes())
    ]
