"""A deploy request examined: the deployment it asks for and its keys, or every fault at once.

Faults of the schema do not hide those of the certificate, and neither hides the target's own.
No text of a key outlives a function of this module.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import from_json

from app import pki
from app.api import bodies
from app.api.callers import Call
from app.api.rooms import Kind, Rooms
from app.api.schemas import DeployRequest, of
from app.deployment.connector import Held
from app.deployment.model import Deployment, Target
from app.errors import Fault, InvalidRequest
from app.store import IdempotencyKey

_TEXTS: Final = ("cert_pem", "chain_pem", "key_pem", "previous_key_pem")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request that can be taken. Whoever has it must drop `held`, or hand it on."""

    deployment: Deployment
    held: Held
    key: IdempotencyKey | None


async def asked(call: Call, kind: Kind, *, key: str | None = None) -> Asked:
    """Read and examine a deploy request.

    Args:
        call: its body is read here.
        kind: the kind of target it is for.
        key: the Idempotency-Key, if there is one.

    Raises:
        MalformedRequest: the body is no JSON.
        InvalidRequest: with every fault found.
    """
    rooms = call.rooms
    body = await bodies.read(call.request)
    parsed = bodies.parse(body, of(DeployRequest, kind.config))
    if isinstance(parsed, tuple):
        raise InvalidRequest(parsed + _beside(parsed, body, kind, rooms))
    target, bundle, previous = _examined(parsed, kind, rooms)
    deployment = Deployment(
        id=rooms.new_id("dep"),
        target=target,
        certificate=bundle.details,
        created_at=rooms.now(),
        metadata=parsed.metadata,
        insist=parsed.rollback,
        expected_version=parsed.expected_version,
        expected_plan_hash=parsed.expected_plan_hash,
        force=parsed.force,
        warnings=bundle.notices,
        actor=call.actor,
        request_id=call.request_id,
        trace_id=call.trace_id,
    )
    known = key and IdempotencyKey(
        caller=call.actor.name, key=key, fingerprint=_fingerprint(body, kind, rooms)
    )
    return Asked(deployment=deployment, held=Held(bundle, previous), key=known or None)


def _examined(
    parsed: DeployRequest[BaseModel], kind: Kind, rooms: Rooms
) -> tuple[Target, pki.Bundle, pki.PrivateKey | None]:
    connector = rooms.connectors[kind.type]
    target = connector.target(parsed.target_config.model_dump(mode="json"))
    bundle, previous, found = _keys({name: getattr(parsed, name) for name in _TEXTS}, rooms)
    found += connector.faults(target, bundle, parsed.metadata)
    if bundle is None or found:
        raise InvalidRequest(found)
    return target, bundle, previous


def _keys(
    texts: Mapping[str, object], rooms: Rooms
) -> tuple[pki.Bundle | None, pki.PrivateKey | None, tuple[Fault, ...]]:
    cert, chain, key, previous_key = (_text(texts.get(name)) for name in _TEXTS)
    bundle, found = pki.parse(cert, chain, key, now=rooms.now())
    previous, more = pki.read_key("previous_key_pem", previous_key) if previous_key else (None, [])
    return bundle, previous, (*found, *more)


def _beside(schema: tuple[Fault, ...], body: bytes, kind: Kind, rooms: Rooms) -> tuple[Fault, ...]:
    """What else is wrong where the schema is wrong already: the other fields, one by one."""
    document = from_json(body)
    if not isinstance(document, dict):
        return ()
    bundle, _, found = _keys(document, rooms)
    found += _target_faults(document, bundle, kind, rooms)
    named = {fault.field for fault in schema}
    return tuple(fault for fault in found if fault.field not in named)


def _target_faults(
    document: Mapping[str, object], bundle: pki.Bundle | None, kind: Kind, rooms: Rooms
) -> tuple[Fault, ...]:
    try:
        config = kind.config.model_validate(document.get("target_config"))
    except ValidationError:  # it is among the faults of the schema
        return ()
    given = document.get("metadata")
    metadata = {key: _text(text) for key, text in given.items()} if isinstance(given, dict) else {}
    connector = rooms.connectors[kind.type]
    return connector.faults(connector.target(config.model_dump(mode="json")), bundle, metadata)


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return value if isinstance(value, str) else ""


def _fingerprint(body: bytes, kind: Kind, rooms: Rooms) -> str:
    """The same for the same request, however its JSON is laid out."""
    canonical = json.dumps([kind.type, from_json(body)], sort_keys=True, separators=(",", ":"))
    return rooms.store.fingerprint(canonical.encode())
