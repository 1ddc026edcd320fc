"""The fixtures of tests/faults.py: one for each effect, in force for the test that asked."""

import httpx
import pytest

from app.emulator import Drop, Emulator, Fault
from app.emulator.effects import EFFECTS
from tests.emulator.conftest import Raw
from tests.emulator.making import leaf
from tests.faults import Happens, in_force

GET = "/certificates/api"


def test_every_effect_has_a_fixture(emulator: Emulator, request: pytest.FixtureRequest) -> None:
    for name, words in {
        "answered": ("any", 500),
        "applied_then_503": ("any",),
        "cut_before": ("any",),
        "cut_after": ("any",),
        "delayed": ("any", 1),
        "stale": ("any",),
        "another_writer": (),
        "another_certificate": (),
        "forgotten_tags": (),
    }.items():
        happens: Happens = request.getfixturevalue(name)
        happens(*words)

    assert {type(fault.effect) for fault in emulator.faults.active()} == set(EFFECTS)


def test_a_fixture_says_for_which_call_and_for_how_many(http: Raw, answered: Happens) -> None:
    answered("list_certificates", 429, code="Throttled", nth=2, count=2)

    assert [http.get("/certificates").status_code for _ in range(4)] == [200, 429, 429, 200]


def test_an_answer_of_a_fixture_can_be_for_one_certificate(http: Raw, answered: Happens) -> None:
    answered("get_certificate", 500, vault="my-vault", name="api")

    assert [http.get(f"/certificates/{name}").status_code for name in ("web", "api")] == [404, 500]


def test_a_fault_is_taken_out_and_the_others_stay(emulator: Emulator) -> None:
    other = Fault(operation="import", effect=Drop())
    emulator.faults.add(other)

    with in_force(emulator) as happens:
        happens(Drop(), "import")
        assert len(emulator.faults.active()) == 2

    assert emulator.faults.active() == [other]


@pytest.mark.parametrize("nth", [1, 2])
def test_an_import_is_made_and_answered_503(
    http: Raw, emulator: Emulator, applied_then_503: Happens, nth: int
) -> None:
    applied_then_503("import", nth=nth)

    statuses = [http.send_import(leaf().pfx()).status_code for _ in range(2)]

    assert statuses[nth - 1] == 503
    assert len(emulator.vault("my-vault").versions("api")) == 2


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_is_cut(
    http: Raw, emulator: Emulator, request: pytest.FixtureRequest, when: str
) -> None:
    cut: Happens = request.getfixturevalue(f"cut_{when}")
    cut("import")

    with pytest.raises(httpx.TransportError):
        http.send_import(leaf().pfx())

    assert len(emulator.vault("my-vault").versions("api")) == (when == "after")


def test_a_read_is_stale(http: Raw, stale: Happens) -> None:
    old = http.send_import(leaf().pfx()).json()["id"]
    http.send_import(leaf().pfx())
    stale("get_certificate")

    assert http.get(GET).json()["id"] == old


def test_what_is_imported_is_spoilt(
    http: Raw,
    emulator: Emulator,
    another_writer: Happens,
    another_certificate: Happens,
    forgotten_tags: Happens,
) -> None:
    made = leaf()
    another_writer()
    another_certificate()
    forgotten_tags()

    http.send_import(made.pfx(), tags={"a": "b"})

    ours, others = emulator.vault("my-vault").versions("api")
    assert made.certificate not in (ours.certificate, others.certificate)
    assert ours.tags == {}
