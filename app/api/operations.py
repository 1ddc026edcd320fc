"""What can be asked of a kind of target: the five operations, as endpoints.

A request's keys are in `Held` only. It is handed on when the queue takes the deployment, and
dropped here in every other case.
"""

import contextlib
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Header
from pydantic import BaseModel
from starlette.responses import Response

from app import errors
from app.api import answers, bodies, material, planning, wire
from app.api.callers import Call, Called
from app.api.preferences import Prefer, wait_s
from app.api.rooms import Kind, Rooms
from app.api.schemas import ConfigRequest, ValidateDeploymentRequest, of
from app.audit import Action
from app.deployment import trail
from app.deployment.connector import Served
from app.deployment.model import Deployment, Target

Model = TypeVar("Model", bound=BaseModel)

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern="^[!-~]{1,255}$",
        description="The same request under the same key is accepted once; a repeat is answered "
        "with the first deployment. 1-255 visible ASCII characters.",
        examples=["renewal-2026-03-api-prod"],
    ),
]


@dataclass(frozen=True, kw_only=True)
class Operations:
    """The operations of one kind of target; its methods are the endpoints."""

    kind: Kind

    async def validate_config(self, call: Called) -> Response:
        """Check a configuration."""
        asked = await self._read(call, ConfigRequest)
        target = self._target(asked.target_config, call.rooms)
        await call.note(
            Action.CONFIG_VALIDATED,
            ("target", target.address),
            **trail.named(target),
            target_type=self.kind.type,
        )
        return wire.response(answers.ValidConfig(valid=True, target_config=dict(target.config)))

    async def deploy(
        self,
        call: Called,
        prefer: Prefer = None,  # noqa: ARG002 - for the document
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        """Accept a deployment, and wait for its end where that is preferred."""
        deployment, replayed = await self._accepted(call, idempotency_key)
        headers = {"Location": f"/api/v1/deployments/{deployment.id}"}
        if replayed:
            headers["Idempotency-Replayed"] = "true"
        wait = wait_s(call.request)
        if wait is not None:
            headers["Preference-Applied"] = f"wait={wait}"
            # A record that goes away meanwhile does not undo that this was accepted.
            with contextlib.suppress(errors.StoreUnavailable):
                deployment = await call.rooms.store.settled(deployment.id, within=wait)
        status = 200 if deployment.final else 202
        return wire.response(wire.deployment(deployment), status=status, headers=headers)

    async def plan(self, call: Called) -> Response:
        """Say what a deploy would do."""
        asked = await material.asked(call, self.kind)
        try:
            plan = await planning.plan(
                asked.deployment, asked.held, call.rooms.connectors[self.kind.type]
            )
        finally:
            asked.held.drop()
        await call.note(
            Action.PLANNED,
            ("target", asked.deployment.target.address),
            **trail.named(asked.deployment.target),
            target_type=self.kind.type,
            certificate_id=asked.deployment.certificate_id,
            thumbprint=asked.deployment.certificate.thumbprint,
            planned_action=plan.action,
            plan_hash=plan.plan_hash,
            error_code=plan.error.code if plan.error else None,
        )
        return wire.response(plan)

    async def validate_only(self, call: Called) -> Response:  # noqa: ARG002 - it must be known
        """Refuse: no kind of target has a dry run yet."""
        raise errors.ValidateOnlyNotSupported

    async def validate_deployment(self, call: Called) -> Response:
        """Compare what the target serves with what it should serve."""
        asked = await self._read(call, ValidateDeploymentRequest)
        target = self._target(asked.target_config, call.rooms)
        served = await planning.in_time(call.rooms.connectors[self.kind.type].served(target))
        valid, message = _verdict(served, asked.serial, asked.thumbprint)
        await call.note(
            Action.VALIDATED,
            ("target", target.address),
            **trail.named(target),
            target_type=self.kind.type,
            certificate_id=asked.metadata.get("certificate_id"),
            serial=asked.serial,
            thumbprint=asked.thumbprint,
            valid=valid,
        )
        return wire.response(
            answers.DeploymentValidation(
                valid=valid,
                serial=served.serial if served else None,
                thumbprint=served.thumbprint if served else None,
                target_address=served.address if served else target.address,
                message=message,
                validated_at=call.rooms.now(),
                metadata=asked.metadata,
            )
        )

    async def _accepted(self, call: Call, key: str | None) -> tuple[Deployment, bool]:
        """The deployment that stands for the request, and whether it is an earlier one."""
        rooms = call.rooms
        try:
            asked = await material.asked(call, self.kind, key=key)
        except errors.InvalidRequest:
            rooms.metrics.refused(self.kind.type)
            raise
        accepted = None
        try:
            event = trail.event(asked.deployment, id=rooms.new_id("evt"), at=rooms.now())
            accepted = await rooms.queue.submit(asked.deployment, asked.held, event, asked.key)
        finally:
            if accepted is None or accepted.id != asked.deployment.id:
                asked.held.drop()  # refused, or a repeat: the queue has not taken these keys
        if accepted.id == asked.deployment.id:
            return accepted, False
        await call.note(
            Action.REPLAYED,
            ("deployment", accepted.id),
            target_type=self.kind.type,
            certificate_id=accepted.certificate_id,
        )
        return accepted, True

    async def _read(self, call: Call, model: type[Model]) -> Model:
        typed: type[Model] = of(model, self.kind.config)
        return bodies.strictly(bodies.parse(await bodies.read(call.request), typed))

    def _target(self, config: BaseModel, rooms: Rooms) -> Target:
        connector = rooms.connectors[self.kind.type]
        target = connector.target(config.model_dump(mode="json"))
        found = connector.faults(target, None, {})
        if found:
            raise errors.InvalidRequest(found)
        return target


def _verdict(served: Served | None, serial: str | None, thumbprint: str | None) -> tuple[bool, str]:
    if served is None:
        return False, "The target serves no certificate under this name."
    if thumbprint not in (None, served.thumbprint) or serial not in (None, served.serial):
        return False, "The target serves another certificate."
    if not served.enabled:
        return False, "The target holds this certificate, but it is disabled and served to nobody."
    return True, "The target serves this certificate."
