import httpx
import pytest

from app.emulator import CLIENT_ID, IDENTITY_HEADER, TENANT_ID, Emulator
from app.emulator.federation import AUDIENCE, ISSUER, usual_subject
from tests.emulator.conftest import Raw
from tests.faults import Happens

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


def exchange(
    http: Raw, emulator: Emulator, assertion: str, client_id: str = CLIENT_ID
) -> httpx.Response:
    data = form(
        emulator,
        client_id=client_id,
        client_secret="",
        client_assertion_type=ASSERTION,
        client_assertion=assertion,
    )
    return http.post(TOKEN, headers=LOGIN, data=data)


def test_an_application_gets_a_token_for_a_federated_one(http: Raw, emulator: Emulator) -> None:
    token = exchange(http, emulator, emulator.federated_token()).json()["access_token"]

    bearer = {"Authorization": f"Bearer {token}"}
    assert http.get("/certificates", headers=bearer).status_code == 200


def test_another_application_trusts_its_own_subject(http: Raw, emulator: Emulator) -> None:
    emulator.add_identity("other", "its-secret", subject="repo:us/portal:ref:refs/heads/main")
    theirs = emulator.federated_token(client_id="other")

    assert exchange(http, emulator, theirs, client_id="other").status_code == 200
    assert exchange(http, emulator, theirs).json()["error_codes"] == [700213]


@pytest.mark.parametrize(
    ("changes", "code", "told"),
    [
        ({"iss": "https://issuer.example/"}, 700211, "issuer 'https://issuer.example/'"),
        ({"aud": "https://vault.azure.net"}, 700212, "audience 'https://vault.azure.net'"),
        ({"sub": usual_subject("other")}, 700213, "subject 'system:serviceaccount:default:other'"),
        ({"exp": 0}, 700024, "not within its valid time range"),
        ({"nbf": 9e9, "exp": 9.1e9}, 700024, "assertion valid from 2255-"),
    ],
    ids=["issuer", "audience", "subject", "expired", "not yet"],
)
def test_a_federated_token_for_somebody_or_some_time_else_is_refused(
    http: Raw, emulator: Emulator, changes: dict[str, object], code: int, told: str
) -> None:
    now = int(emulator.clock.now())
    claims = {"iss": ISSUER, "sub": usual_subject(CLIENT_ID), "aud": AUDIENCE}
    forged = emulator.tokens.sign({**claims, "nbf": now, "exp": now + 60, **changes})

    answer = exchange(http, emulator, forged)

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.json()["error_codes"] == [code]
    assert told in answer.json()["error_description"]


def test_a_federated_token_expires_by_the_emulators_clock(http: Raw, emulator: Emulator) -> None:
    token = emulator.federated_token(seconds=60)
    emulator.clock.advance(60)

    assert exchange(http, emulator, token).json()["error_codes"] == [700024]


def test_a_federated_token_of_another_emulator_is_refused(http: Raw, emulator: Emulator) -> None:
    assert exchange(http, emulator, Emulator().federated_token()).json()["error_codes"] == [7000272]


@pytest.mark.parametrize("assertion", ["a projected token", "a.b.c", "e30.W10.x", "é.é.é"])
def test_a_federated_token_that_is_none_is_refused(
    http: Raw, emulator: Emulator, assertion: str
) -> None:
    answer = exchange(http, emulator, assertion)

    assert (answer.status_code, answer.json()["error_codes"]) == (400, [50027])


def test_a_federated_token_opens_no_vault_itself(http: Raw, emulator: Emulator) -> None:
    bearer = {"Authorization": f"Bearer {emulator.federated_token()}"}

    assert http.get("/certificates", headers=bearer).status_code == 401


def test_an_access_token_is_no_federated_token(http: Raw, emulator: Emulator) -> None:
    token = http.bearer(audience=AUDIENCE).removeprefix("Bearer ")

    assert exchange(http, emulator, token).json()["error_codes"] == [700211]


def test_there_is_no_federated_token_for_an_unknown_application(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="'nobody' is no application"):
        emulator.federated_token(client_id="nobody")


@pytest.mark.parametrize(
    ("path", "changes", "status", "code"),
    [
        (TOKEN, {"client_secret": "wrong"}, 401, 7000215),
        (TOKEN, {"client_secret": ""}, 401, 7000216),
        (TOKEN, {"client_assertion_type": ASSERTION}, 401, 7000216),
        (TOKEN, {"client_id": "nobody"}, 400, 700016),
        (TOKEN, {"grant_type": "password"}, 400, 70003),
        ("/other/oauth2/v2.0/token", {}, 400, 90002),
    ],
    ids=["secret", "no secret", "no assertion", "application", "grant", "tenant"],
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


def test_an_application_added_is_forgotten_at_a_reset(http: Raw, emulator: Emulator) -> None:
    emulator.add_identity("other", "its-secret")
    data = form(emulator, client_id="other", client_secret="its-secret")
    assert http.post(TOKEN, headers=LOGIN, data=data).status_code == 200

    emulator.reset()

    assert http.post(TOKEN, headers=LOGIN, data=data).json()["error_codes"] == [700016]
    assert http.post(TOKEN, headers=LOGIN, data=form(emulator)).status_code == 200


def test_a_login_can_fail(http: Raw, emulator: Emulator, answered: Happens) -> None:
    answered("token", 503)

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
