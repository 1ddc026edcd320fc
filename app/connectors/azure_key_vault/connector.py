"""The Azure Key Vault connector: snapshot, import, verify, roll back.

Key Vault cannot restore a version: a rollback imports the previous one again, as a new version.
"""

import asyncio
import base64
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

from app import errors, pki
from app.connectors.azure_key_vault import before, previous, tags
from app.connectors.azure_key_vault.answers import PFX, Version
from app.connectors.azure_key_vault.client import Vault
from app.connectors.azure_key_vault.config import AzureKeyVaultTarget, AzureOptions
from app.connectors.azure_key_vault.current import landed, patiently, settle
from app.connectors.azure_key_vault.limits import faults
from app.connectors.azure_key_vault.looking import Looking
from app.connectors.azure_key_vault.patience import Patience
from app.connectors.azure_key_vault.result import result
from app.connectors.azure_key_vault.sending import Turn, send
from app.connectors.azure_key_vault.vaults import Vaults
from app.connectors.azure_key_vault.whose import Whose, as_before, in_form_as_before
from app.deployment.connector import Held, Proof, Served, Standing
from app.deployment.model import Deployment, Plan, Snapshot, Target
from app.errors import DeployError, Fault
from app.pki import Bundle, Notice

_ASKED_S: Final = 0.002  # by then both questions of a look are on their way
_OURS: Final = frozenset({Whose.OURS})
_RESTORED: Final = frozenset({Whose.RESTORED})


