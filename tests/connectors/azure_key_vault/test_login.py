"""No token: the record bears the number of Entra's refusal, our words for it, and nothing else."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from azure.core.exceptions import ClientAuthenticationError

from app.connectors.azure_key_vault import login
from app.emulator import Answer, Emulator, Fault
from app.errors import TargetAnswer, TargetError, TargetUnauthenticated, advice
from tests.certificates import Issued
from tests.connectors.azure_key_vault.conftest import Open
from tests.connectors.azure_key_vault.playground import Playground, Run, environment

OTHER: Final = "44444444-4444-4444-4444-444444444444"
JSON: Final = (("Content-Type", "application/json"),)
CHECK: Final = "Check `credential_mode`, the identity of this service and its tenant."
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def told(run: Run) -> tuple[str, TargetAnswer | None]:
    assert run.code == "target-unauthenticated"
    assert run.final.error is not None
    assert not run.final.error.retryable
    return run.final.error.message, run.final.error.answer


@dataclass(frozen=True, kw_only=True)
class Said:
    """Entra's number, our words for it, and Entra's status."""

    number: int
    means: str
    status: int = 401


def shows(run: Run, said: Said) -> None:
    message, answer = told(run)
    number, means, status = said.number, said.means, said.status
    assert message == f"Entra refused our identity (AADSTS{number}): {means}. {CHECK}"
    assert answer is not None
    assert (answer.status, answer.code, answer.inner_code) == (status, f"AADSTS{number}", None)
    assert answer.request_id
    for foreign in ("Invalid client secret", "was not found in the", "No matching", "assertion"):
        assert foreign not in repr(run.saved)
    assert not _ID.search(message)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        pytest.param(
            {"AZURE_CLIENT_SECRET": "guessed"},
            Said(number=7000215, means="AZURE_CLIENT_SECRET is wrong"),
            id="secret",
        ),
        pytest.param(
            {"AZURE_CLIENT_ID": OTHER},
            Said(number=700016, means="that tenant has no application AZURE_CLIENT_ID", status=400),
            id="client",
        ),
    ],
)
async def test_a_refused_login_shows_entras_number(
    open_playground: Open,
    emulator: Emulator,
    new: Issued,
    wrong: Mapping[str, str],
    said: Said,
) -> None:
    async with open_playground(variables={**environment(emulator), **wrong}) as play:
        run = await play.deploy(new)

    shows(run, said)
    assert not [value for value in wrong.values() if value in repr(run.saved)]


async def test_a_tenant_that_entra_does_not_know_shows_its_number(
    open_playground: Open, emulator: Emulator, new: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entra is asked, since the tenant of the vault's challenge is not compared."""
    monkeypatch.setenv("AZURE_IDENTITY_DISABLE_MULTITENANTAUTH", "true")
    variables = {**environment(emulator), "AZURE_TENANT_ID": OTHER}
    async with open_playground(variables=variables) as play:
        run = await play.deploy(new)

    shows(run, Said(number=90002, means="there is no tenant AZURE_TENANT_ID", status=400))
    assert OTHER not in repr(run.saved)


async def test_a_tenant_that_is_not_the_vaults_is_told_though_entra_was_not_asked(
    open_playground: Open, emulator: Emulator, new: Issued
) -> None:
    variables = {**environment(emulator), "AZURE_TENANT_ID": OTHER}
    async with open_playground(variables=variables) as play:
        run = await play.deploy(new)

    text = "The vault belongs to another tenant than AZURE_TENANT_ID says. Set that of the vault."
    assert told(run) == (text, None)
    assert OTHER not in repr(run.saved)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        pytest.param(
            {"audience": "https://kubernetes.default.svc"},
            Said(
                number=700212,
                means="no federated credential of the application has the token's audience",
            ),
            id="audience",
        ),
        pytest.param(
            {"subject": "system:serviceaccount:default:another"},
            Said(
                number=700213,
                means="no federated credential of the application has the token's subject",
            ),
            id="subject",
        ),
        pytest.param(
            {"seconds": -1},
            Said(number=700024, means="the federated token is not valid now; check the clocks"),
            id="expired",
        ),
    ],
)
async def test_a_refused_federated_token_shows_entras_number(
    open_playground: Open,
    emulator: Emulator,
    new: Issued,
    tmp_path: Path,
    wrong: dict[str, Any],
    said: Said,
) -> None:
    token = emulator.federated_token(**wrong)
    file = tmp_path / "token"
    file.write_text(token)
    variables = {**environment(emulator), "AZURE_FEDERATED_TOKEN_FILE": str(file)}
    async with open_playground(variables=variables) as play:
        run = await play.deploy(new, config={"credential_mode": "workload_identity"})

    shows(run, said)
    assert token not in repr(run.saved)


async def test_the_default_chain_shows_the_number_that_its_credential_was_told(
    play: Playground, new: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**environment(play.emulator), "AZURE_CLIENT_SECRET": "guessed"}.items():
        monkeypatch.setenv(name, value)

    run = await play.deploy(new, config={"credential_mode": "default"})

    message, answer = told(run)
    assert "(AADSTS7000215)" in message
    assert answer == TargetAnswer(code="AADSTS7000215")


async def test_a_refusal_without_a_number_of_entra_shows_none(
    play: Playground, new: Issued
) -> None:
    body = '{"error": "no", "error_description": "AADSTS<script> AADSTS12 XAADSTS70001 4f7c"}'
    strange = Fault(
        operation="token", effect=Answer(status=401, body=body, headers=JSON), count=None
    )
    await play.happen([strange])

    run = await play.deploy(new)

    assert told(run) == (advice(TargetUnauthenticated), None)
    assert "4f7c" not in repr(run.saved)


def of(text: str) -> TargetError:
    return login.trouble(ClientAuthenticationError(text))


@pytest.mark.parametrize(
    "text", ["AADSTS123", "AADSTS123456789", "aadsts70016", "AADSTS 70016", "AADSTS70016x"]
)
def test_only_what_is_surely_a_number_of_entra_is_taken_for_one(text: str) -> None:
    assert of(text).answer is None


def test_a_number_that_we_have_no_words_for_is_shown_alone() -> None:
    found = of("AADSTS50027: JWT token is invalid or malformed. Trace ID: 4f7c")

    assert found.message == f"Entra refused our identity (AADSTS50027). {CHECK}"
    assert found.answer == TargetAnswer(code="AADSTS50027")
