"""The chart as tests see it: values in, manifests or a refusal out, by the real `helm`.

`helm` runs with a home and an environment of its own, so that no plugin, repository or cluster
of the machine takes part.
"""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "helm" / "certctl-connectors"
_COMPONENT = "app.kubernetes.io/component"

Manifest = dict[str, Any]
Values = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """The chart, a `helm` to read it with, and a folder that is the test's own."""

    helm: Path
    home: Path

    def lint(self, values: Values) -> str:
        """What `helm lint --strict` says; raises where it found a fault."""
        return self._run("lint", "--strict", str(FOLDER), values=values).stdout

    def render(self, values: Values, release: str = "rel") -> list[Manifest]:
        """The manifests of a release."""
        text = self._run("template", release, str(FOLDER), values=values).stdout
        return [manifest for manifest in yaml.safe_load_all(text) if manifest]

    def notes(self, values: Values) -> str:
        """What a person reads after the installation."""
        dry = ("install", "--dry-run=client", "rel", str(FOLDER))
        return self._run(*dry, values=values).stdout.partition("\nNOTES:\n")[2]

    def refusal(self, values: Values) -> str:
        """Why the values are refused; fails where they are not."""
        answer = self._run("template", "rel", str(FOLDER), values=values, check=False)
        assert answer.returncode != 0, "rendered, where a refusal was expected"
        return answer.stderr

    def _run(
        self, *arguments: str, values: Values, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        answer = subprocess.run(
            [self.helm, *arguments, "--values", "-"],
            input=json.dumps(values),
            env={"HOME": str(self.home), "PATH": ""},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert not check or answer.returncode == 0, answer.stdout + answer.stderr
        return answer


def one(manifests: list[Manifest], kind: str, of: str | None = None) -> Manifest:
    """The one manifest of a kind, *of* the `api` or the `worker` where each has one."""
    found = [manifest for manifest in manifests if manifest["kind"] == kind]
    [only] = [m for m in found if of in {None, m["metadata"]["labels"].get(_COMPONENT)}]
    return only


def kinds(manifests: list[Manifest]) -> set[str]:
    """What is made."""
    return {manifest["kind"] for manifest in manifests}


def pod(manifests: list[Manifest], of: str = "api") -> Manifest:
    """The pod's template: `metadata` and `spec`."""
    template: Manifest = one(manifests, "Deployment", of)["spec"]["template"]
    return template


def container(manifests: list[Manifest], of: str = "api") -> Manifest:
    """The pod's one container."""
    [only] = pod(manifests, of)["spec"]["containers"]
    found: Manifest = only
    return found


def environment(manifests: list[Manifest]) -> dict[str, str]:
    """The container's settings that are given as plain values, without the service's prefix."""
    return {
        entry["name"].removeprefix("CERTCTL_CONNECTORS_"): entry["value"]
        for entry in container(manifests)["env"]
        if "value" in entry
    }
