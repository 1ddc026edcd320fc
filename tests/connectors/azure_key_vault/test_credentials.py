"""Each credential mode logs in for real, and uses exactly what it says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from app.deployment.model import State
from app.emulator import Emulator
from tests.certificates import Issued
from tests.conftest import shown
from tests.connectors.azure_key_vault.conftest import Open
from tests.connectors.azure_key_vault.middlebox import Middlebox
from tests.connectors.azure_key_vault.playground import Playground, Run, environment
from tests.faults import Happens

OTHER = "44444444-4444-4444-4444-444444444444"


async def deployed(play: Playground, new: Issued, mode: str, **config: str) -> Run:
    return await play.deploy(new, config={"credential_mode": mode, **config})


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK reads some of these by itself."""
    for name in (
        "AZURE_TENANT_ID",
        "AZURE_CLIENT_ID",
        "AZURE_CLIENT_SECRET",
        "AZURE_FEDERATED_TOKEN_FILE",
        "AZURE_AUTHORITY_HOST",
        "AZURE_TOKEN_CREDENTIALS",
        "AZURE_POD_IDENTITY_AUTHORITY_HOST",
        "IDENTITY_ENDPOINT",
        "IDENTITY_HEADER",
        "IMDS_ENDPOINT",
        "MSI_ENDPOINT",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(name="imds")
def _imds(monkeypatch: pytest.MonkeyPatch, emulator: Emulator) -> None:
    """A virtual machine with an identity."""
    where = f"http://127.0.0.1:{emulator.plain_port}"
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", where)


def app_service(monkeypatch: pytest.MonkeyPatch, emulator: Emulator, host: str) -> None:
    endpoint = f"http://{host}:{emulator.plain_port}/msi/token"
    monkeypatch.setenv("IDENTITY_ENDPOINT", endpoint)
    monkeypatch.setenv("IDENTITY_HEADER", emulator.identity_header)


def logins(play: Playground) -> set[str]:
    return {call.operation for call in play.emulator.calls} & {"token", "identity_token"}


async def test_a_client_secret_comes_from_the_environment_of_the_service(
    play: Playground, new: Issued
) -> None:
    run = await deployed(play, new, "client_secret")

    assert run.final.state is State.SUCCEEDED
    assert logins(play) == {"token"}


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        (["AZURE_TENANT_ID"], "AZURE_TENANT_ID"),
        (["AZURE_CLIENT_ID"], "AZURE_CLIENT_ID"),
        (["AZURE_CLIENT_SECRET"], "AZURE_CLIENT_SECRET"),
        (["AZURE_TENANT_ID", "AZURE_CLIENT_SECRET"], "AZURE_TENANT_ID and AZURE_CLIENT_SECRET"),
    ],
    ids=["tenant", "client", "secret", "two"],
)
@pytest.mark.parametrize("how", ["absent", "empty"])
async def test_missing_variables_of_a_client_secret_are_named(
    open_playground: Open,
    emulator: Emulator,
    new: Issued,
    missing: list[str],
    told: str,
    how: str,
) -> None:
    usual = environment(emulator)
    variables = {k: "" if k in missing else v for k, v in usual.items()}
    if how == "absent":
        variables = {k: v for k, v in variables.items() if v}
    async with open_playground(variables=variables) as play:
        run = await deployed(play, new, "client_secret")

        assert run.states == [State.FAILED]
        assert run.code == "target-unauthenticated"
        assert run.final.error is not None
        assert run.final.error.message == (
            f"credential_mode client_secret needs {told} in this service's environment."
        )
        assert play.counted == []
        assert play.emulator.calls == []


async def test_missing_variables_of_a_workload_identity_are_named(
    open_playground: Open, emulator: Emulator, new: Issued
) -> None:
    async with open_playground(variables=environment(emulator)) as play:
        run = await deployed(play, new, "workload_identity")

        assert run.code == "target-unauthenticated"
        assert run.final.error is not None
        assert run.final.error.message == (
            "credential_mode workload_identity needs AZURE_FEDERATED_TOKEN_FILE in this service's "
            "environment."
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"AZURE_CLIENT_SECRET": "guessed"},
        {"AZURE_CLIENT_ID": OTHER},
        {"AZURE_TENANT_ID": OTHER},
        {"AZURE_TENANT_ID": "no tenant; at all"},
    ],
    ids=["secret", "client", "tenant", "unusable-tenant"],
)
async def test_an_identity_that_is_not_accepted_is_unauthenticated(
    open_playground: Open, emulator: Emulator, new: Issued, wrong: Mapping[str, str]
) -> None:
    async with open_playground(variables={**environment(emulator), **wrong}) as play:
        run = await deployed(play, new, "client_secret")

        assert run.states == [State.FAILED]
        assert run.code == "target-unauthenticated"
        assert "guessed" not in repr(run.saved)
        assert play.calls == []


