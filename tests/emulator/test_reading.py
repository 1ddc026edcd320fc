import base64
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import pkcs12

from app.emulator import Emulator
from tests.emulator.conftest import VAULT, Raw
from tests.emulator.making import leaf, usage

NOT_FOUND = (
    "A {kind} with (name/id) {name} was not found in this key vault. If you recently deleted this "
    "{kind} you may be able to recover it using the correct recovery command. For help resolving "
    "this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182"
)


def assert_missing(answer: httpx.Response, code: str, message: str) -> None:
    assert (answer.status_code, answer.json()) == (
        404,
        {"error": {"code": code, "message": message}},
    )


def imported(http: Raw, tags: dict[str, str] | None = None) -> str:
    answer = http.send_import(leaf().pfx(), tags=tags)
    return str(answer.json()["id"]).rpartition("/")[2]


@pytest.mark.parametrize("slash", ["", "/"], ids=["without slash", "with slash"])
def test_the_latest_version_comes_with_the_policy(http: Raw, slash: str) -> None:
    imported(http)
    version = imported(http)

    body = http.get(f"/certificates/api{slash}").json()

    assert body["id"] == f"{VAULT}/certificates/api/{version}"
    assert "policy" in body


def test_a_version_comes_without_the_policy(http: Raw) -> None:
    version = imported(http, tags={"a": "b"})
    imported(http)

    body = http.get(f"/certificates/api/{version}").json()

    assert body["id"] == f"{VAULT}/certificates/api/{version}"
    assert body["tags"] == {"a": "b"}
    assert "policy" not in body


@pytest.mark.parametrize(
    ("path", "code", "kind", "name"),
    [
        ("/certificates/none/", "CertificateNotFound", "certificate", "none"),
        ("/certificates/none/policy", "CertificateNotFound", "certificate", "none"),
        ("/certificates/api/0123", "CertificateNotFound", "certificate", "api/0123"),
        ("/secrets/none/", "SecretNotFound", "secret", "none"),
        ("/secrets/api/0123", "SecretNotFound", "secret", "api/0123"),
    ],
    ids=["certificate", "policy", "version", "secret", "secret version"],
)
def test_what_is_not_there_is_answered_404(
    http: Raw, path: str, code: str, kind: str, name: str
) -> None:
    imported(http)

    assert_missing(http.get(path), code, NOT_FOUND.format(kind=kind, name=name))


def test_the_port_of_a_local_vault_is_part_of_its_ids(http: Raw) -> None:
    host = {"Host": "localhost:18543"}
    http.post("/certificates/api/import", headers=host, json={"value": leaf().pfx()})

    body = http.get("/certificates/api", headers=host).json()

    assert body["id"].startswith("https://localhost:18543/certificates/api/")


def test_the_default_port_is_not_part_of_ids(http: Raw) -> None:
    imported(http)

    body = http.get("/certificates/api", headers={"Host": "My-Vault.vault.azure.net:443"}).json()

    assert body["id"].startswith(f"{VAULT}/certificates/api/")


def test_names_are_not_told_apart_by_case(http: Raw, emulator: Emulator) -> None:
    first = http.send_import(leaf().pfx(), name="Api").json()["id"]
    http.delete("/certificates/aPi")
    assert http.send_import(leaf().pfx(), name="API").status_code == 409
    http.post("/deletedcertificates/api/recover")

    second = http.send_import(leaf().pfx(), name="api").json()["id"]

    assert len(emulator.vault("my-vault").versions("API")) == 2
    assert http.get(f"/certificates/API/{first.rpartition('/')[2]}").status_code == 200
    assert http.get("/secrets/API").json()["id"].rpartition("/")[2] == second.rpartition("/")[2]
    [item] = http.get("/certificates").json()["value"]
    assert item["id"] == f"{VAULT}/certificates/Api"


# ---- enabled and tags


def test_a_disabled_latest_version_is_still_returned_but_not_its_secret(
    http: Raw, emulator: Emulator
) -> None:
    imported(http)
    version = imported(http)
    emulator.vault("my-vault").set_enabled("api", version, False)

    body = http.get("/certificates/api/").json()
    secret = http.get("/secrets/api/")

    assert (body["id"], body["attributes"]["enabled"]) == (
        f"{VAULT}/certificates/api/{version}",
        False,
    )
    assert secret.status_code == 403
    assert secret.json() == {
        "error": {
            "code": "Forbidden",
            "message": "Operation get is not allowed on a disabled secret.",
            "innererror": {"code": "SecretDisabled"},
        }
    }


def test_a_patch_changes_the_version_and_nothing_not_sent(http: Raw, emulator: Emulator) -> None:
    version = imported(http, tags={"a": "b"})
    emulator.clock.advance(10)

    body = http.patch(
        f"/certificates/api/{version}", json={"attributes": {"enabled": False}}
    ).json()

    assert body["attributes"]["enabled"] is False
    later = body["attributes"]["updated"] - body["attributes"]["created"]
    assert 10 <= later < 60  # the clock goes on while the test does
    assert body["tags"] == {"a": "b"}
    assert "policy" not in body


@pytest.mark.parametrize(
    "attributes", ["on", {"enabled": "false"}], ids=["text", "enabled as text"]
)
def test_attributes_of_another_kind_are_refused(http: Raw, attributes: object) -> None:
    imported(http)

    answer = http.patch("/certificates/api", json={"attributes": attributes})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadParameter")
    assert http.get("/certificates/api").json()["attributes"]["enabled"] is True


