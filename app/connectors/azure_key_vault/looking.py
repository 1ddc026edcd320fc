"""The snapshot: what the vault holds, what a rollback could use, and what an import would change.

The previous secret is read side by side with the certificate, so the truth about rollback costs
no time. A refusal of the secret is remembered for ten minutes; any other failure stops the
deployment before anything changes.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app import pki
from app.connectors.azure_key_vault import previous, tags
from app.connectors.azure_key_vault.answers import PEM, Secret, Version
from app.connectors.azure_key_vault.client import Vault
from app.connectors.azure_key_vault.config import AzureKeyVaultTarget
from app.connectors.azure_key_vault.limits import doubts
from app.connectors.azure_key_vault.previous import Previous
from app.connectors.azure_key_vault.result import result
from app.deployment.connector import Held, Standing
from app.deployment.model import Deployment, Plan, Rollback, Snapshot
from app.errors import (
    NameTaken,
    TargetForbidden,
    TargetForbiddenConnection,
    TargetForbiddenFirewall,
    TargetUnavailable,
)
from app.pki import Notice

_REMEMBERED: Final = timedelta(minutes=10)
_LOOKS: Final = 3  # at the certificate and its secret, while others write between the two
_READ, _IMPORT = "certificates/read", "certificates/import/action"
_SECRET: Final = "secrets/getSecret/action"  # noqa: S105 - the name of an action


class Looking:
    """Takes snapshots, and remembers who may not read secrets.

    Args:
        read_secrets: whether the previous secret may be asked for at all.
        now: the clock.
    """

    def __init__(self, *, read_secrets: bool, now: Callable[[], datetime]) -> None:
        self._read_secrets = read_secrets
        self._now = now
        self._refused: dict[tuple[str, str], datetime] = {}

    async def take(
        self, vault: Vault, config: AzureKeyVaultTarget, deployment: Deployment, held: Held
    ) -> Standing:
        """Look at the target of *deployment*; what a rollback needs is kept in *held*."""
        latest, secret, why = await self._read(vault, config)
        if latest is None:
            return Standing(
                snapshot=None,
                unchanged=None,
                rollback=Rollback(plan=Plan.NOT_NEEDED),
                warnings=doubts(held.bundle),
                changes=("The first version under this name is made.",),
                permissions=self._permissions(why),
            )
        # The whole secret brings its chain with it; without it, ours is the old one's if it fits.
        chain = None if secret else previous.chain_for(latest.certificate, held)
        held.previous = Previous(latest.certificate, secret, chain)
        wanted = tags.for_import(deployment)
        same = latest.thumbprint == deployment.certificate.thumbprint
        nothing_to_do = same and latest.enabled and tags.same(latest.tags, wanted)
        return Standing(
            snapshot=_snapshot(latest),
            unchanged=result(config, latest, self._now()) if nothing_to_do else None,
            rollback=self._plan(latest, held, why, same=same),
            warnings=(*_warnings(latest), *(() if same else doubts(held.bundle))),
            changes=() if nothing_to_do else tuple(_changes(latest, deployment, wanted)),
            permissions=self._permissions(why),
        )

    def _plan(self, latest: Version, held: Held, why: str | None, *, same: bool) -> Rollback:
        if same:
            return Rollback(plan=Plan.NOT_NEEDED)
        expired = latest.certificate.not_valid_after_utc <= self._now()
        return previous.plan(latest, held, why, expired=expired)

    async def _read(
        self, vault: Vault, config: AzureKeyVaultTarget
    ) -> tuple[Version | None, Secret | None, str | None]:
        """The current version and its secret, side by side, or why there is no secret."""
        name = config.certificate_name
        silent = self._why_not_ask(config)
        if silent is not None:
            return await vault.latest(name), None, silent
        for _ in range(_LOOKS):
            latest, found = await self._both(vault, config)
            if latest is None or not found.of_another(latest):
                return latest, found.secret, found.why
            again = await vault.latest(name)
            if again is not None and again.id == latest.id:  # it is the secret that is behind
                found = await self._secret(vault, config, latest.id)
                return again, found.secret, found.why
        raise TargetUnavailable("Others keep writing under this name; nothing changed. Try later.")

    async def _both(
        self, vault: Vault, config: AzureKeyVaultTarget
    ) -> tuple[Version | None, "_Found"]:
        # both run to their end: a read cancelled in the middle of its handshake leaks its socket
        latest, found = await asyncio.gather(
            vault.latest(config.certificate_name),
            self._secret(vault, config),
            return_exceptions=True,
        )
        if isinstance(latest, BaseException):
            raise latest
        if isinstance(found, BaseException):
            raise found
        if latest is None and found.separate:
            raise NameTaken
        return latest, found

    async def _secret(
        self, vault: Vault, config: AzureKeyVaultTarget, version: str = ""
    ) -> "_Found":
        try:
            secret = await vault.secret(config.certificate_name, version)
        except (TargetForbiddenFirewall, TargetForbiddenConnection):
            raise  # these shut out the whole vault, not the secret
        except TargetForbidden as refused:
            if refused.answer is not None and refused.answer.inner_code == "SecretDisabled":
                return _Found(why=previous.DISABLED)
            self._refused[config.vault_url, config.credential_mode] = self._now()
            return _Found(why=previous.NO_PERMISSION)
        if secret is None:
            return _Found(why=previous.NOT_EXPORTABLE)
        told, separate = secret.version_id, not secret.managed
        if not secret.holds_key:
            return _Found(why=previous.NOT_EXPORTABLE, version_id=told, separate=separate)
        return _Found(secret=secret, version_id=told, separate=separate)

    def _why_not_ask(self, config: AzureKeyVaultTarget) -> str | None:
        if not self._read_secrets:
            return previous.NOT_ASKED
        refused = self._refused.get((config.vault_url, config.credential_mode))
        if refused is not None and self._now() - refused < _REMEMBERED:
            return previous.NO_PERMISSION
        return None

    def _permissions(self, why: str | None) -> dict[str, str]:
        """What our identity may do, as far as reading tells; whether it may import, does not."""
        told = {previous.NO_PERMISSION: "denied", previous.NOT_ASKED: "unknown"}
        return {_READ: "granted", _SECRET: told.get(why or "", "granted"), _IMPORT: "unknown"}


@dataclass(frozen=True, kw_only=True)
class _Found:
    """The secret, or why there is none; and of which version that was said, where it is known.

    `separate` is whether it is no certificate's at all.
    """

    secret: Secret | None = None
    why: str | None = None
    version_id: str | None = None
    separate: bool = False

    def of_another(self, latest: Version) -> bool:
        """Whether this is not of the version *latest*: a write came in between the two reads."""
        if self.why == previous.NO_PERMISSION:
            return False
        if self.why == previous.DISABLED:
            return latest.enabled
        return self.version_id != latest.id


def _snapshot(latest: Version) -> Snapshot:
    return Snapshot(
        version_id=latest.id,
        serial=pki.serial_text(latest.certificate.serial_number),
        thumbprint=latest.thumbprint,
        not_after=latest.certificate.not_valid_after_utc,
        enabled=latest.enabled,
        managed_by_us=latest.tags.get(tags.MANAGED_BY) == tags.US,
        tags=latest.tags,
        attributes={
            previous.CONTENT_TYPE: latest.content_type,
            previous.EXPORTABLE: latest.exportable,
        },
    )


def _warnings(latest: Version) -> Iterator[Notice]:
    if _renews_itself(latest):
        text = (
            "The existing policy would let Key Vault replace this certificate by one of its own at "
            "80 % of its life. Only an import by us ends that (`force` makes one)."
        )
        yield Notice(code="policy-renews-itself", message=text)
    if latest.content_type == PEM:
        text = "The secret is PEM now; an import by us makes it PFX. Check who reads it."
        yield Notice(code="content-type-changes", message=text)
    if not latest.exportable:
        text = "The key is not exportable now; an import by us makes the new one exportable."
        yield Notice(code="exportable-changes", message=text)


def _changes(latest: Version, deployment: Deployment, wanted: dict[str, str]) -> Iterator[str]:
    yield "A new version becomes current."
    if latest.thumbprint != deployment.certificate.thumbprint:
        yield f"The certificate {latest.thumbprint[:16]}… is replaced by another."
    if not latest.enabled:
        yield "The name serves again: its current version is disabled."
    if not tags.same(latest.tags, wanted):
        yield "The tags are replaced."
    if _renews_itself(latest):
        yield "Key Vault no longer renews this certificate by itself."


def _renews_itself(latest: Version) -> bool:
    """Whether the name's policy lets Key Vault make a new version alone."""
    actions = latest.policy.get("lifetime_actions") or ()
    kinds = [(one.get("action") or {}).get("action_type") for one in actions]
    issuer = (latest.policy.get("issuer") or {}).get("name")
    return "AutoRenew" in kinds and issuer != "Unknown"
