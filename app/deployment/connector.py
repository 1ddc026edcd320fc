"""The port: what the core asks of a target.

Every method may be called twice for one deployment, so each looks before it changes anything.
A key is handed over in `Held` only, and a connector keeps none beyond the call.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from app.deployment.model import Deployment, Plan, Result, Rollback, Snapshot, Target
from app.errors import DeployError, Fault, KeyGone
from app.pki import Bundle, Notice, PrivateKey


class Held:
    """What is held in memory until a deployment is final, and never longer.

    `bundle` is what to deploy, `previous_key` what the caller sent to make a rollback possible,
    `previous` the connector's own: the whole previous secret, where it could be read. After a
    crash all three are gone. `looked` is when the snapshot was taken in this very run, by the
    event loop's clock, so that an import right after it need not look first; whoever imports
    takes it back. `deadline` is when the step under way is broken off, by the same clock. `gone` is
    what to raise where the bundle is needed and is not there any more.

    `left` is until when something may have been sent, by the same clock, beside what a look finds
    first: by another run in the state that this one goes on in, or by this one, which sent more
    than once for want of an answer. It may still be on its way; whoever looks for it takes it back.

    `landed` and `put_back` are what a rollback learns on its way, and is told however it ends:
    under which version the failed import was found, and which one puts the snapshot back.
    """

    __slots__ = (
        "bundle",
        "deadline",
        "gone",
        "landed",
        "left",
        "looked",
        "previous",
        "previous_key",
        "put_back",
    )

    def __init__(
        self, bundle: Bundle | None = None, previous_key: PrivateKey | None = None
    ) -> None:
        self.bundle = bundle
        self.previous_key = previous_key
        self.previous: object | None = None
        self.looked: float | None = None
        self.deadline: float | None = None
        self.left: float | None = None
        self.gone = KeyGone()
        self.landed: str | None = None
        self.put_back: str | None = None

    def __repr__(self) -> str:
        return "<Held>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("what is held is a private key, and is never copied or pickled")

    def drop(self) -> None:
        """Let go of every key."""
        if self.bundle is not None:
            self.bundle.drop()
        self.bundle = self.previous_key = self.previous = None


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What a look at the target found, before anything changes.

    Args:
        snapshot: the current version, `None` where there is none yet.
        unchanged: the result, where it is this very certificate already, enabled and with the
            same tags; else `None`.
        rollback: how it could be put back.
        warnings: what to know about the target.
        changes: what an import would change, one sentence each.
        permissions: what our identity may do: action → `granted`, `denied`, `unknown`.
    """

    snapshot: Snapshot | None
    unchanged: Result | None
    rollback: Rollback
    warnings: tuple[Notice, ...] = ()
    changes: tuple[str, ...] = ()
    permissions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What was read back after an import: the result, and what to know about it."""

    result: Result
    warnings: tuple[Notice, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Served:
    """What a target serves now; a version that is not enabled is served to nobody."""

    version_id: str
    serial: str
    thumbprint: str
    address: str
    enabled: bool


class Connector(Protocol):
    """The code for one kind of target."""

    @property
    def type(self) -> str:
        """The target type as certctl writes it, such as `AzureKeyVault`."""

    @property
    def plans(self) -> tuple[Plan, ...]:
        """The rollback plans that this kind of target can have."""

    def target(self, config: Mapping[str, object]) -> Target:
        """The target that a validated configuration names, normalised."""

    def faults(
        self, target: Target, bundle: Bundle | None, metadata: Mapping[str, str]
    ) -> tuple[Fault, ...]:
        """What this kind of target, or this service's operator, would refuse. Touches nothing."""

    async def snapshot(self, deployment: Deployment, held: Held) -> Standing:
        """Look at the target, and keep in *held* what a rollback needs. Changes nothing.

        Raises:
            TargetError: the look failed; only a clear "no such certificate" is none.
        """

    async def import_certificate(self, deployment: Deployment, held: Held) -> str:
        """Put the certificate into the target, once, and say under which version.

        Raises:
            ImportOutcomeUnknown: the target may hold it, and looking did not settle it.
            Superseded: another writer came between.
            KeyGone: it did not land, and there is no key any more to send it again.
            DeployError: any other means that it was surely not applied.
        """

    async def verify(self, deployment: Deployment) -> Proof:
        """Read back that `deployment.version_id` is what we sent, and is what is served.

        Raises:
            VerificationFailed: it is not.
            Superseded: another writer's newer version is current.
        """

    async def roll_back(self, deployment: Deployment, held: Held) -> str | None:
        """Put the snapshot back and read it back; say under which version.

        Keeps in *held* what it learns of versions, for where it fails or is broken off.

        Returns `None` where there is nothing to put back: the target serves what it did before,
        or the failed import was the first under its name.

        Raises:
            Superseded: another writer's version is current; it was left alone.
            DeployError: the target does not serve what it did before; or, where there was nothing
                before, it could not be looked at.
        """

    async def conflict(self, target: Target) -> DeployError | None:
        """What would have an import refused, such as a deleted certificate's name. No write."""

    async def served(self, target: Target) -> Served | None:
        """What the target serves now, `None` where there is nothing."""

    async def aclose(self) -> None:
        """Close what is open."""
