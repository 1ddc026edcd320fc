"""A target in memory: a real implementation of the port, which fails when told."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from app import errors
from app.deployment.connector import Held, Proof, Served, Standing
from app.deployment.model import Deployment, Plan, Result, Rollback, Snapshot, State, Target
from app.pki import Bundle


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version on the shelf; `made_by` is the deployment that put it there."""

    thumbprint: str
    id: str = ""
    made_by: str = ""
    undoes: bool = False
    enabled: bool = True

    @property
    def told(self) -> dict[str, Any]:
        names = {"version_id": self.id, "thumbprint": self.thumbprint, "serial": "01"}
        return {**names, "enabled": self.enabled}


class Shelf:
    """Holds versions, the newest is served; `changes` is every write, in order."""

    type = "Shelf"
    plans = tuple(Plan)

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.rollback = Rollback(plan=Plan.SECRET)
        self.versions: list[Version] = []
        self.changes: list[str] = []
        self.calls: list[State] = []
        self.hangs = asyncio.Event()
        self._told: dict[tuple[State, bool], BaseException | None] = {}

    def put(self, thumbprint: str = "before", *, enabled: bool = True) -> Version:
        """Somebody else puts a certificate here."""
        return self._add(Version(thumbprint=thumbprint, enabled=enabled))

    def fail(self, step: State, failure: BaseException | None, *, late: bool = False) -> None:
        """From now on *step* fails, or never answers: before its change, or *late*, after it."""
        self._told[step, late] = failure

    @property
    def latest(self) -> Version | None:
        return self.versions[-1] if self.versions else None

    def target(self, config: Mapping[str, object]) -> Target:
        return Target(type=self.type, config=config, address=f"shelf/{config['name']}")

    def faults(self, target: Target, bundle: Bundle | None, metadata: object) -> tuple[()]:
        return ()

    async def snapshot(self, deployment: Deployment, held: Held) -> Standing:
        await self._meet(State.SNAPSHOTTING)
        held.looked = True
        found = self.latest
        no_need = Rollback(plan=Plan.NOT_NEEDED)
        if found is None:
            return Standing(snapshot=None, unchanged=None, rollback=no_need)
        held.previous = found.thumbprint
        same = found.enabled and found.thumbprint == deployment.certificate.thumbprint
        end, ours = deployment.certificate.not_after, bool(found.made_by)
        return Standing(
            snapshot=Snapshot(**found.told, not_after=end, managed_by_us=ours),
            unchanged=self._result(found) if same else None,
            rollback=no_need if same else self.rollback,
        )

    async def import_certificate(self, deployment: Deployment, held: Held) -> str:
        looked, held.looked = held.looked, False
        if not looked and (landed := self._ours(deployment)) is not None:
            return landed.id
        if held.bundle is None:
            raise errors.KeyGone
        await self._meet(State.IMPORTING)
        new = Version(thumbprint=held.bundle.details.thumbprint, made_by=deployment.id)
        made = self._add(new, "import")
        await self._meet(State.IMPORTING, late=True)
        return made.id

    async def verify(self, deployment: Deployment) -> Proof:
        await self._meet(State.VERIFYING)
        found = self._ours(deployment)
        if found is None or found.thumbprint != deployment.certificate.thumbprint:
            raise errors.VerificationFailed
        return Proof(result=self._result(found))

    async def roll_back(self, deployment: Deployment, held: Held) -> str | None:
        await self._meet(State.ROLLING_BACK)
        found, snapshot = self._ours(deployment), deployment.snapshot
        if found is None or snapshot is None or found.undoes:
            return found.id if found and found.undoes else None
        if deployment.rollback is None or deployment.rollback.plan is Plan.IMPOSSIBLE:
            raise errors.RollbackImpossible
        held.landed = found.id
        before = str(held.previous or snapshot.thumbprint)  # read again after a crash
        made = self._add(replace(found, thumbprint=before, undoes=True), "rollback")
        held.put_back = made.id
        await self._meet(State.ROLLING_BACK, late=True)
        return made.id

    async def conflict(self, target: Target) -> None:
        """There is never anything in the way."""

    async def served(self, target: Target) -> Served | None:
        found = self.latest
        return Served(**found.told, address=f"{target.address}/{found.id}") if found else None

    async def aclose(self) -> None:
        self._told.clear()

    def _add(self, version: Version, *change: str) -> Version:
        self.changes += change
        made = replace(version, id=f"v{len(self.versions) + 1}")
        self.versions.append(made)
        return made

    def _ours(self, deployment: Deployment) -> Version | None:
        """The newest version, if this deployment made it; another writer's is never touched."""
        found, before = self.latest, deployment.snapshot
        if found is None or found.made_by == deployment.id:
            return found
        if before is None or found.id != before.version_id:
            raise errors.Superseded
        return None

    def _result(self, version: Version) -> Result:
        return Result(
            target_address=f"shelf/{version.id}",
            deployment_id=version.id,
            message="On the shelf.",
            deployed_at=self._now(),
            metadata={},
        )

    async def _meet(self, step: State, *, late: bool = False) -> None:
        if not late:
            self.calls.append(step)
        if (step, late) in self._told:
            if failure := self._told[step, late]:
                raise failure
            self.hangs.set()
            await asyncio.Event().wait()
