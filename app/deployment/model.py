"""A deployment, its states, and the law that moves it.

The law is `NEXT`: for each step, the state if it works and the state if it fails. `EXITS` holds
the short ways out, and `moved` refuses every other move. The state reached *is* the event, so
there is no second list of events to keep true.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from app import errors
from app.audit import SYSTEM, Actor
from app.pki import Details, Notice


class State(StrEnum):
    """Where a deployment is. The first five are steps under way, the others are final.

    `succeeded`: the target serves it; read back. `unchanged`: it already did, and no version was
    made. `failed`: nothing had changed, or only a first import was made, and then `error.code`
    says so. `rolled_back`: the previous certificate is served again; read back.
    `rollback_failed`: the target does not serve what it should, and a person must act; the error
    says what to do. `superseded`: another writer's newer version is current, and was left alone.
    `interrupted`: the process died before the import and the key went with it; nothing changed,
    send it again. `cancelled`: while queued.
    """

    QUEUED = "queued"
    SNAPSHOTTING = "snapshotting"
    IMPORTING = "importing"
    VERIFYING = "verifying"
    ROLLING_BACK = "rolling_back"
    SUCCEEDED = "succeeded"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    ROLLBACK_FAILED = "rollback_failed"
    SUPERSEDED = "superseded"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"


# the step under way: (the state if it works, the state if it fails)
NEXT = {
    State.SNAPSHOTTING: (State.IMPORTING, State.FAILED),
    State.IMPORTING: (State.VERIFYING, State.ROLLING_BACK),
    State.VERIFYING: (State.SUCCEEDED, State.ROLLING_BACK),
    State.ROLLING_BACK: (State.ROLLED_BACK, State.ROLLBACK_FAILED),
}

# the short ways out of a state
EXITS = {
    State.QUEUED: {State.SNAPSHOTTING, State.CANCELLED, State.INTERRUPTED},
    State.SNAPSHOTTING: {State.UNCHANGED, State.INTERRUPTED},
    State.IMPORTING: {State.FAILED, State.SUPERSEDED, State.INTERRUPTED},
    State.VERIFYING: {State.SUPERSEDED},
    State.ROLLING_BACK: {State.FAILED, State.SUPERSEDED},
}

FINAL = frozenset(state for state in State if state not in EXITS)
SUCCESS = frozenset({State.SUCCEEDED, State.UNCHANGED})


class Plan(StrEnum):
    """How the previous certificate could be put back; known before anything changes."""

    NOT_NEEDED = "not_needed"
    SECRET = "secret"  # noqa: S105 - the name of a plan, not a password
    PREVIOUS_KEY = "previous_key"
    SAME_KEY = "same_key"
    IMPOSSIBLE = "impossible"


class Insist(StrEnum):
    """What the caller says of rollback: refuse to change anything without one, or try."""

    REQUIRED = "required"
    BEST_EFFORT = "best_effort"


class Outcome(StrEnum):
    """How a rollback ended, read back from the target."""

    RESTORED = "restored"
    ALSO_FAILED = "also_failed"


@dataclass(frozen=True, kw_only=True)
class Target:
    """One place a certificate is served from.

    `config` is the connector's own, normalised; the core does not look into it. `address` names
    the target without a version, and deployments to one address run one at a time.
    """

    type: str
    config: Mapping[str, Any]
    address: str


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What the target held before: no key, so it may be stored.

    `attributes` is the connector's own, what it needs to put this version back.
    """

    version_id: str
    serial: str
    thumbprint: str
    not_after: datetime
    enabled: bool
    managed_by_us: bool
    tags: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Rollback:
    """The plan, why there is none, and how it ended if it was needed.

    `reason` says why the plan is `impossible`; where another failed, it is the code of the error
    that it met. `version_id` is the version that it made, as far as that is known, however it
    ended.
    """

    plan: Plan
    reason: str | None = None
    outcome: Outcome | None = None
    version_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """The first error of a deployment, as it is kept: a code and our own sentence."""

    code: str
    message: str
    retryable: bool
    step: State
    answer: errors.TargetAnswer | None = None


@dataclass(frozen=True, kw_only=True)
class Result:
    """certctl's DeploymentResult. `deployment_id` is the target's version."""

    target_address: str
    deployment_id: str
    message: str
    deployed_at: datetime
    metadata: Mapping[str, str]
    success: bool = True


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One attempt to put one certificate into one target. It holds no key, ever."""

    id: str
    target: Target
    certificate: Details
    created_at: datetime
    state: State = State.QUEUED
    metadata: Mapping[str, str] = field(default_factory=dict)
    insist: Insist = Insist.BEST_EFFORT
    expected_version: str | None = None
    expected_plan_hash: str | None = None
    force: bool = False
    attempt: int = 1
    previous_attempt: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    snapshot: Snapshot | None = None
    rollback: Rollback | None = None
    version_id: str | None = None
    error: Failure | None = None
    warnings: tuple[Notice, ...] = ()
    result: Result | None = None
    actor: Actor = SYSTEM
    request_id: str | None = None
    trace_id: str | None = None

    @property
    def final(self) -> bool:
        """Whether it has ended."""
        return self.state in FINAL

    @property
    def certificate_id(self) -> str | None:
        """The control plane's id of the certificate, which becomes the provenance tag."""
        return self.metadata.get("certificate_id")


def moved(deployment: Deployment, state: State, **changes: Any) -> Deployment:  # noqa: ANN401 - the fields of Deployment
    """*deployment* in its next state; an illegal move raises, and nothing changes."""
    legal = {*NEXT.get(deployment.state, ()), *EXITS.get(deployment.state, ())}
    if state not in legal:
        raise ValueError(f"no way from {deployment.state} to {state}")
    return replace(deployment, state=state, **changes)


def new_id(prefix: str, at: datetime, randomness: bytes) -> str:
    """An id that sorts by time: *prefix*, microseconds in 14 hex digits, *randomness* in hex."""
    return f"{prefix}-{int(at.timestamp() * 1_000_000):014x}{randomness.hex()}"


def plan_hash(deployment: Deployment, *, unchanged: bool) -> str:
    """What a caller agrees to: SHA-256 over the certificate, the target and what it holds now."""
    snapshot, rollback = deployment.snapshot, deployment.rollback
    agreed = (
        deployment.target.type,
        deployment.target.address,
        deployment.target.config,
        deployment.certificate.thumbprint,
        deployment.certificate_id,
        deployment.force,
        unchanged,
        snapshot and (snapshot.version_id, snapshot.thumbprint, snapshot.enabled),
        rollback and (rollback.plan.value, rollback.reason),
    )
    # Sorted, since the order of tags in a request says nothing.
    text = json.dumps(agreed, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
