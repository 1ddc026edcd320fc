"""The control API: what a tester in another language does to the emulator."""

import ssl
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import hashes

from app.emulator import CLIENT_ID, Answer, Assignment, Budgets, Denial, Drop, Emulator, Fault
from app.emulator.control import table
from app.emulator.effects import EFFECTS
from app.emulator.federation import Federation
from tests.emulator.conftest import Raw
from tests.emulator.making import leaf
from tests.faults import Happens

OTHER = "44444444-4444-4444-4444-444444444444"
NAME = "vaults/my-vault/certificates/api"
DROP = {"kind": "drop"}


def done(answer: httpx.Response) -> Any:  # noqa: ANN401 - as JSON has it
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


def get(http: Raw, control: str) -> Any:  # noqa: ANN401 - as JSON has it
    return done(http.get(f"/_control/{control}"))


def post(http: Raw, control: str, **body: object) -> Any:  # noqa: ANN401 - as JSON has it
    return done(http.post(f"/_control/{control}", json=body))


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


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: effect.kind)
def test_every_effect_can_be_told_and_reads_as_it_was_told(
    http: Raw, emulator: Emulator, effect: type[Any]
) -> None:
    least: dict[str, dict[str, Any]] = {"answer": {"status": 500}, "delay": {"seconds": 0.5}}
    needed = least.get(effect.kind, {})

    post(http, "faults", operation="any", effect={"kind": effect.kind, **needed})

    assert emulator.faults.active() == [Fault(operation="any", effect=effect(**needed))]
    [shown] = get(http, "faults")
    emulator.faults.clear()
    post(http, "faults", **shown)
    assert emulator.faults.active() == [Fault(operation="any", effect=effect(**needed))]


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


@pytest.mark.parametrize(
    ("role", "kept"),
    [("Key Vault Reader", "Key Vault Reader"), (["certificates/read"], ("certificates/read",))],
    ids=["built in", "custom"],
)
def test_roles_can_be_given_seen_and_taken_back(
    http: Raw, emulator: Emulator, role: object, kept: str | tuple[str, ...]
) -> None:
    post(http, "assignments", client_id=CLIENT_ID, role=role, vault="my-vault")

    assert emulator.state.assignments == [
        Assignment(client_id=CLIENT_ID, role=kept, vault="my-vault")
    ]
    assert get(http, "assignments")[0]["role"] == role
    assert http.delete("/certificates/api").status_code == 403
    http.delete("/_control/assignments")
    assert http.delete("/certificates/api").status_code == 404


def test_an_application_can_be_added_and_gets_federated_tokens(
    http: Raw, emulator: Emulator
) -> None:
    post(http, "applications", client_id=OTHER, client_secret="its-secret", subject="pod")

    assert {"client_id": OTHER, "subject": "pod"} in get(http, "applications")
    token = post(http, "federated-tokens", client_id=OTHER)["token"]
    Federation(tokens=emulator.tokens, clock=emulator.clock).check(token, subject="pod")


def test_an_application_is_listed_without_its_secret(http: Raw, emulator: Emulator) -> None:
    assert emulator.client_secret not in http.get("/_control/applications").text


def test_throttling_can_be_switched_on_seen_and_off(http: Raw) -> None:
    assert get(http, "budgets") == {"budgets": None}
    done(http.put("/_control/budgets", json={"others": 1, "seconds": 60}))
    assert get(http, "budgets")["budgets"]["others"] == 1
    assert [http.get("/certificates").status_code for _ in range(2)] == [200, 429]

    http.delete("/_control/budgets")

    assert http.get("/certificates").status_code == 200


def test_throttling_without_numbers_is_key_vaults_own(http: Raw, emulator: Emulator) -> None:
    done(http.put("/_control/budgets"))

    assert emulator.state.meter.budgets == Budgets()


def test_the_clock_can_be_moved_and_everything_reset(http: Raw, emulator: Emulator) -> None:
    http.send_import(leaf().pfx())
    before = get(http, "clock")["now"]

    http.post("/_control/clock", json={"advance": 7200})

    assert get(http, "clock")["now"] - before >= 7200
    assert http.get("/certificates").status_code == 401
    http.post("/_control/reset")
    assert http.get("/certificates").json()["value"] == []


def test_a_deletion_can_be_slow(http: Raw) -> None:
    http.send_import(leaf().pfx())
    done(http.put("/_control/deletion", json={"seconds": 60}))
    http.delete("/certificates/api")
    assert http.get("/deletedcertificates/api").status_code == 404

    post(http, "clock", advance=60)

    assert http.get("/deletedcertificates/api").status_code == 200


# ---- one certificate name