async def test_a_tenant_that_the_vault_does_not_belong_to_is_unauthenticated(
    open_playground: Open, emulator: Emulator, new: Issued
) -> None:
    """The vault's challenge names another tenant than the identity's."""
    async with open_playground(
        variables={**environment(emulator), "AZURE_TENANT_ID": OTHER}
    ) as play:
        run = await deployed(play, new, "client_secret")

        assert run.code == "target-unauthenticated"


async def test_a_managed_identity_of_a_machine_logs_in(
    play: Playground, new: Issued, imds: None
) -> None:
    run = await deployed(play, new, "managed_identity")

    assert run.final.state is State.SUCCEEDED
    assert logins(play) == {"identity_token"}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_managed_identity_of_app_service_logs_in(
    play: Playground, new: Issued, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """App Service names the endpoint by localhost; CONNECT_TO must not lead it astray."""
    app_service(monkeypatch, play.emulator, host)

    run = await deployed(play, new, "managed_identity")

    assert run.final.state is State.SUCCEEDED
    assert logins(play) == {"identity_token"}


@pytest.mark.parametrize("kind", ["imds", "app-service"])
async def test_a_user_assigned_identity_is_passed_on(
    open_playground: Open,
    emulator: Emulator,
    new: Issued,
    monkeypatch: pytest.MonkeyPatch,
    imds: None,
    kind: str,
) -> None:
    emulator.add_identity(OTHER, "unused")
    emulator.deny(client_id=emulator.client_id)
    if kind == "app-service":
        app_service(monkeypatch, emulator, "127.0.0.1")
    async with open_playground(variables={"AZURE_CLIENT_ID": OTHER}) as play:
        run = await deployed(play, new, "managed_identity")

        assert run.final.state is State.SUCCEEDED


async def test_a_managed_identity_never_falls_through_to_a_client_secret(
    play: Playground, new: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(play.emulator).items():
        monkeypatch.setenv(name, value)
    app_service(monkeypatch, play.emulator, "127.0.0.1")
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")

    run = await deployed(play, new, "managed_identity")

    assert run.states == [State.FAILED]
    assert run.code == "target-unauthenticated"
    assert logins(play) == {"identity_token"}


def federated(emulator: Emulator, file: Path, token: str) -> dict[str, str]:
    """The environment of a workload, without a secret, and its projected token."""
    file.write_text(token)
    variables = {**environment(emulator), "AZURE_FEDERATED_TOKEN_FILE": str(file)}
    del variables["AZURE_CLIENT_SECRET"]
    return variables


async def test_a_workload_identity_logs_in_with_its_token_file(
    open_playground: Open, emulator: Emulator, new: Issued, tmp_path: Path
) -> None:
    variables = federated(emulator, tmp_path / "token", emulator.federated_token())
    async with open_playground(variables=variables) as play:
        run = await deployed(play, new, "workload_identity")

        assert run.final.state is State.SUCCEEDED
        assert logins(play) == {"token"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"audience": "https://kubernetes.default.svc"},
        {"subject": "system:serviceaccount:default:another"},
        {"seconds": -1},
    ],
    ids=["audience", "subject", "expired"],
)
async def test_a_token_that_was_not_projected_for_us_is_unauthenticated(
    open_playground: Open,
    emulator: Emulator,
    new: Issued,
    tmp_path: Path,
    wrong: dict[str, Any],
) -> None:
    token = emulator.federated_token(**wrong)
    async with open_playground(variables=federated(emulator, tmp_path / "token", token)) as play:
        run = await deployed(play, new, "workload_identity")

        assert run.states == [State.FAILED]
        assert run.code == "target-unauthenticated"
        assert token not in repr(run.saved)
        assert play.calls == []


