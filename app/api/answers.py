"""The answers, as they go over the wire: every field is always there.

No field has a default, so that OpenAPI calls each of them required.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.audit import Action, Category
from app.deployment.model import Outcome, Plan, State


class Answer(BaseModel):
    """An answer: every field is always there."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Certificate(Answer):
    """What may be shown of a leaf."""

    serial: str = Field(description="Lower hex with colons.")
    thumbprint: str = Field(description="SHA-256 of the DER, lower hex.")
    subject: str
    dns_names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    key_type: str


class Snapshot(Answer):
    """What the target held before."""

    version_id: str
    serial: str
    thumbprint: str
    not_after: datetime
    enabled: bool
    managed_by_us: bool


class RollbackPlan(Answer):
    """How the previous certificate could be put back; `reason` says why not, if `impossible`."""

    plan: Plan
    reason: str | None


class Rollback(RollbackPlan):
    """The plan, and how it ended if it was needed.

    `version_id` is the version that it made, where that is known, however it ended. Where a
    rollback failed that was not `impossible`, `reason` is the code of the error that it met.
    """

    outcome: Outcome | None
    version_id: str | None


class TargetAnswer(Answer):
    """What the target answered, for a support case."""

    status: int | None
    code: str | None
    inner_code: str | None
    request_id: str | None


class Refusal(Answer):
    """A stable code, and a sentence that says what to do."""

    code: str
    message: str


class PlanError(Refusal):
    """Why nothing could be done."""

    retryable: bool
    azure: TargetAnswer | None


class DeploymentError(PlanError):
    """The first error of a deployment, and the step it happened in."""

    step: State


class Result(Answer):
    """certctl's DeploymentResult."""

    success: bool
    target_address: str
    deployment_id: str = Field(description="The target's version.")
    message: str
    deployed_at: datetime
    metadata: dict[str, str]


class Deployment(Answer):
    """One attempt to put one certificate into one target."""

    id: str
    target_type: str
    state: State
    final: bool
    success: bool
    certificate: Certificate
    target_config: dict[str, Any]
    metadata: dict[str, str]
    attempt: int
    previous_attempt: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    snapshot: Snapshot | None
    rollback: Rollback | None
    error: DeploymentError | None
    warnings: tuple[Refusal, ...]
    result: Result | None


class Step(Answer):
    """One step of a deployment."""

    seq: int
    at: datetime
    state: State
    action: Action
    details: dict[str, Any]


class Event(Answer):
    """One line of the audit trail, in certctl's shape."""

    id: str
    timestamp: datetime
    actor: str
    actor_type: str
    action: Action
    resource_type: str
    resource_id: str
    event_category: Category
    details: dict[str, Any]
    request_id: str | None
    trace_id: str | None


class Steps(Answer):
    """The steps of a deployment, in order."""

    data: tuple[Step, ...]


class DeploymentPage(Answer):
    """One page of deployments, newest first."""

    data: tuple[Deployment, ...]
    next_cursor: str | None
    page_size: int


class EventPage(Answer):
    """One page of the audit trail, newest first."""

    data: tuple[Event, ...]
    next_cursor: str | None
    page_size: int


class PlanTarget(Answer):
    """The target, and what it holds now."""

    address: str
    current: Snapshot | None


PlanAction = Literal["import", "none", "blocked"]


class PlanAnswer(Answer):
    """What a deploy would do."""

    action: PlanAction
    certificate: Certificate
    target: PlanTarget
    permissions: dict[str, str]
    rollback: RollbackPlan | None
    conflict: Refusal | None
    error: PlanError | None
    changes: tuple[str, ...]
    warnings: tuple[Refusal, ...]
    plan_hash: str | None = Field(description="For `expected_plan_hash`; null when unknown.")


class ValidConfig(Answer):
    """The configuration is right; normalised."""

    valid: Literal[True]
    target_config: dict[str, Any]


class DeploymentValidation(Answer):
    """Whether the target serves this certificate now, and which it does serve."""

    valid: bool
    serial: str | None = Field(description="Of the certificate that is served.")
    thumbprint: str | None = Field(description="Of the certificate that is served.")
    target_address: str
    message: str
    validated_at: datetime
    metadata: dict[str, str]


class Capabilities(Answer):
    """What a kind of target can do."""

    validate_only: bool
    rollback_plans: tuple[Plan, ...]


class Connector(Answer):
    """One kind of target."""

    type: str
    title: str
    capabilities: Capabilities
    config_schema: dict[str, Any] = Field(description="JSON Schema of `target_config`.")


class Connectors(Answer):
    """The registry."""

    data: tuple[Connector, ...]


class Health(Answer):
    """The process answers."""

    status: Literal["ok"]


class Ready(Answer):
    """The service takes work."""

    status: Literal["ready"]
    checks: dict[str, Literal["ok"]]


class Version(Answer):
    """What runs here."""

    name: str
    version: str
    build: str
    python: str
    connectors: tuple[str, ...]


class Fault(Answer):
    """One thing wrong with a request."""

    field: str = Field(description="Dotted path; never a value.")
    code: str
    message: str


class Problem(BaseModel):
    """RFC 9457. `code` is stable; `errors` stands in 422 only, `checks` in /ready only.

    Of many faults the first 100 are told, and in `more_errors` how many more there are.
    """

    model_config = ConfigDict(extra="forbid")

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    retryable: bool
    errors: tuple[Fault, ...] = ()
    more_errors: int = 0
    checks: tuple[str, ...] = ()
    azure: TargetAnswer | None = None
