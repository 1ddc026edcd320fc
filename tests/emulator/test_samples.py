import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509

from app.emulator import Emulator
from tests.emulator.conftest import Raw
from tests.emulator.recorded import SAMPLES, Exchange, differences, exchanges
from tests.emulator.situations import SITUATIONS, Stage

FILES = sorted(SAMPLES.glob("*.json"))

_CUT = "the sample was cut short here"
_OLDER = "the example is older than the property, which every recording has"
# (sample, which of its exchanges): where the emulator answers otherwise, and why.
# One is asked otherwise: what was recorded under a preview of the API, see `situations.PREVIEW`.
DEVIATIONS: dict[tuple[str, int], dict[str, str]] = {
    ("03-import-pem-with-policy-issuer-self.200", 1): {
        "headers.x-ms-keyvault-rbac-assignment-id": "it names a role assignment; there is none",
    },
    ("06-patch-disable-then-get-version.200", 2): {
        **{
            f"body.attributes.{name}": _CUT
            for name in ("exp", "created", "updated", "recoveryLevel", "recoverableDays")
        },
        "body.pending.id": _CUT,
    },
    ("24-spec-import-example-2026-04-01", 1): {
        "body.attributes.recoverableDays": _OLDER,
        "body.policy.x509_props.basic_constraints.ca": _OLDER,
    },
    ("27-list-deleted-then-purge.200", 1): {
        "body.nextLink": "unknown is why a short page names an empty next one; ours never does",
    },
}


@pytest.mark.parametrize("sample", FILES, ids=lambda path: path.stem)
def test_the_emulator_answers_as_key_vault_did(sample: Path, emulator: Emulator, http: Raw) -> None:
    assert sample.stem in SITUATIONS, f"{sample.name} has no situation"
    recorded = exchanges(sample)
    stage = Stage(emulator=emulator, http=http, first=recorded[0])
    SITUATIONS[sample.stem](stage)

    for number, exchange in enumerate(recorded, 1):
        found = differences(exchange, stage.play(exchange))

        assert found.keys() == DEVIATIONS.get((sample.stem, number), {}).keys(), found


def test_every_situation_has_a_sample_and_every_sample_a_source() -> None:
    listed = (SAMPLES / "README.md").read_text()

    assert {file.stem for file in FILES} == SITUATIONS.keys()
    assert [file.name for file in FILES if f"| {file.name} |" not in listed] == []


def test_no_sample_holds_a_private_key() -> None:
    values = [value for file in FILES for value in _values(json.loads(file.read_text()))]
    encoded = [value for value in values if re.fullmatch("[A-Za-z0-9+/=]{200,}", value)]

    assert encoded
    for value in encoded:
        x509.load_der_x509_certificate(base64.b64decode(value))
    assert [value for value in values if "PRIVATE KEY" in value] == []


def _values(document: Any) -> list[str]:  # noqa: ANN401 - any JSON
    if isinstance(document, dict):
        document = list(document.values())
    if isinstance(document, list):
        return [value for part in document for value in _values(part)]
    return [document] if isinstance(document, str) else []


HEADERS = {"Content-Type": "application/json"}
RECORDED = Exchange(
    method="GET",
    uri="https://v.vault.azure.net/certificates/api",
    sent=None,
    with_token=True,
    status=403,
    headers=HEADERS,
    body={
        "error": {"code": "Forbidden", "message": "No, 10.0.0.1.", "innererror": {"code": "X"}},
        "attributes": {"nbf": 1, "enabled": True},
        "value": [],
    },
)


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("status", {"status": 404}),
        ("headers.content-type", {"headers": {"Content-Type": "text/html"}}),
        ("headers.retry-after", {"headers": {**HEADERS, "Retry-After": "1"}}),
        ("body.error.code", {"error": {**RECORDED.body["error"], "code": "Conflict"}}),
        ("body.error.message", {"error": {**RECORDED.body["error"], "message": "Never."}}),
        ("body.error.innererror.code", {"error": {"code": "Forbidden", "message": "No, 1.1.1.1."}}),
        ("body.attributes.nbf", {"attributes": {"nbf": "1", "enabled": True}}),
        ("body.attributes.enabled", {"attributes": {"nbf": 2, "enabled": 1}}),
        ("body.attributes.exp", {"attributes": {"nbf": 2, "enabled": True, "exp": 3}}),
        ("body.value", {"value": None}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_any_other_answer_would_be_noticed(place: str, change: dict[str, Any]) -> None:
    known = {name: change[name] for name in ("status", "headers") if name in change}
    inside = {name: part for name, part in change.items() if name not in known}
    came = replace(RECORDED, body={**RECORDED.body, **inside}, **known)
    answer = httpx.Response(came.status, headers=came.headers, content=json.dumps(came.body))

    assert place in differences(RECORDED, answer)


def test_ids_times_and_addresses_may_be_others() -> None:
    body = {
        "error": {**RECORDED.body["error"], "message": "No, 127.0.0.1."},
        "attributes": {"nbf": 2, "enabled": True},
        "value": [],
    }
    answer = httpx.Response(403, headers=HEADERS, content=json.dumps(body))

    assert differences(RECORDED, answer) == {}