def test_another_writer_can_import_and_its_versions_be_seen_without_a_key(
    http: Raw, emulator: Emulator
) -> None:
    first, second = leaf(), leaf()
    http.send_import(first.pfx(), tags={"mine": "yes"})

    post(http, f"{NAME}/versions", cert_pem=second.cert_pem, key_pem=second.key_pem)

    answer = http.get(f"/_control/{NAME}/versions")
    ours, theirs = answer.json()
    assert (ours["tags"], theirs["tags"]) == ({"mine": "yes"}, {})
    stored = emulator.vault("my-vault").versions("api")
    assert [shown["thumbprint"] for shown in (ours, theirs)] == [
        made.certificate.fingerprint(hashes.SHA256()).hex() for made in stored
    ]
    assert (theirs["version"], theirs["created"]) == (stored[1].version, stored[1].created)
    assert http.get("/certificates/api").json()["x5t"] == theirs["x5t"]
    assert "PRIVATE" not in answer.text
    assert emulator.writes == 1


def test_a_name_without_versions_is_an_empty_list(http: Raw) -> None:
    assert get(http, f"{NAME}/versions") == []


def test_a_version_can_be_disabled_and_enabled_again(http: Raw) -> None:
    for _ in range(2):
        http.send_import(leaf().pfx())
    old, new = (shown["version"] for shown in get(http, f"{NAME}/versions"))

    done(http.put(f"/_control/{NAME}/enabled", json={"enabled": False}))
    done(http.put(f"/_control/{NAME}/enabled", json={"enabled": False, "version": old}))
    assert [shown["enabled"] for shown in get(http, f"{NAME}/versions")] == [False, False]
    done(http.put(f"/_control/{NAME}/enabled", json={"enabled": True, "version": new}))

    assert [shown["enabled"] for shown in get(http, f"{NAME}/versions")] == [False, True]


def test_parts_of_a_policy_can_be_replaced(http: Raw) -> None:
    http.send_import(leaf().pfx())
    before = get(http, f"{NAME}/policy")

    done(http.patch(f"/_control/{NAME}/policy", json={"issuer": {"name": "Self"}}))

    assert get(http, f"{NAME}/policy") == {**before, "issuer": {"name": "Self"}}


def test_an_operation_can_be_pending_and_be_over(http: Raw) -> None:
    done(http.put(f"/_control/{NAME}/pending"))
    assert http.send_import(leaf().pfx()).status_code == 409

    http.delete(f"/_control/{NAME}/pending")

    assert http.send_import(leaf().pfx()).status_code == 200


def test_a_pending_operation_can_be_completed(http: Raw) -> None:
    done(http.put(f"/_control/{NAME}/pending", json={"in_progress": False}))

    assert http.get("/certificates/api/pending").json()["status"] == "completed"


# ---- what it does not understand


@pytest.mark.parametrize(
    ("control", "body", "told"),
    [
        ("POST faults", {"operation": "import"}, "effect: is missing"),
        ("POST faults", {"operation": "no", "effect": DROP}, "operation: "),
        ("POST faults", {"operation": "any", "effect": {"kind": "fire"}}, "effect: "),
        ("POST faults", {"operation": "any", "effect": {}}, "'kind'"),
        ("POST faults", {"operation": "any", "effect": DROP, "when": 1}, "when: there is no such"),
        ("POST faults", {"operation": "any", "effect": {**DROP, "a": 1}}, "a: there is no such"),
        ("POST faults", {"operation": "any", "effect": DROP, "nth": 0}, "nth and count"),
        ("POST faults", {"operation": "any", "effect": DROP, "nth": "2"}, "nth: "),
        ("POST faults", {"operation": "any", "effect": {"kind": "answer"}}, "status: is missing"),
        (
            "POST faults",
            {"operation": "any", "effect": {"kind": "delay", "seconds": -1}},
            "seconds must be 0 or more",
        ),
        ("POST denials", {"by": "magic"}, "by: "),
        ("POST denials", {"whom": "me"}, "whom: there is no such field"),
        ("POST denials", {"action": "certificates/list"}, "action 'certificates/list' is no data"),
        ("POST assignments", {"client_id": OTHER, "role": "Key Vault Reader"}, "client_id"),
        ("POST assignments", {"client_id": CLIENT_ID, "role": "Owner"}, "role 'Owner'"),
        (
            "POST assignments",
            {"client_id": CLIENT_ID, "role": ["certificates/listversions/read"]},
            "InvalidDataActionOrNotDataAction: 'Microsoft.KeyVault/vaults/certificates/listversion",
        ),
        ("POST federated-tokens", {"client_id": "nobody"}, "client_id 'nobody'"),
        ("PUT budgets", {"seconds": 0}, "seconds must be more than 0"),
        ("PUT budgets", {"imports": -1}, "imports, others"),
        ("PUT budgets", {"reads": 1}, "reads: there is no such field"),
        ("POST clock", {"advance": "soon"}, "advance: "),
        ("POST clock", {}, "advance: is missing"),
        ("POST clock", {"advance": -5}, "must be 0 or more: time does not go back"),
        ("PUT deletion", {"seconds": -1}, "seconds must be 0 or more"),
        ("POST reset", {"everything": True}, "takes no body"),
        (f"POST {NAME}/versions", {"cert_pem": "x", "key_pem": "y"}, "cert_pem is not readable"),
        ("POST vaults/v/certificates/a_b/versions", {"cert_pem": "", "key_pem": ""}, "name must"),
        (f"PATCH {NAME}/policy", {"tags": {}}, "tags: there is no such field"),
    ],
)
def test_what_the_control_api_does_not_understand_it_says(
    http: Raw, emulator: Emulator, control: str, body: dict[str, object], told: str
) -> None:
    method, _, path = control.partition(" ")

    answer = http.request(method, f"/_control/{path}", json=body)

    assert answer.status_code == 400
    assert told in answer.json()["error"]
    assert emulator.faults.active() == []


