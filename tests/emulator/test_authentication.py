import time
from typing import Any

import pytest

from app.emulator import Emulator
from tests.emulator.conftest import Raw

GET = "/certificates/api/"


def code(document: dict[str, Any]) -> str:
    return str(document["error"]["code"])


@pytest.mark.parametrize(
    "authorization", ["", "Basic abc", "Bearer"], ids=["none", "basic", "bare"]
)
def test_a_request_without_a_token_is_challenged_in_azures_words(
    http: Raw, authorization: str
) -> None:
    answer = http.get(GET, headers={"Authorization": authorization})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == (
        'Bearer authorization="https://login.microsoftonline.com/'
        '11111111-1111-1111-1111-111111111111", resource="https://vault.azure.net"'
    )
    assert answer.json() == {
        "error": {
            "code": "Unauthorized",
            "message": "AKV10000: Request is missing a Bearer, PoP, or MTLS_POP token.",
        }
    }


@pytest.mark.parametrize(
    ("host", "login", "resource"),
    [
        ("v.vault.azure.net", "login.microsoftonline.com", "vault.azure.net"),
        ("v.vault.usgovcloudapi.net", "login.microsoftonline.us", "vault.usgovcloudapi.net"),
        ("v.vault.azure.cn", "login.chinacloudapi.cn", "vault.azure.cn"),
        ("localhost:18543", "localhost:18543", "vault.azure.net"),
        ("127.0.0.1:18543", "127.0.0.1:18543", "vault.azure.net"),
    ],
    ids=["public", "government", "china", "localhost", "loopback"],
)
def test_the_challenge_names_the_login_service_and_resource_of_the_cloud(
    http: Raw, host: str, login: str, resource: str
) -> None:
    answer = http.get(GET, headers={"Host": host, "Authorization": ""})

    challenge = answer.headers["WWW-Authenticate"]
    assert f'authorization="https://{login}/' in challenge
    assert f'resource="https://{resource}"' in challenge


def test_a_token_for_another_resource_is_refused(http: Raw) -> None:
    bearer = http.bearer("https://management.azure.com")

    answer = http.get(GET, headers={"Authorization": bearer})

    assert answer.status_code == 401
    assert answer.json()["error"]["message"] == (
        "AKV10022: Invalid audience. Expected https://vault.azure.net, "
        "found: https://management.azure.com."
    )
    assert "WWW-Authenticate" in answer.headers


def test_a_token_of_another_tenant_is_refused(http: Raw, emulator: Emulator) -> None:
    token = emulator.tokens.sign({"iss": "https://sts.windows.net/other/", "aud": "x"})

    answer = http.get(GET, headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 401
    assert answer.json()["error"]["message"].startswith("AKV10032: Invalid issuer. Expected one of")


@pytest.mark.parametrize("token", ["abc", "a.b.c", "."], ids=["word", "three parts", "dot"])
def test_a_token_the_emulator_did_not_sign_is_refused(http: Raw, token: str) -> None:
    answer = http.get(GET, headers={"Authorization": f"Bearer {token}"})

    assert (answer.status_code, code(answer.json())) == (401, "Unauthorized")


def test_a_token_expires(http: Raw, emulator: Emulator) -> None:
    emulator.clock.advance(3500)
    assert http.get(GET).status_code == 404

    emulator.clock.advance(100)

    answer = http.get(GET)
    assert (answer.status_code, code(answer.json())) == (401, "Unauthorized")
    assert "expired" in answer.json()["error"]["message"]


def test_a_challenged_request_is_recorded_as_a_challenge_whatever_it_wanted(
    http: Raw, emulator: Emulator
) -> None:
    http.post("/certificates/api/import", headers={"Authorization": ""})

    [call] = emulator.calls
    assert (call.operation, call.status) == ("challenge", 401)
    assert call.at == pytest.approx(time.time(), abs=60)
    assert emulator.writes == 0


COMMON_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Type": "application/json; charset=utf-8",
    "Expires": "-1",
    "Pragma": "no-cache",
    "Strict-Transport-Security": "max-age=31536000;includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "x-ms-keyvault-network-info": "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;",
    "x-ms-keyvault-region": "westeurope",
    "x-ms-keyvault-service-version": "1.9.3347.1",
}


def test_every_answer_has_key_vaults_headers(http: Raw) -> None:
    answer = http.get(GET, headers={"x-ms-client-request-id": "mine"})

    assert {name: answer.headers[name] for name in COMMON_HEADERS} == COMMON_HEADERS
    assert answer.headers["x-ms-client-request-id"] == "mine"
    assert len(answer.headers["x-ms-request-id"]) == 36


@pytest.mark.parametrize(
    ("method", "path", "host"),
    [
        ("POST", "/certificates/api/create", None),
        ("GET", "/keys", None),
        ("POST", "/certificates/api/backup", None),
        ("POST", "/certificates/restore", None),
        ("GET", "/certificates/contacts", None),
        ("GET", "/certificates/issuers", None),
        ("GET", "/certificates/issuers/mine", None),
        ("GET", "/", None),
        ("GET", "/certificates/api", "www.example.com"),
    ],
    ids=[
        "create",
        "backup",
        "restore",
        "contacts",
        "issuers",
        "an issuer",
        "keys",
        "root",
        "no vault",
    ],
)
def test_what_the_emulator_does_not_know_it_says_so(
    http: Raw, method: str, path: str, host: str | None
) -> None:
    answer = http.request(method, path, headers={"Host": host} if host else {})

    assert (answer.status_code, code(answer.json())) == (501, "NotEmulated")


def test_the_api_version_is_mandatory(http: Raw) -> None:
    answer = http.get(GET, params={"api-version": ""})

    assert (answer.status_code, code(answer.json())) == (400, "BadParameter")
