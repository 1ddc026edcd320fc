"""A deployment that replaces OLD by NEW, and a vault that shows what we want it to show."""

from dataclasses import replace
from typing import Any, Final

from app import pki
from app.connectors.azure_key_vault.answers import PFX, Listed, Secret, Version
from app.connectors.azure_key_vault.client import Vault
from app.connectors.azure_key_vault.tags import DEPLOYMENT_ID
from app.deployment.model import Deployment, Plan, Rollback, Snapshot, State
from app.errors import TargetError
from tests.certificates import NOW, Issued, authority
from tests.deployment.making import deployment

OLD, NEW, OTHER = (authority().issue() for _ in range(3))
BEFORE: Final = Snapshot(
    version_id="v-before",
    serial="01",
    thumbprint=pki.thumbprint(OLD.leaf),
    not_after=NOW,
    enabled=True,
    managed_by_us=False,
    attributes={"content_type": PFX, "exportable": True},
)
OURS: Final = {DEPLOYMENT_ID: "dep-1"}
THEIRS: Final = {DEPLOYMENT_ID: "dep-2"}
SECRET: Final = Rollback(plan=Plan.SECRET)


def version(issued: Issued, id_: str = "v-now", **changes: Any) -> Version:  # noqa: ANN401 - the fields of Version
    """What is current, enabled and untagged unless said otherwise."""
    usual: dict[str, Any] = {"enabled": True, "tags": {}, "policy": {}}
    return Version(
        id=id_,
        name_id="https://my-vault.vault.azure.net/certificates/api-prod",
        certificate=issued.leaf,
        thumbprint=pki.thumbprint(issued.leaf),
        **{**usual, **changes},
    )


def importing(version_id: str | None = None) -> Deployment:
    """Ours, which replaces OLD by NEW; its version is known once an answer named it."""
    return deployment(NEW, State.IMPORTING, snapshot=BEFORE, rollback=SECRET, version_id=version_id)


def rolling_back(version_id: str | None = "v-ours") -> Deployment:
    return replace(importing(version_id), state=State.ROLLING_BACK)


class Shown(Vault):
    """A vault that shows one version with its secret, and counts how often it is looked at."""

    def __init__(self, shown: Version | None, secret: Secret | TargetError | None = None) -> None:
        self.shown = shown
        self.kept = secret
        self.names: set[str] = set()
        self.asked: list[str] = []  # the versions of the secret, the current one is nameless
        self.looks = 0

    async def latest(self, name: str) -> Version | None:
        self.names.add(name)
        self.looks += 1
        return self.shown

    async def secret(self, name: str, version: str = "") -> Secret | None:
        self.names.add(name)
        self.asked.append(version)
        if isinstance(self.kept, TargetError):
            raise self.kept
        return self.kept

    async def versions(self, name: str) -> list[Listed]:
        return [] if self.shown is None else [Listed(id=self.shown.id, tags=self.shown.tags)]
