"""Keys that wrap other keys, as a client with plain HTTP sees them."""

import base64
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from app.emulator import Emulator
from tests.emulator.conftest import VAULT, Raw
from tests.emulator.making import leaf

DATA_KEY = bytes(range(32))


def b64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


def made(http: Raw, name: str = "sealing", **body: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    answer = http.post(f"/keys/{name}/create", json={"kty": "RSA", **body})
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def wrap(http: Raw, value: bytes = DATA_KEY, path: str = "/keys/sealing") -> httpx.Response:
    return http.post(f"{path}/wrapkey", json={"alg": "RSA-OAEP-256", "value": b64(value)})


def unwrap(http: Raw, wrapped: dict[str, str], alg: str = "RSA-OAEP-256") -> httpx.Response:
    path = wrapped["kid"].removeprefix(VAULT)
    return http.post(f"{path}/unwrapkey", json={"alg": alg, "value": wrapped["value"]})


def refused(answer: httpx.Response) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], (error.get("innererror") or {}).get("code")


def test_a_key_is_made_and_read_without_its_private_half(http: Raw, emulator: Emulator) -> None:
    key = made(http, tags={})

    assert key["key"]["kid"].startswith(f"{VAULT}/keys/sealing/")
    assert (key["key"]["kty"], key["key"]["e"]) == ("RSA", "AQAB")
    assert set(key["key"]) == {"kid", "kty", "key_ops", "n", "e"}
    assert key["attributes"]["enabled"] is True
    assert http.get("/keys/Sealing").json() == key
    assert http.get(key["key"]["kid"].removeprefix(VAULT)).json() == key
    assert emulator.writes == 1


def test_what_a_key_wraps_it_unwraps(http: Raw, emulator: Emulator) -> None:
    key = made(http)

    wrapped = wrap(http).json()

    assert wrapped["kid"] == key["key"]["kid"]
    assert len(raw(wrapped["value"])) == 256
    assert unwrap(http, wrapped).json() == {"kid": wrapped["kid"], "value": b64(DATA_KEY)}
    assert emulator.writes == 1


def test_what_anybody_encrypts_for_the_public_key_is_unwrapped(http: Raw) -> None:
    key = made(http, key_size=3072)["key"]
    numbers = (int.from_bytes(raw(key[name])) for name in ("e", "n"))
    public = rsa.RSAPublicNumbers(*numbers).public_key()
    scheme = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label=None)

    wrapped = {"kid": key["kid"], "value": b64(public.encrypt(DATA_KEY, scheme))}

    assert raw(unwrap(http, wrapped).json()["value"]) == DATA_KEY


def test_an_older_version_still_unwraps_what_it_wrapped(http: Raw) -> None:
    made(http)
    before = wrap(http).json()
    newer = made(http)

    after = wrap(http, path="/keys/sealing/").json()

    assert after["kid"] == newer["key"]["kid"] != before["kid"]
    assert [raw(unwrap(http, one).json()["value"]) for one in (before, after)] == [DATA_KEY] * 2
    assert refused(unwrap(http, {**before, "kid": after["kid"]})) == (400, "BadParameter", None)


def test_another_padding_does_not_unwrap(http: Raw) -> None:
    made(http)

    assert unwrap(http, wrap(http).json(), alg="RSA-OAEP").status_code == 400


def test_a_disabled_key_neither_wraps_nor_unwraps_until_it_is_enabled(http: Raw) -> None:
    made(http)
    wrapped = wrap(http).json()

    disabled = http.patch("/keys/sealing", json={"attributes": {"enabled": False}}).json()

    assert disabled["attributes"]["enabled"] is False
    assert refused(unwrap(http, wrapped)) == (403, "Forbidden", "KeyDisabled")
    assert refused(wrap(http)) == (403, "Forbidden", "KeyDisabled")
    http.patch("/keys/sealing", json={"attributes": {"enabled": True}})
    assert unwrap(http, wrapped).status_code == 200


def test_a_key_does_only_the_operations_it_was_made_for(http: Raw) -> None:
    made(http, key_ops=["wrapKey"])

    wrapped = wrap(http).json()

    assert refused(unwrap(http, wrapped)) == (403, "Forbidden", "KeyOperationForbidden")


@pytest.mark.parametrize("path", ["/keys/none", "/keys/sealing/0123456789abcdef"])
def test_an_unknown_key_or_version_is_not_found(http: Raw, path: str) -> None:
    made(http)

    for answer in (http.get(path), wrap(http, path=path)):
        assert refused(answer) == (404, "KeyNotFound", None)
        assert "A key with (name/id)" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("action", "method", "path"),
    [
        ("keys/create/action", "POST", "/keys/sealing/create"),
        ("keys/read", "GET", "/keys/sealing"),
        ("keys/update/action", "PATCH", "/keys/sealing"),
        ("keys/wrap/action", "POST", "/keys/sealing/wrapkey"),
        ("keys/unwrap/action", "POST", "/keys/sealing/unwrapkey"),
    ],
)
def test_each_operation_needs_its_data_action(
    http: Raw, emulator: Emulator, action: str, method: str, path: str
) -> None:
    emulator.deny(action=action)

    answer = http.request(method, path)

    assert refused(answer) == (403, "Forbidden", "ForbiddenByRbac")
    message = answer.json()["error"]["message"]
    assert f"Action: 'Microsoft.KeyVault/vaults/{action}'" in message
    assert "/vaults/my-vault/keys/sealing'" in message


def test_the_role_for_encryption_services_wraps_and_unwraps_and_makes_no_key(
    http: Raw, emulator: Emulator
) -> None:
    made(http)
    emulator.assign(emulator.client_id, "Key Vault Crypto Service Encryption User")

    assert unwrap(http, wrap(http).json()).status_code == 200
    assert http.post("/keys/other/create", json={"kty": "RSA"}).status_code == 403


def test_an_access_policy_names_the_permission_for_a_key(http: Raw, emulator: Emulator) -> None:
    emulator.deny(by="policy", action="keys/unwrap/action")

    message = http.post("/keys/sealing/unwrapkey").json()["error"]["message"]

    assert "does not have keys unwrapKey permission on key vault" in message


@pytest.mark.parametrize(
    "body",
    [
        {"kty": "EC"},
        {"kty": "RSA", "key_size": 1024},
        {"kty": "RSA", "attributes": {"exp": 2_000_000_000}},
    ],
    ids=["curve", "size", "times"],
)
def test_a_key_that_is_not_emulated_is_not_made(http: Raw, body: dict[str, object]) -> None:
    assert http.post("/keys/sealing/create", json=body).status_code == 501


def test_the_key_of_a_certificate_is_not_emulated(http: Raw) -> None:
    http.send_import(leaf().pfx(), "api")

    assert http.get("/keys/api").status_code == 501
    assert http.post("/keys/api/create", json={"kty": "RSA"}).status_code == 501


@pytest.mark.parametrize(
    "body",
    [
        {"alg": "RSA1_5", "value": "AAAA"},
        {"alg": "RSA-OAEP-256"},
        {"alg": "RSA-OAEP", "value": "A"},
    ],
    ids=["algorithm", "no-value", "no-base64url"],
)
def test_what_cannot_be_wrapped_is_refused(http: Raw, body: dict[str, str]) -> None:
    made(http)

    assert refused(http.post("/keys/sealing/wrapkey", json=body)) == (400, "BadParameter", None)
