"""From the core's words to the wire's: deployments, steps and events as answers."""

from collections.abc import Mapping

from pydantic import BaseModel
from starlette.responses import Response

from app import audit, errors, pki
from app.api import answers
from app.deployment import model
from app.store import Step


def response(
    answer: BaseModel, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """*answer* as JSON, written by pydantic's own serialiser."""
    return Response(
        answer.__pydantic_serializer__.to_json(answer),
        status_code=status,
        headers=headers,
        media_type="application/json",
    )


def deployment(one: model.Deployment) -> answers.Deployment:
    """A deployment. It has no field that could hold a key."""
    return answers.Deployment(
        id=one.id,
        target_type=one.target.type,
        state=one.state,
        final=one.final,
        success=one.state in model.SUCCESS,
        certificate=certificate(one.certificate),
        target_config=dict(one.target.config),
        metadata=dict(one.metadata),
        attempt=one.attempt,
        previous_attempt=one.previous_attempt,
        created_at=one.created_at,
        started_at=one.started_at,
        finished_at=one.finished_at,
        snapshot=snapshot(one.snapshot) if one.snapshot else None,
        rollback=_rollback(one.rollback) if one.rollback else None,
        error=_error(one.error) if one.error else None,
        warnings=notices(one.warnings),
        result=_result(one.result) if one.result else None,
    )


def certificate(one: pki.Details) -> answers.Certificate:
    """What may be shown of a leaf."""
    return answers.Certificate(
        serial=one.serial,
        thumbprint=one.thumbprint,
        subject=one.subject,
        dns_names=one.dns_names,
        not_before=one.not_before,
        not_after=one.not_after,
        key_type=one.key_type,
    )


def snapshot(one: model.Snapshot) -> answers.Snapshot:
    """What a target held before; the connector's own attributes stay here."""
    return answers.Snapshot(
        version_id=one.version_id,
        serial=one.serial,
        thumbprint=one.thumbprint,
        not_after=one.not_after,
        enabled=one.enabled,
        managed_by_us=one.managed_by_us,
    )


def notices(some: tuple[pki.Notice, ...]) -> tuple[answers.Refusal, ...]:
    """Warnings."""
    return tuple(answers.Refusal(code=one.code, message=one.message) for one in some)


def target_answer(one: errors.TargetAnswer) -> answers.TargetAnswer:
    """What a target answered, reduced to what may be shown."""
    return answers.TargetAnswer(
        status=one.status, code=one.code, inner_code=one.inner_code, request_id=one.request_id
    )


def plan_error(one: model.Failure | errors.DeployError) -> answers.PlanError:
    """Why nothing could be done."""
    return answers.PlanError(
        code=one.code,
        message=one.message,
        retryable=one.retryable,
        azure=target_answer(one.answer) if one.answer else None,
    )


def step(one: Step) -> answers.Step:
    """A step of a deployment."""
    return answers.Step(
        seq=one.seq, at=one.at, state=one.state, action=one.action, details=dict(one.details)
    )


def event(one: audit.Event) -> answers.Event:
    """A line of the audit trail."""
    return answers.Event(
        id=one.id,
        timestamp=one.timestamp,
        actor=one.actor.name,
        actor_type=one.actor.kind,
        action=one.action,
        resource_type=one.resource_type,
        resource_id=one.resource_id,
        event_category=audit.category(one.action),
        details=dict(one.details),
        request_id=one.request_id,
        trace_id=one.trace_id,
    )


def _rollback(one: model.Rollback) -> answers.Rollback:
    return answers.Rollback(
        plan=one.plan, reason=one.reason, outcome=one.outcome, version_id=one.version_id
    )


def _error(one: model.Failure) -> answers.DeploymentError:
    return answers.DeploymentError(
        code=one.code,
        message=one.message,
        retryable=one.retryable,
        step=one.step,
        azure=target_answer(one.answer) if one.answer else None,
    )


def _result(one: model.Result) -> answers.Result:
    return answers.Result(
        success=one.success,
        target_address=one.target_address,
        deployment_id=one.deployment_id,
        message=one.message,
        deployed_at=one.deployed_at,
        metadata=dict(one.metadata),
    )
