import time
from typing import Any

import httpx
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
from tests.emulator.conftest import Raw
from tests.emulator.making import leaf
from tests.faults import Happens

GET = "/certificates/api"


def count(emulator: Emulator) -> int:
    return len(emulator.vault("my-vault").versions("api"))


def test_an_answer_comes_instead_of_the_work(http: Raw, emulator: Emulator) -> None:
    effect = Answer(
        status=429, code="Throttled", message="slow", inner="x", headers=(("Retry-After", "1"),)
    )
    emulator.faults.add(Fault(operation="import", effect=effect))

    answer = http.send_import(leaf().pfx())

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert answer.json() == {
        "error": {"code": "Throttled", "message": "slow", "innererror": {"code": "x"}}
    }
    assert (count(emulator), emulator.writes) == (0, 0)
    assert http.send_import(leaf().pfx()).status_code == 200


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("<html><body>Blocked</body></html>", "text/html"),
        ('{"error": {"code": "Thr', "application/json; charset=utf-8"),
        ("upstream connect error", None),
        ("Zugriff verweigert: \u00fcberlastet", None),
        ("", None),
    ],
    ids=["html page", "half a document", "text", "umlauts", "nothing"],
)
def test_an_answer_can_have_any_body(
    http: Raw, emulator: Emulator, answered: Happens, body: str, content_type: str | None
) -> None:
    headers = (("Content-Type", content_type),) if content_type else ()
    answered("import", 502, body=body, headers=headers)

    answer = http.send_import(leaf().pfx())

    assert (answer.status_code, answer.text) == (502, body)
    usual = "text/plain; charset=utf-8" if body else None
    assert answer.headers.get("Content-Type") == (content_type or usual)
    assert len(answer.headers.get_list("Content-Type")) == bool(body)
    assert count(emulator) == 0


def test_an_answer_that_is_no_error_can_still_be_a_lie(http: Raw, answered: Happens) -> None:
    answered("get_certificate", 200, body="{}", headers=(("Content-Type", "application/json"),))

    answer = http.get(GET)

    assert (answer.status_code, answer.json()) == (200, {})


