"""What the secret of a certificate is: what was sent, or what Key Vault makes of it."""

import base64
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.serialization import pkcs12

from app.emulator import Emulator
from app.emulator.policies import made_by_key_vault
from tests.emulator.conftest import Raw
from tests.emulator.making import leaf

TRIPLE_DES = pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC
AES = pkcs12.PBES.PBESv2SHA256AndAES256CBC
# as a recorded export has them, in DER: the cipher, the digest of the MAC, 2000 iterations
OIDS = {
    "pbeWithSHA1And3-KeyTripleDES-CBC": bytes.fromhex("060a2a864886f70d010c0103"),
    "sha1": bytes.fromhex("06052b0e03021a"),
    "PBES2": bytes.fromhex("06092a864886f70d01050d"),
}
ITERATIONS = bytes.fromhex("020207d0")
KEY_BAGS = (
    bytes.fromhex("060b2a864886f70d010c0a0101"),
    bytes.fromhex("060b2a864886f70d010c0a0102"),
)


def secret(http: Raw) -> bytes:
    return base64.b64decode(http.get("/secrets/api").json()["value"])


def algorithms(der: bytes) -> set[str]:
    return {name for name, oid in OIDS.items() if oid in der}


@pytest.mark.parametrize("sent", [{}, {"pwd": ""}], ids=["no pwd", "empty pwd"])
@pytest.mark.parametrize("algorithm", [TRIPLE_DES, AES], ids=["3DES", "PBES2"])
def test_a_pfx_under_an_empty_password_comes_back_as_it_was_sent(
    http: Raw, algorithm: pkcs12.PBES, sent: dict[str, str]
) -> None:
    value = leaf().pfx_under(algorithm, "")

    assert http.send_import(value, **sent).status_code == 200

    assert http.get("/secrets/api").json()["value"] == value
    assert algorithms(base64.b64decode(value)), "nothing was encrypted"


@pytest.mark.parametrize("algorithm", [TRIPLE_DES, AES], ids=["3DES", "PBES2"])
def test_a_pfx_under_a_password_comes_back_without_it(http: Raw, algorithm: pkcs12.PBES) -> None:
    made = leaf()

    assert http.send_import(made.pfx_under(algorithm, "pw"), pwd="pw").status_code == 200

    content = pkcs12.load_pkcs12(secret(http), None)
    assert content.cert is not None
    assert content.cert.certificate == made.certificate


@pytest.mark.parametrize("algorithm", [TRIPLE_DES, AES], ids=["3DES", "PBES2"])
@pytest.mark.parametrize("sent", ["wrong", "", None], ids=["wrong", "empty", "none"])
def test_a_pfx_under_another_password_is_refused(
    http: Raw, algorithm: pkcs12.PBES, sent: str | None
) -> None:
    answer = http.send_import(leaf().pfx_under(algorithm, "pw"), pwd=sent)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadParameter")


@pytest.mark.parametrize("password", [None, b""], ids=["no password", "empty password"])
def test_what_key_vault_made_is_exported_as_3des_under_an_empty_password(
    http: Raw, emulator: Emulator, password: bytes | None
) -> None:
    made, vault = leaf(days=(-80, 9)), emulator.vault("my-vault")
    vault.import_pem("api", made.cert_pem, made.key_pem)
    vault.set_policy("api", made_by_key_vault("CN=MyCert", issuer="Self"))

    exported = secret(http)

    assert algorithms(exported) == {"pbeWithSHA1And3-KeyTripleDES-CBC", "sha1"}
    assert exported.count(ITERATIONS) == 3  # key, certificates, MAC
    content = pkcs12.load_pkcs12(exported, password)
    assert content.cert is not None
    assert content.cert.certificate.subject.rfc4514_string() == "CN=MyCert"
    assert content.key is not None
    assert content.key.public_key() == content.cert.certificate.public_key()


def test_a_key_that_may_not_leave_stays_whatever_the_policy_becomes(http: Raw) -> None:
    policy = {
        "secret_props": {"contentType": "application/x-pkcs12"},
        "key_props": {"exportable": False},
    }
    path = urlsplit(http.send_import(leaf().pfx(), policy=policy).json()["sid"]).path
    http.patch("/certificates/api/policy", json={"key_props": {"exportable": True}})
    http.send_import(leaf().pfx())

    kept, newest = (
        pkcs12.load_pkcs12(base64.b64decode(http.get(one).json()["value"]), None)
        for one in (path, "/secrets/api")
    )

    assert (kept.key is None, newest.key is None) == (True, False)


def test_a_policy_that_forbids_export_is_for_keys_to_come(http: Raw) -> None:
    http.send_import(leaf().pfx())
    http.patch("/certificates/api/policy", json={"key_props": {"exportable": False}})

    assert pkcs12.load_pkcs12(secret(http), None).key is not None


def test_what_is_not_exportable_has_the_same_form_without_a_key(http: Raw) -> None:
    policy = {
        "secret_props": {"contentType": "application/x-pkcs12"},
        "key_props": {"exportable": False},
    }
    http.send_import(leaf().pfx(), policy=policy)

    exported = secret(http)

    assert algorithms(exported) == {"pbeWithSHA1And3-KeyTripleDES-CBC", "sha1"}
    assert not [bag for bag in KEY_BAGS if bag in exported]
