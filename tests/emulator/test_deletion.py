from app.emulator import Emulator
from tests.emulator.conftest import VAULT, Raw
from tests.emulator.making import leaf


def test_a_deleted_certificate_can_be_seen_and_recovered(http: Raw, emulator: Emulator) -> None:
    identifier = http.send_import(leaf().pfx()).json()["id"]

    deleted = http.delete("/certificates/api").json()

    assert deleted["id"] == identifier
    assert deleted["recoveryId"] == f"{VAULT}/deletedcertificates/api"
    assert deleted["scheduledPurgeDate"] == deleted["deletedDate"] + 90 * 86_400
    assert http.get("/certificates/api").status_code == 404
    assert http.get("/deletedcertificates/api").json() == deleted
    assert http.post("/deletedcertificates/api/recover").json()["id"] == identifier
    assert http.get("/certificates/api").json()["id"] == identifier
    assert emulator.writes == 3


def test_a_purged_certificate_frees_its_name(http: Raw) -> None:
    http.send_import(leaf().pfx())
    http.delete("/certificates/api")

    answer = http.delete("/deletedcertificates/api")

    assert (answer.status_code, answer.content) == (204, b"")
    assert http.send_import(leaf().pfx()).status_code == 200


def test_a_deletion_is_final_after_90_days(http: Raw, emulator: Emulator) -> None:
    http.send_import(leaf().pfx())
    http.delete("/certificates/api")
    emulator.clock.advance(90 * 86_400 - 60)
    http.headers["Authorization"] = http.bearer()
    assert http.get("/deletedcertificates/api").status_code == 200

    emulator.clock.advance(60)

    assert http.get("/deletedcertificates/api").status_code == 404
    assert http.get("/deletedcertificates").json()["value"] == []
    assert http.send_import(leaf(days=(-1, 99)).pfx()).status_code == 200


def test_a_deletion_takes_its_time(http: Raw, emulator: Emulator) -> None:
    emulator.slow_deletion(5)
    http.send_import(leaf().pfx())
    http.delete("/certificates/api")

    assert http.get("/certificates/api").status_code == 404
    assert http.get("/deletedcertificates/api").status_code == 404
    assert http.get("/deletedcertificates").json()["value"] == []
    emulator.clock.advance(5)
    assert http.get("/deletedcertificates/api").status_code == 200


def test_deleted_certificates_are_listed(http: Raw) -> None:
    http.send_import(leaf().pfx())
    http.delete("/certificates/api")

    [item] = http.get("/deletedcertificates").json()["value"]

    assert item["id"] == f"{VAULT}/certificates/api"
    assert {"recoveryId", "deletedDate", "scheduledPurgeDate", "x5t"} <= set(item)


def test_what_is_not_there_cannot_be_deleted_recovered_or_purged(http: Raw) -> None:
    answers = [
        http.delete("/certificates/none"),
        http.post("/deletedcertificates/none/recover"),
        http.delete("/deletedcertificates/none"),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
