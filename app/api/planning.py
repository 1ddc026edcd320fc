"""What a deploy would do: one look at the target, and the saga's own law applied to it."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from typing import Final, TypeVar

from app import errors
from app.api import answers, wire
from app.deployment import model, saga
from app.deployment.connector import Connector, Held, Standing
from app.deployment.model import Deployment, State

T = TypeVar("T")

LOOK_S: Final = 60.0


async def in_time(look: Awaitable[T]) -> T:
    """The outcome of a *look* at a target.

    Raises:
        TargetUnavailable: it took longer than a minute.
    """
    try:
        async with asyncio.timeout(LOOK_S):
            return await look
    except TimeoutError as late:
        text = "The target did not answer within a minute. Send it again later."
        raise errors.TargetUnavailable(text) from late


async def plan(deployment: Deployment, held: Held, connector: Connector) -> answers.PlanAnswer:
    """What *deployment* would do. A target that refuses to be looked at is an answer too."""
    draft = replace(deployment, state=State.SNAPSHOTTING)
    try:
        standing = await in_time(connector.snapshot(draft, held))
        planned = saga.planned(draft, standing)
        imports = planned.state is not State.UNCHANGED
        hindrance = await in_time(connector.conflict(draft.target)) if imports else None
    except errors.DeployError as refusal:
        return _blind(draft, refusal)
    return _seen(planned, standing, hindrance)


def _seen(
    planned: Deployment, standing: Standing, hindrance: errors.DeployError | None
) -> answers.PlanAnswer:
    unchanged = standing.unchanged is not None and not planned.force
    return answers.PlanAnswer(
        action=_action(planned, hindrance),
        certificate=wire.certificate(planned.certificate),
        target=answers.PlanTarget(
            address=planned.target.address,
            current=wire.snapshot(standing.snapshot) if standing.snapshot else None,
        ),
        permissions=dict(standing.permissions),
        rollback=answers.RollbackPlan(plan=standing.rollback.plan, reason=standing.rollback.reason),
        conflict=answers.Refusal(code=hindrance.code, message=hindrance.message)
        if hindrance
        else None,
        error=wire.plan_error(planned.error) if planned.error else None,
        changes=standing.changes,
        warnings=wire.notices(planned.warnings),
        plan_hash=model.plan_hash(planned, unchanged=unchanged),
    )


def _action(planned: Deployment, hindrance: errors.DeployError | None) -> answers.PlanAction:
    if hindrance is not None:
        return "blocked"
    match planned.state:
        case State.IMPORTING:
            return "import"
        case State.UNCHANGED:
            return "none"
        case _:
            return "blocked"


def _blind(draft: Deployment, refusal: errors.DeployError) -> answers.PlanAnswer:
    return answers.PlanAnswer(
        action="blocked",
        certificate=wire.certificate(draft.certificate),
        target=answers.PlanTarget(address=draft.target.address, current=None),
        permissions={},
        rollback=None,
        conflict=None,
        error=wire.plan_error(refusal),
        changes=(),
        warnings=wire.notices(draft.warnings),
        plan_hash=None,
    )
