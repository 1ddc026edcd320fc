import pytest

from app.emulator import Answer, Emulator, Fault
from tests.emulator.conftest import VAULT, Raw
from tests.emulator.making import leaf

PENDING = "/certificates/api/pending"
CANCEL = {"cancellation_requested": True}


def test_a_pending_creation_is_shown(http: Raw, emulator: Emulator) -> None:
    http.send_import(leaf().pfx())
    operation = emulator.vault("my-vault").set_pending("api", in_progress=True)

    shown = http.get(PENDING)

    assert (shown.json()["status"], shown.headers["Retry-After"]) == ("inProgress", "10")
    assert shown.json()["request_id"] == operation.request_id
    pending = {"id": f"{VAULT}{PENDING}"}
    assert http.get("/certificates/api/").json()["pending"] == pending
    emulator.vault("my-vault").clear_pending("api")
    assert "pending" not in http.get("/certificates/api/").json()


def test_a_completed_creation_names_its_target(http: Raw, emulator: Emulator) -> None:
    emulator.vault("my-vault").set_pending("api", in_progress=False)

    shown = http.get(PENDING)

    assert (shown.json()["status"], shown.json()["target"]) == (
        "completed",
        f"{VAULT}/certificates/api",
    )
    assert "Retry-After" not in shown.headers


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_no_pending_creation_is_answered_404(http: Raw, method: str) -> None:
    answer = http.request(method, PENDING, json=CANCEL)

    error = {"code": "PendingCertificateNotFound", "message": "Pending Certificate not found: api"}
    assert (answer.status_code, answer.json()) == (404, {"error": error})


def test_after_its_cancellation_the_name_can_be_imported_to(http: Raw, emulator: Emulator) -> None:
    emulator.vault("my-vault").set_pending("api")
    assert http.send_import(leaf().pfx()).status_code == 409

    http.patch(PENDING, json=CANCEL)

    assert http.send_import(leaf().pfx()).status_code == 200
    assert emulator.writes == 2


def test_a_forgotten_creation_does_not_stand_in_the_way(http: Raw, emulator: Emulator) -> None:
    emulator.vault("my-vault").set_pending("api")

    http.delete(PENDING)

    assert http.get("/certificates/api/").status_code == 404
    assert http.send_import(leaf().pfx()).status_code == 200


@pytest.mark.parametrize("finished", ["completed", "cancelled"])
def test_what_is_not_in_progress_cannot_be_cancelled(
    http: Raw, emulator: Emulator, finished: str
) -> None:
    emulator.vault("my-vault").set_pending("api", in_progress=finished != "completed")
    if finished == "cancelled":
        http.patch(PENDING, json=CANCEL)

    answer = http.patch(PENDING, json=CANCEL)

    assert (answer.status_code, http.get(PENDING).json()["status"]) == (400, finished)


@pytest.mark.parametrize(
    "body", [{}, {"cancellation_requested": False}], ids=["nothing", "not asked"]
)
def test_nothing_but_a_cancellation_can_be_asked(
    http: Raw, emulator: Emulator, body: dict[str, bool]
) -> None:
    emulator.vault("my-vault").set_pending("api")

    assert http.patch(PENDING, json=body).status_code == 400
    assert http.get(PENDING).json()["cancellation_requested"] is False


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_changing_it_needs_the_right_to_update(http: Raw, emulator: Emulator, method: str) -> None:
    emulator.vault("my-vault").set_pending("api")
    emulator.deny(action="certificates/update/action")

    assert http.request(method, PENDING, json=CANCEL).status_code == 403
    assert http.get(PENDING).status_code == 200


def test_its_operations_can_fail_on_command(http: Raw, emulator: Emulator) -> None:
    emulator.vault("my-vault").set_pending("api")
    emulator.faults.add(Fault(operation="update_pending", effect=Answer(status=503)))
    emulator.faults.add(Fault(operation="delete_pending", effect=Answer(status=503)))

    answers = [http.patch(PENDING, json=CANCEL), http.delete(PENDING)]

    assert [answer.status_code for answer in answers] == [503, 503]


def test_a_purged_name_has_no_creation_any_more(http: Raw, emulator: Emulator) -> None:
    http.send_import(leaf().pfx())
    emulator.vault("my-vault").set_pending("api", in_progress=False)
    http.delete("/certificates/api")

    assert http.get("/deletedcertificates/api").json()["pending"] == {"id": f"{VAULT}{PENDING}"}
    http.delete("/deletedcertificates/api")
    assert http.get(PENDING).status_code == 404