@pytest.mark.parametrize("body", [b"{", b"[]", b'"drop"', b"\xff"], ids=repr)
def test_a_body_that_is_no_json_object_is_refused(http: Raw, body: bytes) -> None:
    answer = http.post("/_control/faults", content=body)

    assert answer.status_code == 400
    assert answer.json()["error"].startswith("body: ")


@pytest.mark.parametrize("field", ["key_pem", "chain_pem"])
def test_a_key_is_not_told_back(http: Raw, field: str) -> None:
    made = leaf()
    bad = {"key_pem": made.key_pem.replace("A", "_"), "chain_pem": made.key_pem}

    body = {"cert_pem": made.cert_pem, "key_pem": made.key_pem, field: bad[field]}
    answer = http.post(f"/_control/{NAME}/versions", json=body)

    assert (answer.status_code, answer.json()) == (
        400,
        {"error": f"{field} is not readable as PEM"},
    )
    mistyped = http.post(f"/_control/{NAME}/versions", json={**body, field: [made.key_pem]})
    assert mistyped.status_code == 400
    assert made.key_pem.splitlines()[1] not in mistyped.text


@pytest.mark.parametrize(
    ("control", "told"),
    [
        ("POST none", "There is no control POST none"),
        ("PUT faults", "There is no control PUT faults"),
        ("GET vaults/my-vault", "There is no control"),
        (f"GET {NAME}/policy", "There is no certificate api in the vault my-vault."),
        (f"PUT {NAME}/enabled", "There is no certificate api in the vault my-vault."),
    ],
)
def test_what_is_not_there_is_not_found(http: Raw, control: str, told: str) -> None:
    method, _, path = control.partition(" ")

    body = {"enabled": True} if path.endswith("enabled") else None
    answer = http.request(method, f"/_control/{path}", json=body)

    assert answer.status_code == 404
    assert told in answer.json()["error"]


def test_a_version_that_is_not_there_is_not_found(http: Raw) -> None:
    http.send_import(leaf().pfx())

    answer = http.put(f"/_control/{NAME}/enabled", json={"enabled": True, "version": "f00d"})

    assert (answer.status_code, "f00d" in answer.json()["error"]) == (404, True)


def test_the_control_api_lists_its_controls(http: Raw, emulator: Emulator) -> None:
    shown = {one["control"]: one for one in get(http, "")}

    federation = Federation(tokens=emulator.tokens, clock=emulator.clock)
    assert list(shown) == list(table(emulator.state, federation))
    assert shown["POST faults"]["required"] == ["operation", "effect"]
    assert shown["POST faults"]["optional"] == ["vault", "name", "nth", "count"]
    assert shown["DELETE faults"]["required"] == shown["DELETE faults"]["optional"] == []


def test_the_control_api_is_served_past_every_fault_and_denial(
    http: Raw, emulator: Emulator, cut_before: Happens
) -> None:
    cut_before("any", count=None)
    emulator.deny()

    assert get(http, "denials") != []
    assert emulator.calls == []


def test_there_is_no_control_api_unless_asked_for() -> None:
    emulator = Emulator()
    with emulator.running():
        trust = ssl.create_default_context(cadata=emulator.ca_pem)
        url = f"https://127.0.0.1:{emulator.port}/_control/"
        with httpx.Client(base_url=url, verify=trust, timeout=10) as client:
            answers = [client.get(""), client.get("calls"), client.post("reset")]

    assert [answer.status_code for answer in answers] == [401] * 3
