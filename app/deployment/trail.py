"""What the audit trail says of a deployment that reached a state."""

from collections.abc import Mapping
from datetime import datetime

from app.audit import Action, Actor, Event
from app.deployment.model import Deployment, State, Target

TOLD = {
    State.QUEUED: Action.ACCEPTED,
    State.SNAPSHOTTING: Action.STARTED,
    State.IMPORTING: Action.SNAPSHOT_TAKEN,
    State.VERIFYING: Action.IMPORTED,
    State.ROLLING_BACK: Action.ROLLING_BACK,
    State.SUCCEEDED: Action.VERIFIED,
    State.UNCHANGED: Action.UNCHANGED,
    State.FAILED: Action.FAILED,
    State.ROLLED_BACK: Action.ROLLED_BACK,
    State.ROLLBACK_FAILED: Action.ROLLBACK_FAILED,
    State.SUPERSEDED: Action.SUPERSEDED,
    State.INTERRUPTED: Action.INTERRUPTED,
    State.CANCELLED: Action.CANCELLED,
}


def event(deployment: Deployment, *, id: str, at: datetime, actor: Actor | None = None) -> Event:  # noqa: A002 - the field's name
    """The event of *deployment* having reached its state, asked for by *actor* or its owner."""
    return Event(
        id=id,
        timestamp=at,
        actor=actor or deployment.actor,
        action=TOLD[deployment.state],
        resource_type="deployment",
        resource_id=deployment.id,
        details={key: value for key, value in _details(deployment).items() if value is not None},
        request_id=deployment.request_id,
        trace_id=deployment.trace_id,
    )


def named(target: Target) -> dict[str, str]:
    """What the trail says of a target: the texts of its configuration, such as its name."""
    return {key: value for key, value in target.config.items() if isinstance(value, str)}


def _details(deployment: Deployment) -> Mapping[str, object]:
    rollback, error = deployment.rollback, deployment.error
    return {
        **named(deployment.target),
        "target_type": deployment.target.type,
        "state": deployment.state.value,
        "certificate_id": deployment.certificate_id,
        "serial": deployment.certificate.serial,
        "thumbprint": deployment.certificate.thumbprint,
        "version_id": deployment.version_id,
        "previous_version_id": deployment.snapshot.version_id if deployment.snapshot else None,
        "rollback_plan": rollback.plan.value if rollback else None,
        "rollback_reason": rollback.reason if rollback else None,
        "rollback_version_id": rollback.version_id if rollback else None,
        "error_code": error.code if error else None,
        "error_step": error.step.value if error else None,
    }
