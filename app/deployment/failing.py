"""What follows when a step fails: the state, the first error, and what a person must do."""

from dataclasses import replace

from app import errors
from app.deployment.model import (
    EXITS,
    NEXT,
    Deployment,
    Failure,
    Outcome,
    Rollback,
    Snapshot,
    State,
    moved,
)


def failed(deployment: Deployment, failure: errors.DeployError) -> Deployment:
    """*deployment* after *failure* of its step. The first error is the one that is kept.

    A first import has nothing to put back: where its rollback could not even look, it has `left`.
    """
    error = deployment.error or Failure(
        code=failure.code,
        message=failure.message,
        retryable=failure.retryable,
        step=deployment.state,
        answer=failure.answer,
    )
    state = _way_out(deployment, failure)
    if deployment.state is State.ROLLING_BACK and state is State.FAILED:
        return left(replace(deployment, error=error))
    rollback = deployment.rollback
    if state is State.ROLLBACK_FAILED and rollback is not None:
        reason = rollback.reason or failure.code
        rollback = replace(rollback, outcome=Outcome.ALSO_FAILED, reason=reason)
        text = f"{error.message} {_to_a_person(deployment, rollback, failure)}"
        error = replace(error, message=text, retryable=False)
    return moved(deployment, state, error=error, rollback=rollback)


def left(deployment: Deployment) -> Deployment:
    """*deployment* after a rollback that had nothing to put back.

    Either its import never landed, or it was the first under its name and stands: then the code
    says that, whatever kept it from being read back. A fault of ours stays told as one.
    """
    error = deployment.error
    unproven = errors.VerificationFailed.code
    told = (unproven, errors.InternalError.code)
    if error is not None and deployment.version_id is not None and error.code not in told:
        text = f"Version {deployment.version_id} was made, the first under this name, but not "
        text += f"read back ({error.code}): {error.message}"
        error = replace(error, code=unproven, message=text)
    return moved(deployment, State.FAILED, error=error)


def _to_a_person(deployment: Deployment, rollback: Rollback, failure: errors.DeployError) -> str:
    """What to do when a rollback failed: where to look, and which version to put back."""
    before, ours = deployment.snapshot, deployment.version_id
    versions = f" Ours is version {ours}." if ours else ""
    if rollback.version_id is not None:
        versions += f" The rollback made version {rollback.version_id}."
    if before is not None:
        versions += f" {_put_back(deployment, before)}"
    return (
        f"The rollback failed too ({failure.code}): {failure.message} A person must look at what "
        f"{deployment.target.address} serves now.{versions}"
    )


def _put_back(deployment: Deployment, before: Snapshot) -> str:
    """What a person can do with the version from before; an expired one is taken by nobody."""
    right = "import a certificate that is right"
    if before.not_after <= deployment.created_at:
        return f"Version {before.version_id} was there before, but has expired: {right}."
    if not before.enabled:
        return (
            f"Version {before.version_id} was there before, but is disabled: enable it first, then "
            f"put it back, or {right}."
        )
    return f"Put back version {before.version_id}, or {right}."


def _way_out(deployment: Deployment, failure: errors.DeployError) -> State:
    state = deployment.state
    unclear = (errors.ImportOutcomeUnknown, errors.DeadlineExceeded, errors.InternalError)
    if isinstance(failure, errors.Superseded) and State.SUPERSEDED in EXITS[state]:
        return State.SUPERSEDED
    if isinstance(failure, errors.KeyGone) and State.INTERRUPTED in EXITS[state]:
        return State.INTERRUPTED
    if state is State.IMPORTING and not isinstance(failure, unclear):
        return State.FAILED  # a clear answer to an import that was surely never applied
    first = state is State.ROLLING_BACK and deployment.snapshot is None
    if first and not isinstance(failure, errors.InternalError):
        return State.FAILED  # nothing was there to put back, so what failed was only a look
    return NEXT[state][1]