def test_empty_tags_clear(http: Raw) -> None:
    imported(http, tags={"a": "b"})

    assert http.patch("/certificates/api/", json={"tags": {}}).json()["tags"] == {}


def test_tags_sent_replace_all(http: Raw) -> None:
    imported(http, tags={"a": "b"})

    assert http.patch("/certificates/api", json={"tags": {"c": "d"}}).json()["tags"] == {"c": "d"}


# ---- policy


def test_the_policy_can_be_changed_in_parts(http: Raw, emulator: Emulator) -> None:
    imported(http)
    before = http.get("/certificates/api/policy").json()
    emulator.clock.advance(10)
    actions = [{"trigger": {"lifetime_percentage": 50}, "action": {"action_type": "AutoRenew"}}]

    after = http.patch(
        "/certificates/api/policy",
        json={"issuer": {"name": "Self"}, "lifetime_actions": actions},
    ).json()

    updated = after["attributes"]["updated"]
    assert 10 <= updated - before["attributes"]["updated"] < 60
    assert after == {
        **before,
        "issuer": {"name": "Self"},
        "lifetime_actions": actions,
        "attributes": {**before["attributes"], "updated": updated},
    }


@pytest.mark.parametrize(
    "change",
    [
        {"secret_props": {"contentType": "text/plain"}},
        {"x509_props": {"subject": "XY=unknown"}},
        {"x509_props": {"subject": None}},
        {"x509_props": {"validity_months": 0}},
        {"x509_props": {"validity_months": "12"}},
        {"x509_props": {"validity_months": 12 * 9000}},
        {"x509_props": {"ekus": ["server"]}},
        {"key_props": {"kty": "RSA", "key_size": 5}},
        {"key_props": {"kty": "EC", "crv": "P-1"}},
        {"key_props": "RSA"},
        {"issuer": "Self"},
        {"lifetime_actions": [1]},
    ],
    ids=[
        "content type",
        "kind of name",
        "no name",
        "no months",
        "months as text",
        "too many months",
        "purpose",
        "size",
        "curve",
        "key as text",
        "issuer as text",
        "actions as numbers",
    ],
)
def test_a_policy_of_which_nothing_could_be_made_is_refused(
    http: Raw, change: dict[str, Any]
) -> None:
    imported(http)
    before = http.get("/certificates/api/policy").json()

    answer = http.patch("/certificates/api/policy", json=change)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadParameter")
    assert http.get("/certificates/api/policy").json() == before


def test_an_import_sets_the_policy_anew(http: Raw) -> None:
    pem = {"secret_props": {"contentType": "application/x-pem-file"}}
    http.send_import(leaf().pem, policy={**pem, "issuer": {"name": "Self"}})

    imported(http)

    policy = http.get("/certificates/api/policy").json()
    assert policy["issuer"] == {"name": "Unknown"}
    assert policy["secret_props"] == {"contentType": "application/x-pkcs12"}


# ---- the secret


def test_the_secret_of_a_certificate_has_the_recorded_shape(http: Raw) -> None:
    value = leaf().pfx()
    version = http.send_import(value, tags={"a": "b"}).json()["id"].rpartition("/")[2]

    body: dict[str, Any] = http.get(f"/secrets/api/{version}").json()

    attributes = http.get(f"/certificates/api/{version}").json()["attributes"]
    assert body == {
        "value": value,
        "contentType": "application/x-pkcs12",
        "id": f"{VAULT}/secrets/api/{version}",
        "managed": True,
        "attributes": attributes,
        "kid": f"{VAULT}/keys/api/{version}",
    }


@pytest.mark.parametrize("password", [None, b""], ids=["no password", "empty password"])
def test_a_pfx_that_came_with_a_password_is_exported_without(
    http: Raw, password: bytes | None
) -> None:
    made, issuer = leaf(extensions=(usage(),)), leaf("issuer")
    http.send_import(made.pfx("pw", (issuer.certificate,)), pwd="pw")

    value = http.get("/secrets/api").json()["value"]

    content = pkcs12.load_pkcs12(base64.b64decode(value), password)
    assert content.cert
    assert content.key
    assert content.cert.certificate == made.certificate
    assert [other.certificate for other in content.additional_certs] == [issuer.certificate]
    assert content.key.public_key() == made.key.public_key()


def test_the_exported_secret_can_be_imported_again(http: Raw, emulator: Emulator) -> None:
    http.send_import(leaf().pfx("pw"), pwd="pw")
    value = http.get("/secrets/api").json()["value"]

    assert http.send_import(value).status_code == 200

    first, second = emulator.vault("my-vault").versions("api")
    assert first.certificate == second.certificate


def test_a_non_exportable_pfx_gives_no_key(http: Raw) -> None:
    made = leaf()
    policy = {
        "secret_props": {"contentType": "application/x-pkcs12"},
        "key_props": {"exportable": False},
    }
    http.send_import(made.pfx(), policy=policy)

    content = pkcs12.load_pkcs12(base64.b64decode(http.get("/secrets/api").json()["value"]), None)

    assert content.key is None
    assert [other.certificate for other in content.additional_certs] == [made.certificate]


def test_a_non_exportable_pem_gives_no_key(http: Raw, emulator: Emulator) -> None:
    made = leaf()
    http.send_import(made.pem, policy={"secret_props": {"contentType": "application/x-pem-file"}})
    vault = emulator.vault("my-vault")
    vault.set_policy("api", {**vault.policy("api"), "key_props": {"exportable": False}})

    assert http.get("/secrets/api").json()["value"] == made.cert_pem
