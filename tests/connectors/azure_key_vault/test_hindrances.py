"""What stands in the way of an import, seen before anything is sent."""

import orjson
import pytest

from app.deployment.model import State
from app.emulator import Answer, Fault
from app.emulator.material import PEM
from app.errors import DeployError
from tests.certificates import Issued
from tests.connectors.azure_key_vault.playground import NAME, VAULT, Playground


@pytest.mark.parametrize(
    ("state", "code"), [("deleted", "name-soft-deleted"), ("free", None), ("there", None)]
)
async def test_a_soft_deleted_name_is_a_conflict(
    play: Playground, old: Issued, state: str, code: str | None
) -> None:
    if state != "free":
        play.store(old)
    if state == "deleted":
        play.vault.soft_delete(NAME)

    conflict = await play.connector.conflict(play.target())

    assert (conflict.code if conflict else None) == code


@pytest.mark.parametrize("value", ["a password", "-----BEGIN PRIVATE KEY-----"])
async def test_a_separate_secret_of_the_name_is_seen_before_anything_is_sent(
    play: Playground, new: Issued, value: str
) -> None:
    found = {"id": f"{VAULT}/secrets/{NAME}/1", "value": value, "contentType": PEM}
    body = orjson.dumps(found).decode()
    alone = Fault(operation="get_secret", effect=Answer(status=200, body=body), count=None)
    play.emulator.faults.add(alone)

    run = await play.deploy(new)

    assert (run.final.state, run.code) == (State.FAILED, "name-taken-by-key-or-secret")
    assert play.imports() == 0


async def test_a_conflict_that_cannot_be_looked_for_is_an_error(play: Playground) -> None:
    play.emulator.deny()

    with pytest.raises(DeployError) as refused:
        await play.connector.conflict(play.target())

    assert refused.value.code == "target-forbidden-rbac"
