"""The saga: one step a state, saved after each, until a final state.

There is no recovery path. After a crash `run` is called again with what was saved, and each
step looks before it acts. Nothing is changed at the target before the snapshot, the rollback
plan and the intent are saved.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime

from app import errors
from app.deployment.connector import Connector, Held, Proof, Standing
from app.deployment.failing import failed, left
from app.deployment.model import (
    NEXT,
    Deployment,
    Insist,
    Outcome,
    Plan,
    State,
    moved,
    plan_hash,
)

Save = Callable[[Deployment], Awaitable[None]]
Clock = Callable[[], datetime]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Seconds for a deployment up to its verification, and for a rollback after that."""

    deadline_s: float
    rollback_s: float


async def run(
    deployment: Deployment,
    connector: Connector,
    held: Held,
    save: Save,
    *,
    limits: Limits,
    now: Clock,
) -> Deployment:
    """Move *deployment* to a final state, saving after every step.

    Args:
        deployment: as it was saved last, in any state.
        connector: the code for its kind of target.
        held: its keys; empty after a crash.
        save: writes a deployment and its audit event in one transaction.
        limits: how long it may take.
        now: the clock.
    """
    deadline = asyncio.get_running_loop().time() + limits.deadline_s
    while deployment.state in NEXT:
        if deployment.state is State.ROLLING_BACK:
            deadline = asyncio.get_running_loop().time() + limits.rollback_s
        deployment = await _advance(deployment, connector, held, deadline)
        if deployment.final:
            deployment = replace(deployment, finished_at=now())
        await save(deployment)
    return deployment


def planned(deployment: Deployment, standing: Standing) -> Deployment:
    """*deployment* with what the look found, in the state that follows from it."""
    taken = replace(
        deployment,
        snapshot=standing.snapshot,
        rollback=standing.rollback,
        warnings=deployment.warnings + standing.warnings,
    )
    unchanged = standing.unchanged is not None and not deployment.force
    refusal = _refusal(taken, unchanged=unchanged)
    if refusal is not None:
        return failed(taken, refusal)
    if unchanged:
        return moved(taken, State.UNCHANGED, result=standing.unchanged)
    return moved(taken, State.IMPORTING)


async def _advance(
    deployment: Deployment, connector: Connector, held: Held, deadline: float
) -> Deployment:
    held.deadline = deadline
    try:
        async with asyncio.timeout_at(deadline):
            return await _step(deployment, connector, held)
    except TimeoutError:
        importing = deployment.state is State.IMPORTING
        late = errors.ImportDeadlineExceeded if importing else errors.DeadlineExceeded
        return failed(_learnt(deployment, held), late())
    except errors.DeployError as failure:
        return failed(_learnt(deployment, held), failure)


async def _step(deployment: Deployment, connector: Connector, held: Held) -> Deployment:
    match deployment.state:
        case State.SNAPSHOTTING:
            return planned(deployment, await connector.snapshot(deployment, held))
        case State.IMPORTING:
            version = await connector.import_certificate(deployment, held)
            return moved(deployment, State.VERIFYING, version_id=version)
        case State.VERIFYING:
            return _proven(deployment, await connector.verify(deployment))
        case State.ROLLING_BACK:
            put_back = await connector.roll_back(deployment, held)
            return _undone(_learnt(deployment, held), put_back)
        case _:
            raise AssertionError(deployment.state)


def _learnt(deployment: Deployment, held: Held) -> Deployment:
    """*deployment* with the versions that its rollback came to know of, even if it then failed."""
    rollback = deployment.rollback
    if rollback is not None:
        rollback = replace(rollback, version_id=held.put_back)
    version = deployment.version_id or held.landed
    return replace(deployment, version_id=version, rollback=rollback)


def _proven(deployment: Deployment, proof: Proof) -> Deployment:
    warnings = deployment.warnings + proof.warnings
    return moved(deployment, State.SUCCEEDED, result=proof.result, warnings=warnings)


def _undone(deployment: Deployment, version: str | None) -> Deployment:
    if version is None or deployment.rollback is None:
        return left(deployment)
    rollback = replace(deployment.rollback, outcome=Outcome.RESTORED, version_id=version)
    return moved(deployment, State.ROLLED_BACK, rollback=rollback)


def _refusal(deployment: Deployment, *, unchanged: bool) -> errors.DeployError | None:
    """What the caller said must hold, and does not."""
    current = deployment.snapshot.version_id if deployment.snapshot else ""
    if deployment.expected_version not in (None, current):
        return errors.VersionConflict()
    expected = deployment.expected_plan_hash
    if expected is not None and expected != plan_hash(deployment, unchanged=unchanged):
        return errors.PlanChanged()
    insists = deployment.insist is Insist.REQUIRED and not unchanged
    if insists and deployment.rollback and deployment.rollback.plan is Plan.IMPOSSIBLE:
        return errors.RollbackImpossible()
    return None
