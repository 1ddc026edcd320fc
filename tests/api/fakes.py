"""A target kept in memory, and a queue that runs nothing until it is told to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from app import errors
from app.audit import Actor, Event
from app.deployment import trail
from app.deployment.connector import Connector, Held, Proof, Served, Standing
from app.deployment.failing import failed
from app.deployment.model import (
    Deployment,
    Outcome,
    Plan,
    Result,
    Rollback,
    Snapshot,
    State,
    Target,
    moved,
)
from app.errors import DeployError, Fault
from app.pki import Bundle
from app.store import IdempotencyKey, Store

T = TypeVar("T")


def _shelf_name(value: str) -> str:
    if not value.islower():
        raise PydanticCustomError("shelf-lower-case", "Write the shelf in lower case.")
    return value


class ShelfTarget(BaseModel):
    """A place on a shelf."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shelf: Annotated[str, AfterValidator(_shelf_name)] = Field(examples=["oak"])
    certificate_name: str = Field(max_length=20, examples=["api"])
    tags: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ShelfKind:
    config: type[BaseModel] = ShelfTarget
    type: str = "Shelf"
    title: str = "A shelf"
    validate_only: bool = False


class Shelf:
    """Looks at what lies there; `trouble` is raised by every look, `held` is what it was given."""

    plans = (Plan.NOT_NEEDED, Plan.SAME_KEY, Plan.IMPOSSIBLE)

    def __init__(self, kind: str = "Shelf", config: type[BaseModel] = ShelfTarget) -> None:
        self.type = kind
        self._config = config
        self.served_now: Served | None = None
        self.standing = Standing(
            snapshot=None, unchanged=None, rollback=Rollback(plan=Plan.NOT_NEEDED)
        )
        self.hindrance: DeployError | None = None
        self.trouble: BaseException | None = None
        self.held: Held | None = None

    def target(self, config: Mapping[str, object]) -> Target:
        found = self._config.model_validate(config).model_dump(mode="json")
        address = "/".join(["shelf:/", *(one for one in found.values() if isinstance(one, str))])
        return Target(type=self.type, config=found, address=address)

    def faults(
        self, target: Target, bundle: Bundle | None, metadata: Mapping[str, str]
    ) -> tuple[Fault, ...]:
        if target.config.get("shelf") != "locked":
            return ()
        return (Fault(field="target_config.shelf", code="shelf-locked", message="It is locked."),)

    async def snapshot(self, deployment: Deployment, held: Held) -> Standing:
        assert held.bundle is not None
        assert held.bundle.key is not None
        self.held = held
        return self._look(self.standing)

    async def conflict(self, target: Target) -> DeployError | None:
        return self.hindrance

    async def served(self, target: Target) -> Served | None:
        return self._look(self.served_now)

    def _look(self, found: T) -> T:
        if self.trouble is not None:
            raise self.trouble
        return found

    async def import_certificate(self, deployment: Deployment, held: Held) -> str:
        raise NotImplementedError

    async def verify(self, deployment: Deployment) -> Proof:
        raise NotImplementedError

    async def roll_back(self, deployment: Deployment, held: Held) -> str | None:
        raise NotImplementedError

    async def aclose(self) -> None:
        pass


class Line:
    """A queue in which everything waits until `finish`."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._ids = 0
        self.draining = False
        self.alive = True
        self.trouble: Exception | None = None
        self.at_once = False
        self.held: list[Held] = []
        self.deployments: list[Deployment] = []

    @property
    def waiting(self) -> int:
        return len(self.held)

    async def submit(
        self, deployment: Deployment, held: Held, event: Event, key: IdempotencyKey | None
    ) -> Deployment:
        self.held.append(held)
        if self.trouble is not None:
            raise self.trouble
        accepted = await self._store.accept(deployment, event, key)
        self.deployments.append(accepted)
        if self.at_once:
            await self.finish(accepted)
        return accepted

    async def cancel(self, id: str, actor: Actor) -> Deployment:  # noqa: A002 - the port's name
        deployment = await self._store.get(id)
        if deployment.state is not State.QUEUED:
            raise errors.NotCancellable
        return await self._save(moved(deployment, State.CANCELLED), actor)

    async def finish(self, deployment: Deployment) -> None:
        """Run it to its end, as if all went well."""
        result = Result(
            target_address=f"{deployment.target.address}/2",
            deployment_id="2",
            message="It lies there.",
            deployed_at=self._now(),
            metadata={"version_id": "2"},
        )
        for state in (State.SNAPSHOTTING, State.IMPORTING, State.VERIFYING):
            deployment = await self._save(moved(deployment, state), None)
        done = moved(deployment, State.SUCCEEDED, result=result)
        await self._save(replace(done, finished_at=self._now()), None)

    async def fail(self, deployment: Deployment) -> None:
        """Run it to a rollback that worked."""
        deployment = await self._save(moved(deployment, State.SNAPSHOTTING), None)
        rollback = Rollback(plan=Plan.SAME_KEY)
        looked = moved(deployment, State.IMPORTING, rollback=rollback, snapshot=lying())
        await self._save(looked, None)
        tried = await self._save(moved(looked, State.VERIFYING), None)
        answer = errors.TargetAnswer(status=200, request_id="az-1")
        undoing = await self._save(failed(tried, errors.VerificationFailed(answer=answer)), None)
        restored = replace(rollback, outcome=Outcome.RESTORED, version_id="3")
        await self._save(moved(undoing, State.ROLLED_BACK, rollback=restored), None)

    async def _save(self, deployment: Deployment, actor: Actor | None) -> Deployment:
        self._ids += 1
        event = trail.event(deployment, id=f"evt-line-{self._ids:06}", at=self._now(), actor=actor)
        await self._store.save(deployment, event)
        return deployment


def lying(*, version: str = "1", serial: str = "0a", thumbprint: str = "ab" * 32) -> Snapshot:
    """A version that lies on a shelf."""
    return Snapshot(
        version_id=version,
        serial=serial,
        thumbprint=thumbprint,
        not_after=datetime.fromisoformat("2030-01-01T00:00:00+00:00"),
        enabled=True,
        managed_by_us=True,
    )


def _is_a_connector(shelf: Shelf) -> Connector:
    """For mypy: the fake fits the port."""
    return shelf
