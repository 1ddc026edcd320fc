"""What tests of every room share: an authority, and a clock that moves when told."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests import certificates
from tests.certificates import Authority

# `--hypothesis-profile=deep` looks for hours at what the suite looks at for seconds; it is read
# before any hook, so it is registered here.
settings.register_profile(
    "deep",
    max_examples=100_000,
    stateful_step_count=20,
    deadline=None,
    derandomize=False,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def __call__(self) -> datetime:
        return self._at

    def move(self, seconds: float) -> None:
        self._at += timedelta(seconds=seconds)


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """Whoever sets the log up sets it up for one test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level


@pytest.fixture(scope="session", name="ca")
def _ca() -> Authority:
    return certificates.authority()


@pytest.fixture(name="now")
def _now() -> Clock:
    return Clock(certificates.NOW)
