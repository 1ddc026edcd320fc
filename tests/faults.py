"""Everything that can go wrong at the embedded Key Vault, each as a fixture.

A fixture is a factory: `cut_after("import", nth=2)` puts it in force on the test's `emulator` and
returns the fault, which is taken out when the test ends. Those of an import need no operation.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from app.emulator import (
    AnotherWriter,
    Answer,
    Delay,
    Drop,
    Emulator,
    Fault,
    ForgetTags,
    StaleRead,
    StoreAnother,
)
from app.emulator.effects import Effect
from app.emulator.faults import Operation

Happens = Callable[..., Fault]


@contextmanager
def in_force(emulator: Emulator) -> Iterator[Happens]:
    """Puts effects in force while the block lasts, and leaves others' faults alone."""
    ours: list[Fault] = []

    def put(effect: Effect, operation: Operation = "import", **when: Any) -> Fault:  # noqa: ANN401 - nth, count, vault, name
        fault = Fault(operation=operation, effect=effect, **when)
        emulator.faults.add(fault)
        ours.append(fault)
        return fault

    yield put
    for fault in ours:
        emulator.faults.remove(fault)


@pytest.fixture(name="happens")
def _happens(emulator: Emulator) -> Iterator[Happens]:
    with in_force(emulator) as put:
        yield put


@pytest.fixture(name="answered")
def _answered(happens: Happens) -> Happens:
    """`answered("import", 429, code="Throttled", nth=2)`: so, instead of doing the work."""

    def put(operation: Operation, status: int, **rest: Any) -> Fault:  # noqa: ANN401 - fields of Answer and Fault
        when = {name: rest.pop(name) for name in ("vault", "name", "nth", "count") if name in rest}
        return happens(Answer(status=status, **rest), operation, **when)

    return put


@pytest.fixture(name="applied_then_503")
def _applied_then_503(happens: Happens) -> Happens:
    return partial(happens, Answer(status=503, code="ServiceUnavailable", applied=True))


@pytest.fixture(name="cut_before")
def _cut_before(happens: Happens) -> Happens:
    return partial(happens, Drop())


@pytest.fixture(name="cut_after")
def _cut_after(happens: Happens) -> Happens:
    return partial(happens, Drop(applied=True))


@pytest.fixture(name="delayed")
def _delayed(happens: Happens) -> Happens:
    """`delayed("get_certificate", 0.1)`: by so many real seconds."""

    def put(operation: Operation, seconds: float, **when: Any) -> Fault:  # noqa: ANN401 - nth, count, vault, name
        return happens(Delay(seconds=seconds), operation, **when)

    return put


@pytest.fixture(name="stale")
def _stale(happens: Happens) -> Happens:
    def put(operation: Operation, **when: Any) -> Fault:  # noqa: ANN401 - nth, count, vault, name
        return happens(StaleRead(), operation, **when)

    return put


@pytest.fixture(name="another_writer")
def _another_writer(happens: Happens) -> Happens:
    return partial(happens, AnotherWriter())


@pytest.fixture(name="another_certificate")
def _another_certificate(happens: Happens) -> Happens:
    return partial(happens, StoreAnother())


@pytest.fixture(name="forgotten_tags")
def _forgotten_tags(happens: Happens) -> Happens:
    return partial(happens, ForgetTags())
