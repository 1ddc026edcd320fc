import pytest

from app.emulator import By, Denial, Emulator
from tests.emulator.conftest import Raw
from tests.emulator.making import leaf

CALLER = (
    "appid=22222222-2222-2222-2222-222222222222;oid={oid};"
    "iss=https://sts.windows.net/11111111-1111-1111-1111-111111111111/"
)


def test_a_role_that_misses_getting_secrets_still_reads_certificates(
    http: Raw, emulator: Emulator
) -> None:
    http.send_import(leaf().pfx())
    emulator.deny(vault="my-vault", action="secrets/getSecret/action")

    assert http.get("/certificates/api").status_code == 200
    answer = http.get("/secrets/api")

    error = answer.json()["error"]
    lines = error["message"].split("\r\n")
    assert (answer.status_code, error["code"], error["innererror"]) == (
        403,
        "Forbidden",
        {"code": "ForbiddenByRbac"},
    )
    assert lines[0] == "Caller is not authorized to perform action on resource."
    assert lines[2].startswith("Caller: appid=22222222-2222-2222-2222-222222222222;oid=")
    assert lines[3] == "Action: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'"
    assert lines[4].endswith("/providers/microsoft.keyvault/vaults/my-vault/secrets/api'")
    assert lines[5:] == [
        "Assignment: (not found)",
        "DenyAssignmentId: null",
        "DecisionReason: 'DeniedWithNoValidRBAC' ",
        "Vault: my-vault;location=westeurope",
        "",
    ]


@pytest.mark.parametrize(
    ("by", "inner", "text"),
    [
        ("policy", "ForbiddenByPolicy", "does not have certificates list permission on key vault"),
        ("firewall", "ForbiddenByFirewall", "Client address: 127.0.0.1\r\n"),
        ("connection", "ForbiddenByConnection", "Public network access is disabled"),
    ],
    ids=["policy", "firewall", "connection"],
)
def test_every_other_way_to_refuse_has_its_own_words(
    http: Raw, emulator: Emulator, by: By, inner: str, text: str
) -> None:
    emulator.deny(by=by)

    answer = http.get("/certificates")

    error = answer.json()["error"]
    assert (answer.status_code, error["innererror"]) == (403, {"code": inner})
    assert text in error["message"]


@pytest.mark.parametrize(
    ("method", "path", "permission"),
    [
        ("GET", "/certificates/api", "certificates get"),
        ("GET", "/certificates/api/0123", "certificates get"),
        ("GET", "/certificates/api/policy", "certificates get"),
        ("GET", "/certificates/api/pending", "certificates get"),
        ("GET", "/deletedcertificates/api", "certificates get"),
        ("GET", "/certificates", "certificates list"),
        ("GET", "/certificates/api/versions", "certificates list"),
        ("GET", "/deletedcertificates", "certificates list"),
        ("POST", "/certificates/api/import", "certificates import"),
        ("PATCH", "/certificates/api", "certificates update"),
        ("DELETE", "/certificates/api", "certificates delete"),
        ("POST", "/deletedcertificates/api/recover", "certificates recover"),
        ("DELETE", "/deletedcertificates/api", "certificates purge"),
        ("GET", "/secrets/api", "secrets get"),
    ],
)
def test_an_access_policy_names_the_permission_that_is_missing(
    http: Raw, emulator: Emulator, method: str, path: str, permission: str
) -> None:
    emulator.deny(by="policy")

    message = http.request(method, path).json()["error"]["message"]

    assert f"does not have {permission} permission on key vault 'my-vault;" in message


def test_a_denial_can_be_for_one_identity_only(http: Raw, emulator: Emulator) -> None:
    emulator.deny(client_id="44444444-4444-4444-4444-444444444444")

    assert http.get("/certificates").status_code == 200


def test_a_denial_can_be_for_one_vault_only(http: Raw, emulator: Emulator) -> None:
    emulator.deny(vault="Other")

    other = http.get("/certificates", headers={"Host": "other.vault.azure.net"})
    assert (http.get("/certificates").status_code, other.status_code) == (200, 403)


def test_everything_can_be_allowed_again(http: Raw, emulator: Emulator) -> None:
    emulator.deny(action="certificates/read")
    assert "/vaults/my-vault'" in http.get("/certificates").json()["error"]["message"]

    emulator.allow_all()

    assert http.get("/certificates").status_code == 200


def test_a_misspelt_way_to_refuse_is_an_error() -> None:
    with pytest.raises(ValueError, match="no such way"):
        Denial(by="magic")  # type: ignore[arg-type] # on purpose


def test_a_misspelt_data_action_is_an_error() -> None:
    with pytest.raises(ValueError, match="certificates/list"):
        Denial(action="certificates/list")
