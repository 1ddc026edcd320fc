import ssl

import httpx
import pytest

from app.emulator import Answer, Denial, Drop, Emulator, Fault
from tests.emulator.conftest import Raw
from tests.emulator.making import leaf


def test_faults_can_be_set_seen_and_cleared(http: Raw, emulator: Emulator) -> None:
    wanted = {
        "operation": "import",
        "name": "api",
        "count": None,
        "effect": {"kind": "answer", "status": 503, "headers": [["Retry-After", "1"]]},
    }

    assert http.post("/_control/faults", json=wanted).status_code == 204

    effect = Answer(status=503, headers=(("Retry-After", "1"),))
    fault = Fault(operation="import", name="api", count=None, effect=effect)
    assert emulator.faults.active() == [fault]
    [shown] = http.get("/_control/faults").json()
    assert (shown["operation"], shown["effect"]["kind"]) == ("import", "answer")
    assert http.send_import(leaf().pfx()).headers["Retry-After"] == "1"
    http.delete("/_control/faults")
    assert emulator.faults.active() == []


def test_a_fault_without_details_needs_its_kind_only(http: Raw, emulator: Emulator) -> None:
    http.post("/_control/faults", json={"operation": "any", "effect": {"kind": "drop"}})

    assert emulator.faults.active() == [Fault(operation="any", effect=Drop())]


def test_calls_can_be_listed(http: Raw) -> None:
    http.send_import(leaf().pfx())

    shown = http.get("/_control/calls").json()

    assert shown["writes"] == 1
    assert [call["operation"] for call in shown["calls"]] == ["import"]


def test_denials_can_be_set_seen_and_lifted(http: Raw, emulator: Emulator) -> None:
    http.post("/_control/denials", json={"action": "certificates/read", "by": "policy"})

    assert emulator.state.denials == [Denial(action="certificates/read", by="policy")]
    assert http.get("/_control/denials").json()[0]["by"] == "policy"
    http.delete("/_control/denials")
    assert http.get("/certificates").status_code == 200


def test_the_clock_can_be_moved_and_everything_reset(http: Raw, emulator: Emulator) -> None:
    http.send_import(leaf().pfx())

    http.post("/_control/clock", json={"advance": 7200})

    assert http.get("/certificates").status_code == 401
    http.post("/_control/reset")
    assert http.get("/certificates").json()["value"] == []


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/_control/faults", {"operation": "import"}, 400),
        ("/_control/faults", {"operation": "no", "effect": {"kind": "drop"}}, 400),
        ("/_control/denials", {"by": "magic"}, 400),
        ("/_control/clock", {"advance": "soon"}, 400),
        ("/_control/denials", {"whom": "me"}, 400),
        ("/_control/none", {}, 404),
    ],
    ids=["no effect", "operation", "way", "time", "word", "path"],
)
def test_what_the_control_api_does_not_understand_it_says(
    http: Raw, path: str, body: dict[str, object], status: int
) -> None:
    answer = http.post(path, json=body)

    assert answer.status_code == status
    assert "error" in answer.json()


def test_there_is_no_control_api_unless_asked_for() -> None:
    emulator = Emulator()
    with emulator.running():
        trust = ssl.create_default_context(cadata=emulator.ca_pem)
        url = f"https://127.0.0.1:{emulator.port}/_control/calls"
        answer = httpx.get(url, verify=trust, timeout=10)

    assert answer.status_code == 401
