"""Role assignments: an application with a role may do what the role says, and nothing else."""

import re
from collections.abc import Iterable

import httpx
import pytest

from app.emulator import CLIENT_ID, Assignment, Emulator
from app.emulator.roles import BUILT_IN, DATA_ACTIONS
from app.emulator.routes import table
from tests.emulator.conftest import Raw
from tests.emulator.making import leaf

OTHER = "44444444-4444-4444-4444-444444444444"
PROBES = {
    "read": ("GET", "/certificates/api"),
    "list": ("GET", "/certificates"),
    "versions": ("GET", "/certificates/api/versions"),
    "secret": ("GET", "/secrets/api"),
    "update": ("PATCH", "/certificates/api"),
    "import": ("POST", "/certificates/api/import"),
    "delete": ("DELETE", "/certificates/api"),
}
READS = {"read", "list", "versions"}
CERTIFICATES = {*READS, "update", "import", "delete"}


@pytest.fixture(autouse=True)
def _stored(emulator: Emulator) -> None:
    made = leaf()
    emulator.vault("my-vault").import_pem("api", made.cert_pem, made.key_pem)


def allowed(http: Raw, probes: Iterable[str] = PROBES) -> set[str]:
    body = {"value": leaf().pfx()}
    return {
        probe
        for probe in probes
        if http.request(*PROBES[probe], json=body if probe == "import" else {}).status_code != 403
    }


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("Key Vault Administrator", {*CERTIFICATES, "secret"}),
        ("Key Vault Certificates Officer", CERTIFICATES),
        ("Key Vault Certificate User", {*READS, "secret"}),
        ("Key Vault Secrets Officer", {"secret"}),
        ("Key Vault Secrets User", {"secret"}),
        ("Key Vault Reader", READS),
        ("Key Vault Contributor", set()),
        ("Key Vault Crypto Service Encryption User", set()),  # see test_keys for what it may
    ],
)
def test_a_built_in_role_allows_what_azures_does(
    http: Raw, emulator: Emulator, role: str, may: set[str]
) -> None:
    emulator.assign(CLIENT_ID, role)

    assert allowed(http) == may


def test_every_built_in_role_is_tried_above() -> None:
    [tried] = test_a_built_in_role_allows_what_azures_does.pytestmark  # type: ignore[attr-defined] # pytest's own mark
    assert {role for role, _ in tried.args[1]} == set(BUILT_IN)


@pytest.mark.parametrize(
    ("actions", "may"),
    [
        (["certificates/import/action"], {"import"}),
        (["Microsoft.KeyVault/vaults/certificates/read"], READS),
        (["CERTIFICATES/READ"], READS),
        (["certificates/read", "secrets/getSecret/action"], {*READS, "secret"}),
        (["certificates/*/action"], {"import", "update"}),
        ([], set()),
    ],
    ids=["one", "with the provider", "in capitals", "two", "wildcard", "none"],
)
def test_a_custom_role_allows_its_data_actions(
    http: Raw, emulator: Emulator, actions: list[str], may: set[str]
) -> None:
    emulator.assign(CLIENT_ID, actions)

    assert allowed(http) == may


def test_roles_add_up(http: Raw, emulator: Emulator) -> None:
    emulator.assign(CLIENT_ID, "Key Vault Certificates Officer")
    emulator.assign(CLIENT_ID, "Key Vault Secrets User")

    assert allowed(http) == set(PROBES)


def test_without_a_role_everything_is_allowed(http: Raw, emulator: Emulator) -> None:
    emulator.add_identity(OTHER, "its-secret")
    emulator.assign(OTHER, "Key Vault Reader")

    assert allowed(http) == set(PROBES)


def test_what_no_role_allows_is_refused_as_azure_refuses_it(http: Raw, emulator: Emulator) -> None:
    emulator.assign(CLIENT_ID, "Key Vault Certificates Officer")

    error = http.get("/secrets/api").json()["error"]

    assert (error["code"], error["innererror"]) == ("Forbidden", {"code": "ForbiddenByRbac"})
    assert "Action: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'" in error["message"]
    assert "Assignment: (not found)" in error["message"]


def test_a_denial_counts_whatever_a_role_allows(http: Raw, emulator: Emulator) -> None:
    emulator.assign(CLIENT_ID, "Key Vault Administrator")
    emulator.deny(action="certificates/import/action")

    assert allowed(http) == set(PROBES) - {"import"}


def elsewhere(http: Raw) -> httpx.Response:
    return http.get("/certificates", headers={"Host": "other.vault.azure.net"})


def test_a_role_on_one_vault_says_nothing_of_another(http: Raw, emulator: Emulator) -> None:
    emulator.assign(CLIENT_ID, "Key Vault Administrator", vault="My-Vault")

    assert http.get("/certificates").status_code == 200
    assert elsewhere(http).status_code == 403


def test_a_role_on_one_certificate_is_for_it_and_its_secret(http: Raw, emulator: Emulator) -> None:
    emulator.assign(CLIENT_ID, "Key Vault Administrator", vault="my-vault", name="api")

    assert allowed(http) == set(PROBES) - {"list"}
    assert http.get("/certificates/web").status_code == 403


def test_a_role_on_one_certificate_holds_however_its_name_is_written(
    http: Raw, emulator: Emulator
) -> None:
    emulator.assign(CLIENT_ID, "Key Vault Administrator", vault="my-vault", name="API")

    assert allowed(http) == set(PROBES) - {"list"}


@pytest.mark.parametrize("again", ["allow_all", "reset"])
def test_roles_can_be_taken_back(http: Raw, emulator: Emulator, again: str) -> None:
    emulator.assign(CLIENT_ID, "Key Vault Contributor")
    assert elsewhere(http).status_code == 403

    getattr(emulator, again)()

    assert elsewhere(http).status_code == 200


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        (
            {"role": ["certificates/read", "certificates/listversions/read"]},
            (
                "InvalidDataActionOrNotDataAction: "
                "'Microsoft.KeyVault/vaults/certificates/listversions/read' does not match any of "
                "the actions supported by the providers."
            ),
        ),
        ({"role": ["secrets/read"]}, "InvalidDataActionOrNotDataAction"),
        ({"role": ["certificate/*"]}, "InvalidDataActionOrNotDataAction"),
        ({"role": "Key Vault Certificate Officer"}, "is not built in; there are: Key Vault"),
        ({"role": "Key Vault Reader", "name": "api"}, "name the vault too"),
        ({"role": "Key Vault Reader", "client_id": OTHER}, f"client_id {OTHER!r}"),
    ],
    ids=["no list of versions", "control plane", "misspelt", "role", "no vault", "application"],
)
def test_an_assignment_that_azure_would_refuse_is_an_error(
    emulator: Emulator, assignment: dict[str, object], told: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        emulator.assign(**{"client_id": CLIENT_ID, **assignment})  # type: ignore[arg-type] # as a tester may write it

    assert emulator.state.assignments == []


def test_the_emulator_asks_for_no_data_action_that_azure_does_not_know() -> None:
    assert {route.action for route in table().values()} <= DATA_ACTIONS


def test_the_roles_ask_for_no_data_action_that_azure_does_not_know() -> None:
    for role in BUILT_IN:
        Assignment(client_id=CLIENT_ID, role=role)
