"""The OpenAPI document: what routes say of themselves, and what holds for all of them.

Errors are declared by their classes, so the document cannot name one that does not exist. There
is no key in it, not even in an example.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app import errors
from app.api import answers, problems
from app.api.examples import EXAMPLES

_REFS: Final = "#/components/schemas/{model}"
_METHODS: Final = ("get", "post")
_HEADERS: Final[Mapping[str, str]] = {
    "Location": "The path of the deployment.",
    "Preference-Applied": "The preference that was followed, such as `wait=30`.",
    "Idempotency-Replayed": "`true`: this is the first deployment under the key.",
    "Retry-After": "Seconds after which it may work.",
    "WWW-Authenticate": "`Bearer`",
    "Allow": "The methods of the path.",
    "X-Request-Id": "The caller's id of the request, or ours; it is in the log and the trail.",
}
_DESCRIPTION: Final = """\
Puts TLS certificates where they are served from, proves that they arrived, and puts the previous
certificate back when they did not.

Errors are `application/problem+json` (RFC 9457); `code` is stable. Times are RFC 3339 in UTC.
Unknown fields and unknown query parameters are refused. Keys are never stored and never answered.
"""
_TAGS: Final = [
    {"name": "connectors", "description": "Kinds of targets, and what can be asked of them."},
    {"name": "deployments", "description": "What was asked, how far it is, how it ended."},
    {"name": "audit", "description": "Who did what."},
    {"name": "system", "description": "Probes, metrics, version."},
]


def headers(*names: str) -> dict[str, Any]:
    """The declarations of answer headers, by name."""
    return {name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in names}


def answered(example: str, *names: str, text: str) -> dict[str, Any]:
    """A successful answer: the name of its *example*, and the *names* of its headers.

    The example is referred to: what FastAPI copies into the document loses its nulls.
    """
    named = {"example": {"$ref": f"#/components/examples/{example}"}}
    return {
        "description": text,
        "content": {"application/json": {"examples": named}},
        "headers": headers(*names),
    }


def refusals(*kinds: type[errors.Trouble]) -> dict[int | str, dict[str, Any]]:
    """The declarations of the errors of an operation: status → its problems, by code."""
    declared: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        status = problems.status(kind)
        one = declared.setdefault(status.value, _problem(status.phrase))
        one["headers"].update(headers(*problems.headers(kind)))
        one["content"][problems.MEDIA_TYPE]["examples"][kind.code] = {"value": _example(kind)}
    return declared


def body(model: type[BaseModel], example: Mapping[str, Any]) -> dict[str, Any]:
    """The declaration of a request body that is read by hand."""
    schema = {"$ref": _REFS.format(model=model.__name__)}
    content = {"application/json": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def example_of(model: type[BaseModel]) -> dict[str, Any]:
    """An example made of the first example of each field."""
    fields = model.model_fields.items()
    return {name: field.examples[0] for name, field in fields if field.examples}


def document(app: FastAPI, *, version: str, models: Iterable[type[BaseModel]]) -> dict[str, Any]:
    """The whole document of *app*; *models* are the bodies that are read by hand."""
    made = get_openapi(
        title="certctl-connectors",
        version=version,
        summary="Deploys TLS certificates, and truly undoes what failed.",
        description=_DESCRIPTION,
        routes=app.routes,
        tags=[dict(tag) for tag in _TAGS],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    components = made.setdefault("components", {})
    _, definitions = models_json_schema(
        [*((one, "validation") for one in models), (answers.Problem, "serialization")],
        ref_template=_REFS,
    )
    components.setdefault("schemas", {}).update(definitions["$defs"])
    components["examples"] = {name: {"value": value} for name, value in EXAMPLES.items()}
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    for path, operations in made["paths"].items():
        for method in _METHODS:
            if method in operations:
                _common(operations[method], guarded=path.startswith("/api/v1/"))
    return made


def _common(operation: dict[str, Any], *, guarded: bool) -> None:
    """What holds for every operation."""
    everywhere: tuple[type[errors.Trouble], ...] = (errors.InternalError,)
    if guarded:
        everywhere = (errors.Unauthenticated, errors.StoreUnavailable, *everywhere)
        operation["security"] = [{"bearer": []}]
    for status, declared in refusals(*everywhere).items():
        known = operation["responses"].setdefault(str(status), declared)
        problem = known["content"][problems.MEDIA_TYPE]
        problem["examples"].update(declared["content"][problems.MEDIA_TYPE]["examples"])
        known["headers"].update(declared["headers"])
    for response in operation["responses"].values():
        response.setdefault("headers", {}).update(headers("X-Request-Id"))


def _problem(phrase: str) -> dict[str, Any]:
    schema = {"$ref": _REFS.format(model="Problem")}
    return {
        "description": phrase,
        "headers": {},
        "content": {problems.MEDIA_TYPE: {"schema": schema, "examples": {}}},
    }


def _example(kind: type[errors.Trouble]) -> dict[str, Any]:
    if issubclass(kind, errors.InvalidRequest):
        text = "The key does not belong to the certificate in cert_pem."
        fault = errors.Fault(field="key_pem", code="key-mismatch", message=text)
        members = problems.fields(kind((fault,)), instance="/api/v1/…", request_id="req-018f")
        return {**members, "errors": [vars(fault)]}
    return problems.fields(kind(), instance="/api/v1/…", request_id="req-018f")
