"""A certificate to deploy, what is held of it, and a shelf with a certificate on it."""

import pytest

from app.deployment.connector import Held
from tests.certificates import Authority, Issued
from tests.conftest import Clock
from tests.deployment.making import Diary
from tests.fakes import Shelf


@pytest.fixture(scope="session", name="issued")
def _issued(ca: Authority) -> Issued:
    return ca.issue()


@pytest.fixture(name="held")
def _held(issued: Issued) -> Held:
    return Held(issued.bundle())


@pytest.fixture(name="diary")
def _diary() -> Diary:
    return Diary()


@pytest.fixture(name="empty_shelf")
def _empty_shelf(now: Clock) -> Shelf:
    return Shelf(now)


@pytest.fixture(name="shelf")
def _shelf(now: Clock) -> Shelf:
    shelf = Shelf(now)
    shelf.put("before")
    return shelf