class AzureKeyVault:
    """Deploys into Azure Key Vault; each method is as the port in `app.deployment` says.

    Args:
        options: the operator's settings.
        vaults: the clients.
        patience: how long to wait before looking or sending again.
        now: the clock.
    """

    type = "AzureKeyVault"
    plans = tuple(Plan)

    def __init__(
        self,
        options: AzureOptions,
        vaults: Vaults,
        *,
        patience: Patience,
        now: Callable[[], datetime],
    ) -> None:
        self._options = options
        self._vaults = vaults
        self._patience = patience
        self._now = now
        self._looking = Looking(read_secrets=options.reads_secrets, now=now)

    def target(self, config: Mapping[str, object]) -> Target:
        """The target that *config* names, normalised."""
        found = AzureKeyVaultTarget.model_validate(config)
        return Target(type=self.type, config=found.model_dump(mode="json"), address=found.address)

    def faults(
        self, target: Target, bundle: Bundle | None, metadata: Mapping[str, str]
    ) -> tuple[Fault, ...]:
        """What the operator or Key Vault's limits forbid."""
        return faults(self._options, _config(target).vault_url, bundle, metadata)

    async def snapshot(self, deployment: Deployment, held: Held) -> Standing:
        """Look at the vault, and keep what a rollback needs."""
        config = _config(deployment.target)
        asked = asyncio.get_running_loop().time()  # what is read is as old as its question
        packing = asyncio.create_task(_pack(held), name="pack")
        try:
            found = await self._looking.take(
                self._vaults.of(config.place), config, deployment, held
            )
        finally:
            await packing
        held.looked = asked
        return found

    async def import_certificate(self, deployment: Deployment, held: Held) -> str:
        """Import once, and say under which version."""
        vault, name = self._reach(deployment)
        there = partial(landed, vault, name, deployment, _OURS, self._patience)
        version = await before.already(held, there, self._patience)
        if version is not None:
            return version
        if held.bundle is None:
            raise held.gone
        value = base64.b64encode(held.bundle.pfx()).decode()
        wanted = tags.for_import(deployment)
        body = previous.request(value, PFX, held.bundle.leaf, wanted, enabled=True)
        turn = Turn(held=held, until=before.too_late(held))
        return await send(vault, name, body, there, self._patience, turn)

    async def verify(self, deployment: Deployment) -> Proof:
        """Read back: one version-less read that shows our version proves it and its currency."""
        found, latest = await self._read_back(deployment, until=_OURS)
        if found is Whose.STRANGERS:
            raise errors.Superseded
        if found is Whose.GONE:
            raise errors.VerificationFailed(_DELETED)
        if found is not Whose.OURS or latest is None:
            raise errors.VerificationFailed(_STALE if deployment.snapshot else _NOT_SHOWN)
        if latest.thumbprint != deployment.certificate.thumbprint:
            raise errors.VerificationFailed("The new version holds another certificate.")
        if not latest.enabled:
            raise errors.VerificationFailed("The new version is disabled, so it is not served.")
        told = result(_config(deployment.target), latest, self._now())
        return Proof(result=told, warnings=_tags_differ(latest, deployment))

    async def roll_back(self, deployment: Deployment, held: Held) -> str | None:
        """Put the snapshot back as a new version, and read it back."""
        vault, name = self._reach(deployment)
        found, latest = await before.what_to_undo(vault, name, deployment, held, self._patience)
        snapshot, rollback = deployment.snapshot, deployment.rollback
        if found is Whose.STRANGERS:
            raise errors.Superseded
        never_landed = found is Whose.BEFORE and deployment.version_id is None
        if snapshot is None or rollback is None or never_landed:
            return None
        if found is Whose.GONE:  # somebody wanted it gone, and a new version would undo that
            raise await self.conflict(deployment.target) or errors.VerificationFailed(_DELETED)
        if found is Whose.RESTORED and latest is not None:
            return await self._restored(deployment, snapshot, held, latest.id)
        served = latest is not None and in_form_as_before(latest, snapshot, rollback)
        if found is Whose.OURS and latest is not None and served:
            return latest.id  # the very same certificate, imported once more
        failed = deployment.version_id or (latest.id if latest else "")
        await before.read_again(vault, name, snapshot, rollback, held)
        again = tags.for_rollback(deployment, snapshot.tags, failed)
        body = previous.body(snapshot, rollback, held, again)
        # the version put back names the failed one, and is known by that
        return await self._put_back(replace(deployment, version_id=failed), snapshot, held, body)

    async def conflict(self, target: Target) -> DeployError | None:
        """A deleted certificate that holds the name, or a creation under way."""
        config = _config(target)
        return await before.in_the_way(self._vaults.of(config.place), config.certificate_name)

    async def served(self, target: Target) -> Served | None:
        """What the vault serves under the name now."""
        config = _config(target)
        latest = await self._vaults.of(config.place).latest(config.certificate_name)
        if latest is None:
            return None
        return Served(
            version_id=latest.id,
            serial=pki.serial_text(latest.certificate.serial_number),
            thumbprint=latest.thumbprint,
            address=f"{latest.name_id}/{latest.id}",
            enabled=latest.enabled,
        )

    async def aclose(self) -> None:
        """Close the clients and what they share."""
        await self._vaults.aclose()

    async def _read_back(
        self, deployment: Deployment, *, until: frozenset[Whose]
    ) -> tuple[Whose, Version | None]:
        """What is current after an import."""
        vault, name = self._reach(deployment)
        patience = self._patience
        seen = partial(settle, until=until, waits=patience.stale, patience=patience)
        return await patiently(partial(seen, vault, name, deployment), patience)

    async def _put_back(
        self, deployment: Deployment, snapshot: Snapshot, held: Held, body: Mapping[str, object]
    ) -> str:
        """Import *body*, unless it is there already or another writer came."""
        vault, name = self._reach(deployment)
        there = partial(landed, vault, name, deployment, _RESTORED, self._patience)
        made = await before.already(held, there, self._patience)
        turn = Turn(held=held, until=before.too_late(held), first=True)
        try:
            made = made or await send(vault, name, body, there, self._patience, turn)
        except errors.ImportOutcomeUnknown:
            made = await before.made_late(held, there, self._patience)
            if made is None:
                raise
        return await self._restored(deployment, snapshot, held, made)

    async def _restored(
        self, deployment: Deployment, snapshot: Snapshot, held: Held, made: str
    ) -> str:
        """Read back that version *made* is current and is the previous certificate again."""
        held.put_back = made
        found, latest = await self._read_back(deployment, until=_RESTORED)
        if found is Whose.STRANGERS and latest is not None and latest.id != made:
            raise errors.Superseded
        if latest is None:
            raise errors.VerificationFailed(_DELETED)
        if found is not Whose.RESTORED and latest.id != made:
            raise errors.VerificationFailed("The vault keeps serving what the rollback undoes.")
        if not as_before(latest, snapshot):
            raise errors.VerificationFailed("What is served after the rollback is something else.")
        return latest.id

    def _reach(self, deployment: Deployment) -> tuple[Vault, str]:
        config = _config(deployment.target)
        return self._vaults.of(config.place), config.certificate_name


_DELETED: Final = "The certificate was deleted from the vault meanwhile."
_STALE: Final = "The vault took the import but keeps serving what was there before."
_NOT_SHOWN: Final = "The vault took the import but shows no certificate under this name."


async def _pack(held: Held) -> None:
    """Build the PFX while the vault is asked: the import that follows needs it at once."""
    await asyncio.sleep(_ASKED_S)
    if held.bundle is not None:
        held.bundle.pack()


def _config(target: Target) -> AzureKeyVaultTarget:
    return AzureKeyVaultTarget.model_validate(target.config)


def _tags_differ(latest: Version, deployment: Deployment) -> tuple[Notice, ...]:
    if tags.same(latest.tags, tags.for_import(deployment)):
        return ()
    text = "The vault serves the certificate, but without the tags that were sent."
    return (Notice(code="tags-differ", message=text),)
