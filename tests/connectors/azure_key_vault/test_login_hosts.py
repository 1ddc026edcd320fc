"""Which host gives out tokens: that of the vault's cloud, unless the environment names one."""

from pathlib import Path

import pytest

from app.deployment.model import State
from app.emulator import Emulator
from tests.certificates import Issued
from tests.connectors.azure_key_vault.conftest import Open
from tests.connectors.azure_key_vault.middlebox import Middlebox
from tests.connectors.azure_key_vault.playground import environment

CLOUDS = {
    "azure.net": "login.microsoftonline.com",
    "usgovcloudapi.net": "login.microsoftonline.us",
    "azure.cn": "login.chinacloudapi.cn",
}


@pytest.fixture(name="variables")
def _variables(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Whatever a mode needs; the SDK's own chain reads the process's environment by itself."""
    for name in ("AZURE_AUTHORITY_HOST", "AZURE_TOKEN_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment(emulator).items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "token"
    file.write_text(emulator.federated_token())
    return {**environment(emulator), "AZURE_FEDERATED_TOKEN_FILE": str(file)}


async def hosts(
    open_playground: Open, box: Middlebox, new: Issued, variables: dict[str, str], **config: str
) -> set[str]:
    """Which hosts were asked on the way to a deployment that succeeded."""
    where = {"connect_to": f"127.0.0.1:{box.port}", "ca_bundle": box.ca_bundle}
    async with open_playground(variables=variables, **where) as play:
        run = await play.deploy(new, config=config)
    assert run.final.state is State.SUCCEEDED
    return box.hosts


@pytest.mark.parametrize("mode", ["client_secret", "workload_identity", "default"])
@pytest.mark.parametrize(("cloud", "login"), CLOUDS.items(), ids=CLOUDS)
async def test_each_cloud_is_logged_in_to_at_its_own_host(
    open_playground: Open,
    box: Middlebox,
    new: Issued,
    variables: dict[str, str],
    *,
    mode: str,
    cloud: str,
    login: str,
) -> None:
    vault = f"my-vault.vault.{cloud}"
    config = {"vault_url": f"https://{vault}", "credential_mode": mode}

    assert await hosts(open_playground, box, new, variables, **config) == {login, vault}


async def test_a_login_host_can_be_named_in_the_environment(
    open_playground: Open, box: Middlebox, new: Issued, variables: dict[str, str]
) -> None:
    named = {**variables, "AZURE_AUTHORITY_HOST": "login.microsoftonline.us"}

    asked = await hosts(open_playground, box, new, named, credential_mode="client_secret")

    assert asked == {"login.microsoftonline.us", "my-vault.vault.azure.net"}
