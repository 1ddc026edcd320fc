"""Every registered connector keeps the promises of the port."""

from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from app import errors
from app.connectors import REGISTRY
from app.deployment import saga
from app.deployment.connector import Held
from app.deployment.model import Deployment, Plan, State
from app.emulator import Emulator
from tests.certificates import Authority, Issued
from tests.conftest import Clock
from tests.connectors.azure_key_vault import ground as azure_key_vault
from tests.connectors.contract import Ground, Opens

GROUNDS: Final[Mapping[str, Opens]] = {"AzureKeyVault": azure_key_vault.ground}


@pytest.fixture(name="ground", params=sorted(GROUNDS))
async def _ground(
    request: pytest.FixtureRequest, emulator: Emulator, ca_bundle: str, now: Clock
) -> AsyncIterator[Ground]:
    async with GROUNDS[request.param](emulator=emulator, ca_bundle=ca_bundle, now=now) as found:
        yield found


@pytest.fixture(name="old")
def _old(ca: Authority) -> Issued:
    return ca.issue()


@pytest.fixture(name="new")
def _new(ca: Authority) -> Issued:
    return ca.issue()


async def looked_at(ground: Ground, issued: Issued) -> tuple[Deployment, Held]:
    """A deployment about to import, after its snapshot."""
    waiting, held = ground.deployment(issued), Held(issued.bundle())
    standing = await ground.connector.snapshot(waiting, held)
    return replace(waiting, snapshot=standing.snapshot, rollback=standing.rollback), held


async def imported(ground: Ground, issued: Issued) -> tuple[Deployment, Held]:
    """A deployment about to verify, after its import."""
    waiting, held = await looked_at(ground, issued)
    version = await ground.connector.import_certificate(waiting, held)
    return replace(waiting, version_id=version), held


async def run(ground: Ground, deployment: Deployment, held: Held) -> Deployment:
    async def save(_: Deployment) -> None:
        """The record is not what is tried here."""

    limits = saga.Limits(deadline_s=10, rollback_s=10)
    begun = replace(deployment, state=State.SNAPSHOTTING)
    now = Clock(deployment.created_at)
    return await saga.run(begun, ground.connector, held, save, limits=limits, now=now)


def test_every_registered_connector_is_held_to_the_contract() -> None:
    assert set(GROUNDS) == set(REGISTRY)


@pytest.mark.parametrize("kind", REGISTRY.values(), ids=REGISTRY.keys())
def test_a_configuration_takes_no_unknown_field_and_no_credential(kind: object) -> None:
    schema = REGISTRY[getattr(kind, "type", "")].config.model_json_schema()

    assert schema["additionalProperties"] is False
    for name in schema["properties"]:
        assert not {"secret", "password", "token", "key"} & set(name.split("_")), name


async def test_a_target_is_normalised_once(ground: Ground, new: Issued) -> None:
    target = ground.deployment(new).target

    assert target.type == ground.connector.type
    assert ground.connector.target(target.config) == target
    assert ground.connector.faults(target, new.bundle(), {}) == ()


async def test_a_look_changes_nothing_and_may_be_repeated(
    ground: Ground, old: Issued, new: Issued
) -> None:
    ground.written(old)
    before = list(ground.history())
    waiting, held = ground.deployment(new), Held(new.bundle())

    first = await ground.connector.snapshot(waiting, held)
    second = await ground.connector.snapshot(waiting, held)

    assert first == second
    assert first.snapshot is not None
    assert first.rollback.plan in ground.connector.plans
    assert ground.history() == before


async def test_where_nothing_is_yet_no_rollback_is_needed(ground: Ground, new: Issued) -> None:
    standing = await ground.connector.snapshot(ground.deployment(new), Held(new.bundle()))

    assert standing.snapshot is None
    assert standing.unchanged is None
    assert standing.rollback.plan is Plan.NOT_NEEDED


async def test_an_import_that_runs_twice_changes_the_target_once(
    ground: Ground, old: Issued, new: Issued
) -> None:
    ground.written(old)
    waiting, held = await looked_at(ground, new)

    first = await ground.connector.import_certificate(waiting, held)
    second = await ground.connector.import_certificate(waiting, held)

    assert first == second
    assert len(ground.history()) == 2
    assert ground.serves(new)