async def test_a_file_that_holds_no_token_is_unauthenticated(
    open_playground: Open, emulator: Emulator, new: Issued, tmp_path: Path
) -> None:
    variables = federated(emulator, tmp_path / "token", "a projected token")
    async with open_playground(variables=variables) as play:
        assert (await deployed(play, new, "workload_identity")).code == "target-unauthenticated"


async def test_the_default_finds_a_workload_identity(
    open_playground: Open,
    emulator: Emulator,
    new: Issued,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variables = federated(emulator, tmp_path / "token", emulator.federated_token())
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    async with open_playground(variables=variables) as play:
        run = await deployed(play, new, "default")

        assert run.final.state is State.SUCCEEDED
        assert logins(play) == {"token"}


@pytest.mark.parametrize("kind", ["absent", "a-directory"])
async def test_a_token_file_that_cannot_be_read_is_unauthenticated_and_not_told(
    open_playground: Open, emulator: Emulator, new: Issued, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "no-token" if kind == "absent" else tmp_path
    variables = {**environment(emulator), "AZURE_FEDERATED_TOKEN_FILE": str(file)}
    async with open_playground(variables=variables) as play:
        run = await deployed(play, new, "workload_identity")

        assert run.states == [State.FAILED]
        assert run.code == "target-unauthenticated"
        assert str(tmp_path) not in repr(run.saved)
        assert logins(play) == set()


async def test_the_default_is_the_sdks_own_chain(
    play: Playground, new: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(play.emulator).items():
        monkeypatch.setenv(name, value)

    run = await deployed(play, new, "default")

    assert run.final.state is State.SUCCEEDED
    assert logins(play) == {"token"}


@pytest.mark.parametrize("chosen", ["EnvironmentCredential", "nonsense"])
async def test_a_default_chain_that_finds_nothing_is_unauthenticated(
    play: Playground, new: Issued, monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", chosen)

    run = await deployed(play, new, "default")

    assert run.states == [State.FAILED]
    assert run.code == "target-unauthenticated"


async def test_a_variable_whose_value_cannot_be_used_is_looked_for_in_the_environment(
    open_playground: Open, emulator: Emulator, new: Issued
) -> None:
    variables = {**environment(emulator), "AZURE_TENANT_ID": "no tenant; at all"}
    async with open_playground(variables=variables) as play:
        run = await deployed(play, new, "client_secret")

    assert run.final.error is not None
    assert "AZURE_ variable in this service's environment" in run.final.error.message


async def test_one_credential_logs_in_once_for_many_vaults(play: Playground, new: Issued) -> None:
    for number in range(4):
        url = f"https://vault-{number}.vault.azure.net"
        assert (
            await deployed(play, new, "client_secret", vault_url=url)
        ).final.state is State.SUCCEEDED

    tokens = [call for call in play.emulator.calls if call.operation == "token"]
    assert len(tokens) <= 2  # the first two reads are side by side


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_login_service_that_fails_may_work_later(
    play: Playground, new: Issued, answered: Happens, status: int
) -> None:
    answered("token", status, count=None)

    run = await deployed(play, new, "client_secret")

    assert run.states == [State.FAILED]
    assert run.code == "target-unavailable"
    assert run.final.error is not None
    assert run.final.error.retryable


@pytest.mark.parametrize("body", [b"", b"<html>Sign in</html>", b"[]", b"{}"], ids=shown)
async def test_a_login_service_that_answers_nonsense_is_no_success(
    behind: Playground, box: Middlebox, new: Issued, body: bytes
) -> None:
    box.on("POST", "/oauth2/", status=200, body=body, times=99)

    run = await deployed(behind, new, "client_secret")

    assert run.states == [State.FAILED]
    assert run.code in {"target-unauthenticated", "target-unavailable"}


async def test_a_vault_that_names_another_resource_gets_no_token(
    behind: Playground, box: Middlebox, new: Issued
) -> None:
    """A challenge of a stranger must not make us send a token meant for it."""
    login = "https://login.microsoftonline.com/x"
    box.challenge = f'Bearer authorization="{login}", resource="https://evil.example"'

    run = await deployed(behind, new, "client_secret")

    assert run.states == [State.FAILED]
    assert run.code == "target-unauthenticated"
    assert behind.calls == []
