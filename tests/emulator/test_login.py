import httpx
import pytest

from app.emulator import CLIENT_ID, IDENTITY_HEADER, TENANT_ID, Answer, Emulator, Fault
from tests.emulator.conftest import Raw

TOKEN = f"/{TENANT_ID}/oauth2/v2.0/token"
LOGIN = {"Host": "login.microsoftonline.com", "Authorization": ""}
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def form(emulator: Emulator, **changes: str) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_id": CLIENT_ID,
        "client_secret": emulator.client_secret,
        "scope": "https://vault.azure.net/.default",
        **changes,
    }


def test_an_application_gets_a_token_for_its_secret(http: Raw, emulator: Emulator) -> None:
    answer = http.post(TOKEN, headers=LOGIN, data=form(emulator))

    token = answer.json()
    assert (token["token_type"], token["expires_in"]) == ("Bearer", 3599)
    bearer = f"Bearer {token['access_token']}"
    assert http.get("/certificates", headers={"Authorization": bearer}).status_code == 200


def test_an_application_gets_a_token_for_an_assertion(http: Raw, emulator: Emulator) -> None:
    data = form(emulator, client_secret="", client_assertion_type=ASSERTION, client_assertion="a.b")

    assert http.post(TOKEN, headers=LOGIN, data=data).status_code == 200


@pytest.mark.parametrize(
    ("path", "changes", "status", "code"),
    [
        (TOKEN, {"client_secret": "wrong"}, 401, 7000215),
        (TOKEN, {"client_assertion_type": ASSERTION}, 401, 7000215),
        (TOKEN, {"client_id": "nobody"}, 400, 700016),
        (TOKEN, {"grant_type": "password"}, 400, 70003),
        ("/other/oauth2/v2.0/token", {}, 400, 90002),
    ],
    ids=["wrong secret", "empty assertion", "unknown application", "other grant", "other tenant"],
)
def test_a_wrong_login_is_refused_with_entras_code(
    http: Raw, emulator: Emulator, path: str, changes: dict[str, str], status: int, code: int
) -> None:
    answer = http.post(path, headers=LOGIN, data=form(emulator, **changes))

    assert (answer.status_code, answer.json()["error_codes"]) == (status, [code])
    assert f"AADSTS{code}" in answer.json()["error_description"]


def test_another_identity_can_be_added(http: Raw, emulator: Emulator) -> None:
    emulator.add_identity("other", "its-secret")
    data = form(emulator, client_id="other", client_secret="its-secret")

    token = http.post(TOKEN, headers=LOGIN, data=data).json()["access_token"]

    emulator.deny(client_id="other")
    bearer = {"Authorization": f"Bearer {token}"}
    assert http.get("/certificates", headers=bearer).status_code == 403


def test_a_login_can_fail(http: Raw, emulator: Emulator) -> None:
    emulator.faults.add(Fault(operation="token", effect=Answer(status=503)))

    assert http.post(TOKEN, headers=LOGIN, data=form(emulator)).status_code == 503
    assert emulator.calls[0].operation == "token"


def test_az_finds_what_it_reads_before_it_logs_in(http: Raw) -> None:
    host = {"Host": "localhost:18543", "Authorization": ""}

    configuration = http.get(
        f"/{TENANT_ID}/v2.0/.well-known/openid-configuration", headers=host
    ).json()
    subscriptions = http.get("/subscriptions", headers=host).json()

    assert configuration["token_endpoint"] == f"https://localhost:18543{TOKEN}"
    assert configuration["issuer"] == f"https://localhost:18543/{TENANT_ID}/v2.0"
    assert [one["tenantId"] for one in subscriptions["value"]] == [TENANT_ID]


# ---- managed identities, over plain HTTP

IMDS = "/metadata/identity/oauth2/token"
MSI = "/msi/token"
RESOURCE = {"resource": "https://vault.azure.net"}


def ask(
    emulator: Emulator, path: str, params: dict[str, str], headers: dict[str, str]
) -> httpx.Response:
    url = f"http://127.0.0.1:{emulator.plain_port}{path}"
    return httpx.get(url, params=params, headers=headers, timeout=10)


@pytest.mark.parametrize(
    ("path", "headers"),
    [(IMDS, {"Metadata": "true"}), (MSI, {"X-IDENTITY-HEADER": IDENTITY_HEADER})],
    ids=["virtual machine", "App Service"],
)
def test_a_managed_identity_gets_a_token(
    http: Raw, emulator: Emulator, path: str, headers: dict[str, str]
) -> None:
    token = ask(emulator, path, RESOURCE, headers).json()

    assert (token["resource"], token["client_id"]) == ("https://vault.azure.net", CLIENT_ID)
    assert token["expires_on"].isdecimal()
    bearer = {"Authorization": f"Bearer {token['access_token']}"}
    assert http.get("/certificates", headers=bearer).status_code == 200


@pytest.mark.parametrize(
    ("path", "params", "headers", "status"),
    [
        (IMDS, RESOURCE, {}, 400),
        (IMDS, {}, {"Metadata": "true"}, 400),
        (IMDS, {**RESOURCE, "client_id": "nobody"}, {"Metadata": "true"}, 400),
        (MSI, RESOURCE, {"X-IDENTITY-HEADER": "wrong"}, 401),
        ("/certificates", {}, {}, 501),
    ],
    ids=["no header", "no resource", "unknown identity", "wrong header", "no vault over http"],
)
def test_a_wrong_request_for_a_managed_identity_is_refused(
    emulator: Emulator,
    path: str,
    params: dict[str, str],
    headers: dict[str, str],
    status: int,
) -> None:
    assert ask(emulator, path, params, headers).status_code == status