async def test_an_import_without_its_key_finds_what_landed(ground: Ground, new: Issued) -> None:
    deployment, _ = await imported(ground, new)
    crashed = replace(deployment, version_id=None)

    assert await ground.connector.import_certificate(crashed, Held()) == deployment.version_id


async def test_an_import_without_its_key_that_never_landed_says_so(
    ground: Ground, new: Issued
) -> None:
    waiting, _ = await looked_at(ground, new)

    with pytest.raises(errors.KeyGone):
        await ground.connector.import_certificate(waiting, Held())

    assert not ground.history()


async def test_verifying_twice_proves_the_same(ground: Ground, new: Issued) -> None:
    deployment, _ = await imported(ground, new)

    first = await ground.connector.verify(deployment)
    second = await ground.connector.verify(deployment)

    assert first == second
    assert first.result.success
    assert first.result.deployment_id == deployment.version_id


async def test_what_never_landed_does_not_verify(ground: Ground, old: Issued, new: Issued) -> None:
    ground.written(old)
    waiting, _ = await looked_at(ground, new)

    with pytest.raises(errors.VerificationFailed):
        await ground.connector.verify(waiting)


async def test_a_rollback_that_runs_twice_changes_the_target_once(
    ground: Ground, old: Issued, new: Issued
) -> None:
    ground.written(old)
    deployment, held = await imported(ground, new)

    first = await ground.connector.roll_back(deployment, held)
    second = await ground.connector.roll_back(deployment, held)

    assert first is not None
    assert first == second
    assert len(ground.history()) == 3
    assert ground.serves(old)


async def test_what_never_landed_is_not_rolled_back(
    ground: Ground, old: Issued, new: Issued
) -> None:
    ground.written(old)
    waiting, held = await looked_at(ground, new)

    assert await ground.connector.roll_back(waiting, held) is None
    assert len(ground.history()) == 1


async def test_a_first_import_has_nothing_to_roll_back_to(ground: Ground, new: Issued) -> None:
    deployment, held = await imported(ground, new)

    assert await ground.connector.roll_back(deployment, held) is None
    assert len(ground.history()) == 1


@pytest.mark.parametrize("step", ["import", "verify", "roll_back"])
async def test_another_writers_version_is_never_overwritten(
    ground: Ground, ca: Authority, old: Issued, new: Issued, step: str
) -> None:
    stranger = ca.issue()
    ground.written(old)
    deployment, held = await imported(ground, new)
    ground.written(stranger)

    steps: dict[str, Coroutine[Any, Any, object]] = {
        "import": ground.connector.import_certificate(deployment, held),
        "verify": ground.connector.verify(deployment),
        "roll_back": ground.connector.roll_back(deployment, held),
    }

    with pytest.raises(errors.Superseded):
        await steps.pop(step)
    for other in steps.values():
        other.close()

    assert ground.serves(stranger)


async def test_a_target_that_cannot_be_reached_is_an_error_of_ours(
    ground: Ground, new: Issued
) -> None:
    waiting, held = ground.deployment(new), Held(new.bundle())
    ground.unreachable()

    with pytest.raises(errors.TargetError):
        await ground.connector.snapshot(waiting, held)
    with pytest.raises(errors.TargetError):
        await ground.connector.served(waiting.target)
    with pytest.raises(errors.TargetError):
        await ground.connector.conflict(waiting.target)


async def test_what_is_served_is_told_by_its_thumbprint(ground: Ground, new: Issued) -> None:
    target = ground.deployment(new).target
    assert await ground.connector.served(target) is None
    deployment, _ = await imported(ground, new)

    served = await ground.connector.served(target)

    assert served is not None
    assert served.thumbprint == deployment.certificate.thumbprint
    assert served.serial == deployment.certificate.serial
    assert served.enabled


async def test_a_deployment_succeeds_and_its_repetition_changes_nothing(
    ground: Ground, new: Issued
) -> None:
    first = await run(ground, ground.deployment(new), Held(new.bundle()))
    second = await run(ground, ground.deployment(new), Held(new.bundle()))

    assert first.state is State.SUCCEEDED
    assert second.state is State.UNCHANGED
    assert len(ground.history()) == 1


async def test_a_connector_closes_twice(ground: Ground, new: Issued) -> None:
    await imported(ground, new)

    await ground.connector.aclose()
    await ground.connector.aclose()
