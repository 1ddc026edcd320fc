"""Small makers of what is stored, in the order of their numbers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from app.audit import Actor, Event
from app.deployment import trail
from app.deployment.model import Deployment, State, Target, moved, new_id
from app.pki import Details
from app.store import IdempotencyKey, Store

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
CALLER = Actor(name="certctl", kind="token")
WAY = (State.SNAPSHOTTING, State.IMPORTING, State.VERIFYING, State.SUCCEEDED)


def at(number: int) -> datetime:
    """Second *number* after the start."""
    return START + timedelta(seconds=number)


def deployment(number: int, **changes: Any) -> Deployment:  # noqa: ANN401 - the fields of the dataclass
    """The deployment of second *number*."""
    name = f"cert-{number % 10}"
    vault = f"https://vault-{number % 2}.vault.azure.net"
    made = Deployment(
        id=new_id("dep", at(number), number.to_bytes(8, "big")),
        target=Target(
            type="AzureKeyVault",
            config={"vault_url": vault, "certificate_name": name, "tags": {"env": "test"}},
            address=f"{vault}/certificates/{name}",
        ),
        certificate=Details(
            serial="01:23",
            thumbprint="ab" * 32,
            subject="CN=api.example.com",
            dns_names=("api.example.com", "www.example.com"),
            not_before=at(0),
            not_after=at(90 * 86400),
            key_type="EC P-256",
        ),
        created_at=at(number),
        metadata={"certificate_id": f"mc-{number % 3}", "job_id": f"job-{number}"},
        actor=CALLER,
        request_id=f"req-{number}",
    )
    return replace(made, **changes)


_events = 0


def event(of: Deployment, **changes: Any) -> Event:  # noqa: ANN401 - the fields of the dataclass
    """The event of a deployment having reached its state, with an id of its own."""
    global _events  # noqa: PLW0603 - a counter is all the randomness that tests need
    _events += 1
    told = trail.event(of, id=new_id("evt", of.created_at, _events.to_bytes(8, "big")), at=at(1))
    return replace(told, **changes)


def key(name: str = "once", *, fingerprint: str = "f1", caller: str = "certctl") -> IdempotencyKey:
    """An idempotency key of a request."""
    return IdempotencyKey(caller=caller, key=name, fingerprint=fingerprint)


async def accepted(store: Store, number: int, **changes: Any) -> Deployment:  # noqa: ANN401 - the fields of the dataclass
    """Deployment *number*, accepted."""
    made = deployment(number, **changes)
    return await store.accept(made, event(made))


async def advanced(store: Store, to: Deployment, *states: State) -> Deployment:
    """A deployment, moved through *states* and saved at each."""
    for state in states:
        to = moved(to, state)
        await store.save(to, event(to))
    return to
