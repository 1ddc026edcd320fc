"""What others do to a vault while we deploy: writers, administrators, time.

Each does what Azure would let it do: nothing can be stored under a deleted name, and what is not
there cannot be changed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.emulator import Budgets
from app.emulator.access import By
from app.emulator.material import PEM
from tests.certificates import NOW, Issued, authority
from tests.connectors.azure_key_vault.playground import NAME, Playground

READ: Final = "certificates/read"
IMPORT: Final = "certificates/import/action"
SECRET: Final = "secrets/getSecret/action"
STRANGER: Final = authority("Stranger")
HALF_AN_HOUR: Final = 1800


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The playground, what is deployed, and what was there before."""

    play: Playground
    new: Issued
    old: Issued

    def writes(self, issued: Issued, *, keeps_tags: bool = False, **how: Any) -> None:  # noqa: ANN401 - as `store` takes it
        """Another writer's import, which a deleted name refuses."""
        vault = self.play.vault
        latest = vault.latest(NAME)
        if keeps_tags and latest is not None:
            how["tags"] = dict(latest.tags)
        if NAME not in vault.deleted:
            self.play.store(issued, **how)

    def lands(self) -> None:
        """An import of ours that got no answer was on its way all the time."""
        ours = {
            "certctl-managed-by": "certctl",
            "certctl-certificate-id": "mc-api-prod",
            "certctl-deployment-id": f"dep-{self.play.made}",
            "env": "test",
        }
        self.writes(self.new, tags=ours)

    def changes(self, **fields: Any) -> None:  # noqa: ANN401 - the fields of StoredVersion
        """Somebody changes the current version."""
        latest = self.play.vault.latest(NAME)
        if latest is not None:
            self.play.vault.change(NAME, latest.version, **fields)

    def disables_the_one_before(self) -> None:
        versions = self.play.vault.versions(NAME)
        if len(versions) > 1:
            self.play.vault.set_enabled(NAME, versions[-2].version, False)

    def deletes(self, *, slowly: bool = False) -> None:
        if self.play.vault.latest(NAME) is not None:
            self.play.emulator.slow_deletion(3600 if slowly else 0)
            self.play.vault.soft_delete(NAME)

    def purges(self) -> None:
        self.deletes()
        if NAME in self.play.vault.deleted:
            self.play.vault.purge(NAME)

    def recovers(self) -> None:
        self.deletes()
        if NAME in self.play.vault.deleted:
            self.play.vault.recover(NAME)

    def sets_policy(self, **parts: Any) -> None:  # noqa: ANN401 - parts of a policy
        if self.play.vault.latest(NAME) is not None:
            self.play.change_policy(**parts)

    def denies(self, action: str | None, by: By) -> None:
        """The connector's identity loses a right; nobody else's."""
        emulator = self.play.emulator
        emulator.deny(action=action, by=by, client_id=emulator.client_id)

    def time_passes(self) -> None:
        """Once, because the SDK goes by the machine's clock: its token would be too old."""
        if self.play.now() == NOW:
            self.play.now.move(HALF_AN_HOUR)
            self.play.emulator.clock.advance(HALF_AN_HOUR)


Doing = Callable[[Stage], object]
_OF_ANOTHER_DEPLOYMENT: Final = {
    "certctl-managed-by": "certctl",
    "certctl-deployment-id": "dep-of-another-instance",
}

WRITERS: Final[Mapping[str, Doing]] = {
    "a-stranger-writes": lambda on: on.writes(STRANGER.issue()),
    "a-stranger-keeps-the-tags": lambda on: on.writes(STRANGER.issue(), keeps_tags=True),
    "a-stranger-writes-the-same": lambda on: on.writes(on.new),
    "a-stranger-writes-the-old": lambda on: on.writes(on.old, content_type=PEM),
    "another-instance-writes": lambda on: on.writes(STRANGER.issue(), tags=_OF_ANOTHER_DEPLOYMENT),
}
LATE: Final[Mapping[str, Doing]] = {"a-lost-import-lands": lambda on: on.lands()}
ADMINISTRATORS: Final[Mapping[str, Doing]] = {
    "deleted": lambda on: on.deletes(),
    "being-deleted": lambda on: on.deletes(slowly=True),
    "purged": lambda on: on.purges(),
    "deleted-and-recovered": lambda on: on.recovers(),
    "pending": lambda on: on.play.vault.set_pending(NAME),
    "pending-finished": lambda on: on.play.vault.set_pending(NAME, in_progress=False),
    "disabled": lambda on: on.changes(enabled=False),
    "the-one-before-disabled": lambda on: on.disables_the_one_before(),
    "tags-cleared": lambda on: on.changes(tags={}),
    "renews-itself": lambda on: on.sets_policy(issuer={"name": "Self"}),
    "the-old-expires": lambda on: on.time_passes(),
}
DENIALS: Final[Mapping[str, Doing]] = {
    "no-role-to-read": lambda on: on.denies(READ, "rbac"),
    "no-policy-to-import": lambda on: on.denies(IMPORT, "policy"),
    "no-role-for-secrets": lambda on: on.denies(SECRET, "rbac"),
    "firewall": lambda on: on.denies(None, "firewall"),
    "private-link": lambda on: on.denies(None, "connection"),
}
BUDGETS: Final[Mapping[str, Doing]] = {
    "no-budget-to-import": lambda on: on.play.emulator.throttle(Budgets(imports=0)),
    "budget-of-one-import": lambda on: on.play.emulator.throttle(Budgets(imports=1)),
    "budget-of-one-read": lambda on: on.play.emulator.throttle(Budgets(others=1)),
}
