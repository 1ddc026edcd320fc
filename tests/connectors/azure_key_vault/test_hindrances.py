"""What stands in the way of an import, seen before anything is sent."""

from collections.abc import Callable

import orjson
import pytest

from app.deployment.model import State
from app.emulator import Answer, Fault
from app.emulator.material import PEM
from app.errors import DeployError
from tests.certificates import Issued
from tests.connectors.azure_key_vault.playground import NAME, VAULT, Playground

BEING_DELETED = Answer(status=409, code="Conflict", inner="ObjectIsBeingDeleted")


def _free(play: Playground, old: Issued) -> None:
    """Nothing is there."""


def _there(play: Playground, old: Issued) -> None:
    play.store(old)


def _deleted(play: Playground, old: Issued) -> None:
    play.store(old)
    play.vault.soft_delete(NAME)


def _being_deleted(play: Playground, old: Issued) -> None:
    play.emulator.slow_deletion(3600)
    _deleted(play, old)
    play.emulator.faults.add(Fault(operation="get_deleted", effect=BEING_DELETED, count=None))


def _first_pending(play: Playground, old: Issued) -> None:
    play.vault.set_pending(NAME)


def _renewal_pending(play: Playground, old: Issued) -> None:
    play.store(old)
    play.vault.set_pending(NAME)


def _creation_finished(play: Playground, old: Issued) -> None:
    play.store(old)
    play.vault.set_pending(NAME, in_progress=False)


HINDRANCES = {
    _free: None,
    _there: None,
    _deleted: "name-soft-deleted",
    _being_deleted: "name-being-deleted",
    _first_pending: "pending-operation",
    _renewal_pending: "pending-operation",
    _creation_finished: None,
}


@pytest.mark.parametrize(
    ("arrange", "code"), HINDRANCES.items(), ids=[one.__name__.strip("_") for one in HINDRANCES]
)
async def test_what_would_refuse_an_import_is_seen_without_a_write_and_is_what_refuses_it(
    play: Playground,
    old: Issued,
    new: Issued,
    arrange: Callable[[Playground, Issued], None],
    code: str | None,
) -> None:
    arrange(play, old)

    conflict = await play.connector.conflict(play.target())

    assert (conflict.code if conflict else None) == code
    assert set(play.calls) <= {"get_deleted", "get_pending"}
    run = await play.deploy(new)
    assert run.code == code


@pytest.mark.parametrize("told", [Answer(status=404, code="NotFound"), Answer(status=404)])
async def test_a_404_of_another_kind_does_not_say_that_nothing_is_pending(
    play: Playground, told: Answer
) -> None:
    play.emulator.faults.add(Fault(operation="get_pending", effect=told, count=None))

    with pytest.raises(DeployError) as refused:
        await play.connector.conflict(play.target())

    assert refused.value.code == "target-unavailable"


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
