"""A client that is missing is missed by name, and what installs it is pinned by its hash."""

import json
from pathlib import Path

import pytest

from tests.clients import programs


def test_a_machine_without_az_is_told_what_installs_it(tmp_path: Path) -> None:
    with pytest.raises(programs.Missing, match=r"The az CLI is missing: run `make clients`\."):
        programs.az(tmp_path)


def test_a_machine_without_node_is_told_what_installs_it(tmp_path: Path) -> None:
    with pytest.raises(programs.Missing, match=r"Node\.js is missing: run `make clients`\."):
        programs.node(tmp_path)


def test_a_machine_without_the_javascript_sdk_is_told_what_installs_it(tmp_path: Path) -> None:
    with pytest.raises(programs.Missing, match="The JavaScript SDK is missing: run `make clients`"):
        programs.act(tmp_path)


def test_the_javascript_lock_has_hashes_and_names_no_registry() -> None:
    lock = json.loads((programs.ROOT / programs.JAVASCRIPT / "package-lock.json").read_text())
    packages = [facts for path, facts in lock["packages"].items() if path]

    assert packages
    assert all(facts["integrity"].startswith("sha512-") for facts in packages)
    assert not [facts for facts in packages if "resolved" in facts]
