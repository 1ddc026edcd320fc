"""The connectors: the registry, and the paths of each kind of target.

Paths are made from the registry, literally, so that OpenAPI types each configuration.
"""

from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import Response

from app import errors
from app.api import answers, wire
from app.api.callers import Called
from app.api.document import answered, body, example_of, refusals
from app.api.operations import Operations
from app.api.rooms import Kind, Rooms
from app.api.schemas import ConfigRequest, DeployRequest, ValidateDeploymentRequest, of

_TAG: Final = "connectors"
_OPERATIONS: Final = (
    "validate-config",
    "deploy",
    "plan",
    "validate-only",
    "validate-deployment",
)
_DEPLOYED: Final = ("Location", "Preference-Applied", "Idempotency-Replayed")
_DEPLOY: Final = """\
Checks the certificate, its chain and its key (422 names every fault at once), records the
deployment and answers 202; a worker then looks at the target, imports, reads back, and rolls back
where that failed. With `Prefer: wait=N` the answer waits for the end and is 200.

The same `Idempotency-Key` with the same request answers with the first deployment.
"""
_PLAN: Final = """\
Takes the request of a deploy and changes nothing: the certificate's checks, what the target holds,
our permissions there, what would stand in the way, whether it could be undone. A target that
refuses to be looked at is an answer too: `action` is `blocked`, and `error` says why.
"""
_BODY: Final = (errors.MalformedRequest, errors.RequestTooLarge, errors.InvalidRequest)
_NOT_NOW: Final = (errors.QueueFull, errors.Draining, errors.SealingUnavailable)
_TARGET: Final = (
    errors.TargetUnauthenticated,
    errors.TargetForbiddenRbac,
    errors.TargetForbiddenPolicy,
    errors.TargetForbiddenFirewall,
    errors.TargetForbiddenConnection,
    errors.TargetNotFound,
    errors.TargetUnavailable,
    errors.TargetThrottled,
    errors.TargetUnreachable,
)


def models(kinds: Mapping[str, Kind]) -> list[type[BaseModel]]:
    """The request bodies of every kind, for the document."""
    bodies: tuple[type[BaseModel], ...] = (ConfigRequest, DeployRequest, ValidateDeploymentRequest)
    return [of(model, kind.config) for kind in kinds.values() for model in bodies]


def router(kinds: Mapping[str, Kind]) -> APIRouter:
    """The routes of *kinds*; the literal ones first, so that only unknown types are unknown."""
    routes = APIRouter(prefix="/api/v1/connectors", tags=[_TAG])
    for kind in kinds.values():
        _add(routes, kind)
    routes.add_api_route(
        "",
        _list,
        methods=["GET"],
        operation_id="listConnectors",
        summary="The kinds of targets",
        description="The registry: type, title, capabilities, JSON Schema of the configuration.",
        response_model=answers.Connectors,
        responses={200: answered("Connectors", text="The registry.")},
    )
    routes.add_api_route(
        "/{type}",
        _one,
        methods=["GET"],
        operation_id="getConnector",
        summary="One kind of target",
        description="Type, title, capabilities, JSON Schema of the configuration.",
        response_model=answers.Connector,
        responses={
            200: answered("Connector", text="The kind of target."),
            **refusals(errors.UnknownConnector, errors.InvalidRequest),
        },
    )
    for name in _OPERATIONS:
        routes.add_api_route(
            f"/{{type}}/{name}", _unknown, methods=["POST"], include_in_schema=False
        )
    return routes


def _add(routes: APIRouter, kind: Kind) -> None:
    """The five operations of a kind; deploy first, for it is asked most."""
    operations = Operations(kind=kind)
    _add_deploying(routes, kind, operations)
    config = {"target_config": example_of(kind.config)}
    routes.add_api_route(
        f"/{kind.type}/validate-config",
        operations.validate_config,
        methods=["POST"],
        operation_id=f"validate{kind.type}Config",
        summary=f"Check a configuration ({kind.title})",
        description="Checks the configuration, all faults at once; touches nothing.",
        response_model=answers.ValidConfig,
        responses={
            200: answered("ValidConfig", text="It is right; normalised."),
            **refusals(*_BODY),
        },
        openapi_extra=body(of(ConfigRequest, kind.config), config),
    )
    routes.add_api_route(
        f"/{kind.type}/validate-deployment",
        operations.validate_deployment,
        methods=["POST"],
        operation_id=f"validate{kind.type}Deployment",
        summary=f"Is this certificate served now? ({kind.title})",
        description="Compares serial, thumbprint, or both with what the target serves now.",
        response_model=answers.DeploymentValidation,
        responses={
            200: answered("Validation", text="What was found; see `valid`."),
            **refusals(*_BODY, *_TARGET, errors.Draining),
        },
        openapi_extra=body(
            of(ValidateDeploymentRequest, kind.config),
            {**example_of(ValidateDeploymentRequest), **config},
        ),
    )
    routes.add_api_route(
        f"/{kind.type}/validate-only",
        operations.validate_only,
        methods=["POST"],
        operation_id=f"validateOnly{kind.type}",
        summary=f"Dry run on the target ({kind.title})",
        description="Where the target has a dry run. Where it has none, use `plan`.",
        status_code=501,
        response_model=None,
        response_class=Response,
        responses=refusals(errors.ValidateOnlyNotSupported),
    )


def _add_deploying(routes: APIRouter, kind: Kind, operations: Operations) -> None:
    """The two operations that take a certificate and its key."""
    asked = body(
        of(DeployRequest, kind.config),
        {**example_of(DeployRequest), "target_config": example_of(kind.config)},
    )
    routes.add_api_route(
        f"/{kind.type}/deploy",
        operations.deploy,
        methods=["POST"],
        operation_id=f"deploy{kind.type}",
        summary=f"Deploy a certificate ({kind.title})",
        description=_DEPLOY,
        status_code=202,
        response_model=answers.Deployment,
        responses={
            200: {
                **answered("Deployment", *_DEPLOYED, text="It has ended; see `state`."),
                "model": answers.Deployment,
            },
            202: answered("Accepted", *_DEPLOYED, text="Accepted and recorded."),
            **refusals(*_BODY, errors.IdempotencyKeyReused, *_NOT_NOW),
        },
        openapi_extra=asked,
    )
    routes.add_api_route(
        f"/{kind.type}/plan",
        operations.plan,
        methods=["POST"],
        operation_id=f"plan{kind.type}",
        summary=f"What a deploy would do ({kind.title})",
        description=_PLAN,
        response_model=answers.PlanAnswer,
        responses={200: answered("Plan", text="The plan."), **refusals(*_BODY, errors.Draining)},
        openapi_extra=asked,
    )


async def _list(call: Called) -> Response:
    rooms = call.rooms
    return wire.response(
        answers.Connectors(data=tuple(_described(rooms, kind) for kind in rooms.kinds.values()))
    )


async def _one(type: str, call: Called) -> Response:  # noqa: A002 - the path's name
    if type not in call.rooms.kinds:
        raise errors.UnknownConnector
    return wire.response(_described(call.rooms, call.rooms.kinds[type]))


async def _unknown(call: Called) -> Response:  # noqa: ARG001 - it must be known
    raise errors.UnknownConnector


def _described(rooms: Rooms, kind: Kind) -> answers.Connector:
    return answers.Connector(
        type=kind.type,
        title=kind.title,
        capabilities=answers.Capabilities(
            validate_only=kind.validate_only, rollback_plans=rooms.connectors[kind.type].plans
        ),
        config_schema=kind.config.model_json_schema(),
    )
