"""The chart with a real `helm`. Where it cannot be had, the tests fail and say what is missing."""

from pathlib import Path

import pytest

from tests.packaging import helm_binary
from tests.packaging.chart import Chart


@pytest.fixture(scope="session")
def helm() -> Path:
    try:
        return helm_binary.helm()
    except helm_binary.HelmMissing as missing:
        pytest.fail(str(missing), pytrace=False)


@pytest.fixture
def chart(helm: Path, tmp_path: Path) -> Chart:
    return Chart(helm=helm, home=tmp_path)