def test_headers_of_an_answer_replace_the_usual_ones(http: Raw, answered: Happens) -> None:
    answered("list_certificates", 503, headers=(("Cache-Control", "max-age=60"), ("Via", "1.1 x")))

    headers = http.get("/certificates").headers

    assert headers.get_list("Cache-Control") == ["max-age=60"]
    assert headers["Via"] == "1.1 x"
    assert "x-ms-request-id" in headers


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"status": 99}, "status must be 200 to 599"),
        ({"status": 600}, "status must be 200 to 599"),
        ({"status": 204}, "body must be empty for status 204"),
        ({"status": 304, "body": "x"}, "body must be empty for status 304"),
        ({"status": 500, "headers": (("Content-Length", "0"),)}, "'Content-Length'"),
        ({"status": 500, "headers": (("transfer-encoding", "chunked"),)}, "'transfer-encoding'"),
        ({"status": 500, "headers": (("a b", "c"),)}, "'a b'"),
        ({"status": 500, "headers": (("a", "b\r\nc: d"),)}, "the value of a"),
    ],
)
def test_an_answer_that_would_be_no_http_is_an_error(words: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Answer(**words)


def test_an_answer_without_a_body_is_served_as_such(http: Raw, answered: Happens) -> None:
    answered("list_certificates", 204, body="")

    first, second = (http.get("/certificates") for _ in range(2))

    assert (first.status_code, second.status_code) == (204, 200)
    assert "Content-Length" not in first.headers


def test_an_import_can_be_made_and_answered_503(http: Raw, emulator: Emulator) -> None:
    emulator.faults.add(Fault(operation="import", effect=Answer(status=503, applied=True)))

    answer = http.send_import(leaf().pfx())

    assert (answer.status_code, count(emulator), emulator.writes) == (503, 1, 1)


@pytest.mark.parametrize(("applied", "stored"), [(False, 0), (True, 1)], ids=["before", "after"])
def test_the_connection_can_be_cut_before_or_after_the_work(
    http: Raw,
    emulator: Emulator,
    caplog: pytest.LogCaptureFixture,
    applied: bool,  # noqa: FBT001 - a parameter of the test
    stored: int,
) -> None:
    emulator.faults.add(Fault(operation="import", effect=Drop(applied=applied)))

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        http.send_import(leaf().pfx())

    assert (count(emulator), emulator.writes) == (stored, stored)
    assert [(call.operation, call.status) for call in emulator.calls] == [("import", 0)]
    assert http.get("/certificates").status_code == 200
    assert caplog.records == []


def test_a_refused_request_is_not_answered_falsely(http: Raw, emulator: Emulator) -> None:
    emulator.faults.add(Fault(operation="any", effect=Drop(applied=True)))

    assert http.get(GET).status_code == 404


def test_a_delay_takes_real_time(http: Raw, emulator: Emulator) -> None:
    emulator.faults.add(Fault(operation="get_certificate", effect=Delay(seconds=0.05)))
    started = time.perf_counter()

    http.get(GET)

    assert time.perf_counter() - started >= 0.05


def test_a_delayed_answer_runs_into_the_clients_time_limit(http: Raw, emulator: Emulator) -> None:
    emulator.faults.add(Fault(operation="get_certificate", effect=Delay(seconds=30)))

    # no SDK here: a timed-out aiohttp connection outlives the loop of a test
    with pytest.raises(httpx.ReadTimeout):
        http.get(GET, timeout=0.1)

    assert http.get(GET).status_code == 404


def test_a_fault_can_begin_late_and_last(http: Raw, emulator: Emulator) -> None:
    fault = Fault(operation="list_certificates", effect=Answer(status=500), nth=2, count=2)
    emulator.faults.add(fault)

    statuses = [http.get("/certificates").status_code for _ in range(4)]

    assert statuses == [200, 500, 500, 200]
    assert emulator.faults.active() == [fault]


def test_a_fault_can_last_for_ever_and_be_cleared(http: Raw, emulator: Emulator) -> None:
    effect = Answer(status=500)
    emulator.faults.add(Fault(operation="list_certificates", effect=effect, count=None))
    assert [http.get("/certificates").status_code for _ in range(3)] == [500] * 3

    emulator.faults.clear()

    assert http.get("/certificates").status_code == 200


def test_a_fault_can_be_for_one_certificate_of_one_vault(http: Raw, emulator: Emulator) -> None:
    effect = Answer(status=500)
    emulator.faults.add(
        Fault(operation="get_certificate", effect=effect, vault="my-vault", name="api", count=None)
    )

    other = http.get(GET, headers={"Host": "other.vault.azure.net"}).status_code

    assert (http.get(GET).status_code, http.get("/certificates/web").status_code) == (500, 404)
    assert other == 404


def test_a_fault_finds_its_certificate_however_the_names_are_written(
    http: Raw, emulator: Emulator
) -> None:
    effect = Answer(status=500)
    emulator.faults.add(
        Fault(operation="get_certificate", effect=effect, vault="My-Vault", name="API")
    )

    assert http.get(GET).status_code == 500


@pytest.mark.parametrize(
    ("operation", "effect"),
    [
        ("get_certificate", AnotherWriter()),
        ("update_certificate", ForgetTags()),
        ("get_secret", StoreAnother()),
        ("list_certificates", StaleRead()),
        ("import", StaleRead()),
    ],
)
def test_a_fault_that_could_never_happen_is_an_error(operation: Operation, effect: Effect) -> None:
    with pytest.raises(ValueError, match=f"{effect.kind} never happens to {operation}"):
        Fault(operation=operation, effect=effect)


def test_a_read_can_be_stale(http: Raw, emulator: Emulator) -> None:
    old = http.send_import(leaf().pfx()).json()["id"]
    new = http.send_import(leaf().pfx()).json()["id"]
    emulator.faults.add(Fault(operation="get_certificate", effect=StaleRead(), count=2))
    emulator.faults.add(Fault(operation="get_certificate_version", effect=StaleRead()))

    seen = [http.get(GET).json()["id"] for _ in range(3)]

    assert seen == [old, old, new]
    version = f"{GET}/{new.rpartition('/')[2]}"
    assert [http.get(version).status_code for _ in range(2)] == [404, 200]


def test_a_first_import_can_be_invisible_for_a_while(http: Raw, emulator: Emulator) -> None:
    http.send_import(leaf().pfx())
    emulator.faults.add(Fault(operation="any", effect=StaleRead(), count=3))

    assert http.get(GET).status_code == 404
    assert http.get("/secrets/api").status_code == 404
    assert http.get("/certificates/api/versions").json()["value"] == []
    assert http.get(GET).status_code == 200


def test_another_writer_can_come_in_between(http: Raw, emulator: Emulator) -> None:
    made = leaf()
    emulator.faults.add(Fault(operation="import", effect=AnotherWriter()))

    ours = http.send_import(made.pfx()).json()["id"]

    first, second = emulator.vault("my-vault").versions("api")
    assert ours.endswith(first.version)
    assert first.certificate == made.certificate
    assert http.get(GET).json()["id"].endswith(second.version)
    assert second.certificate != made.certificate
    assert emulator.writes == 1


@pytest.mark.parametrize(
    "policy", [None, {"secret_props": {"contentType": "application/x-pem-file"}}]
)
def test_another_certificate_can_be_stored_than_the_one_sent(
    http: Raw, emulator: Emulator, policy: dict[str, object] | None
) -> None:
    made = leaf()
    emulator.faults.add(Fault(operation="import", effect=StoreAnother()))

    body = http.send_import(made.pem if policy else made.pfx(), policy=policy).json()

    [stored] = emulator.vault("my-vault").versions("api")
    assert body["x5t"] == stored.x5t
    assert stored.certificate != made.certificate
    assert (
        http.get("/secrets/api").json()["contentType"]
        == (body["policy"]["secret_props"]["contentType"])
    )


def test_tags_can_be_forgotten(http: Raw, emulator: Emulator) -> None:
    emulator.faults.add(Fault(operation="import", effect=ForgetTags()))

    body = http.send_import(leaf().pfx(), tags={"a": "b"}).json()

    assert "tags" not in body


@pytest.mark.parametrize("when", [{"nth": 0}, {"count": 0}], ids=["nth", "count"])
def test_a_call_that_never_comes_is_an_error(when: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="nth and count must be 1 or more"):
        Fault(operation="import", effect=Drop(), **when)  # type: ignore[arg-type] # one of two


def test_a_delay_into_the_past_is_an_error() -> None:
    with pytest.raises(ValueError, match="seconds must be 0 or more"):
        Delay(seconds=-1)


def test_a_misspelt_operation_is_an_error() -> None:
    with pytest.raises(ValueError, match="no such operation"):
        Fault(operation="imports", effect=Drop())  # type: ignore[arg-type] # on purpose
