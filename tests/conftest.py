"""What tests of every room share: an authority, a clock that moves when told, and faults."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests import certificates
from tests.certificates import Authority

pytest_plugins = ["tests.faults", "tests.postgres"]

# How long an example takes says more of the machine than of the code.
settings.register_profile("usual", deadline=None)
settings.load_profile("usual")
# `--hypothesis-profile=deep` looks for hours at what the suite looks at for seconds.
# It is read before any hook, so it is registered here.
settings.register_profile(
    "deep",
    max_examples=100_000,
    stateful_step_count=20,
    deadline=None,
    derandomize=False,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make chaos` makes a longer storm, and another one each time."""
    group = parser.getgroup("chaos")
    group.addoption("--chaos-seconds", type=int, default=20, help="how long the storm lasts")
    group.addoption("--chaos-seed", type=int, default=1, help="which storm it is")


def shown(value: object) -> str:
    """The id of a test by what it is given, without what would end it for those who select it."""
    return repr(value).translate(str.maketrans("[]\\", "()~"))


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
    handlers, loudness, levels = list(root.handlers), root.level, _levels()
    yield
    structlog.reset_defaults()
    root.handlers, root.level = handlers, loudness
    for name, level in _levels().items():
        before = levels.get(name, logging.NOTSET)
        if level != before:  # each setting costs what a small test does
            logging.getLogger(name).setLevel(before)


def _levels() -> dict[str, int]:
    """How loud each logger is."""
    loggers = logging.Logger.manager.loggerDict.items()
    return {name: one.level for name, one in loggers if isinstance(one, logging.Logger)}


@pytest.fixture(scope="session", name="ca")
def _ca() -> Authority:
    return certificates.authority()


@pytest.fixture(scope="session", name="rsa_ca")
def _rsa_ca() -> Authority:
    return certificates.authority("RSA", rsa=True)


@pytest.fixture(name="now")
def _now() -> Clock:
    return Clock(certificates.NOW)
