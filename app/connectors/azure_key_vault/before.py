"""What is there before we act: the look that an import, a rollback or a plan begins with.

Where this very run has looked just now, no second look is needed. After a crash nobody knows what
was sent, and it may be on its way still, so that is looked for patiently; but what was sent by
somebody who has been silent since has been on its way for that time already.
"""

import asyncio
from contextlib import suppress
from functools import partial
from typing import Final

from app import errors
from app.connectors.azure_key_vault import previous, tags
from app.connectors.azure_key_vault.answers import Version
from app.connectors.azure_key_vault.client import Vault
from app.connectors.azure_key_vault.current import patiently, settle
from app.connectors.azure_key_vault.patience import Patience
from app.connectors.azure_key_vault.sending import Look, in_time
from app.connectors.azure_key_vault.whose import Whose
from app.deployment.connector import Held
from app.deployment.model import Deployment, Plan, Rollback, Snapshot

_FRESH_S: Final = 1.0  # a look this young needs no other before the import
_SEND_S: Final = 10.0  # for an import and its read-back, after it has waited for its turn
_ACTED: Final = frozenset({Whose.OURS, Whose.RESTORED})
_NO_LONGER_THERE: Final = "The previous version's secret is no longer there with its key."


async def in_the_way(vault: Vault, name: str) -> errors.DeployError | None:
    """What would have an import under *name* refused, as far as reading tells.

    Between a deletion and its end neither the certificate nor the deleted one is shown, so that
    is known only where the vault says so itself.
    """
    try:
        if await vault.deleted(name):
            return errors.NameSoftDeleted()
        return errors.PendingOperation() if await vault.pending(name) else None
    except (errors.NameSoftDeleted, errors.NameBeingDeleted, errors.PendingOperation) as told:
        return told


def too_late(held: Held) -> float | None:
    """When it is too late to begin an import: what was sent before its deadline may be applied."""
    return None if held.deadline is None else held.deadline - _SEND_S


async def already(held: Held, look: Look, patience: Patience) -> str | None:
    """Under which version it landed already; not looked for where we looked just now."""
    looked, held.looked = held.looked, None
    if looked is None:
        return await _after_a_crash(held, look, patience)
    just_now = asyncio.get_running_loop().time() - looked < _FRESH_S
    if just_now:
        return None
    async with in_time(too_late(held)):
        return await look(())


async def _after_a_crash(held: Held, look: Look, patience: Patience) -> str | None:
    """A vault that cannot be read does not say that nothing landed, nor does a deleted name."""
    try:
        return await _looked_late(held, look, patience)
    except (errors.TargetError, errors.VersionConflict) as blind:
        raise errors.ImportOutcomeUnknown(answer=blind.answer) from blind


async def made_late(held: Held, look: Look, patience: Patience) -> str | None:
    """Under which version a rollback without an answer landed after all; nobody looks after it.

    A vault that cannot be read, or holds nothing any more, does not say that either.
    """
    with suppress(errors.TargetError, errors.VersionConflict):
        return await _looked_late(held, look, patience)
    return None


async def _looked_late(held: Held, look: Look, patience: Patience) -> str | None:
    waits = patience.still_late(_silent_s(held))
    return await patiently(partial(look, waits), patience)


async def what_to_undo(
    vault: Vault, name: str, deployment: Deployment, held: Held, patience: Patience
) -> tuple[Whose, Version | None]:
    """What is current before a rollback.

    After a crash it may be done already, and a stale look would not show that. What was sent
    beside the import that is found would land on top of what undoes that one, so it is waited for.
    """
    more = held.bundle is None or held.left is not None  # than one that is found at once
    silent = more or deployment.version_id is None  # something may be on its way still
    waits = patience.still_late(_silent_s(held)) if silent else patience.stale
    until = _ACTED - {Whose.OURS} if more else _ACTED
    look = partial(settle, until=until, waits=waits, patience=patience)
    found, latest = await patiently(partial(look, vault, name, deployment), patience)
    held.looked = asyncio.get_running_loop().time()
    held.landed = _failed_version(found, latest)
    return found, latest


def _silent_s(held: Held) -> float:
    """For how many seconds whoever may have sent something has surely sent nothing more."""
    left, held.left = held.left, None
    return 0.0 if left is None else asyncio.get_running_loop().time() - left


def _failed_version(found: Whose, latest: Version | None) -> str | None:
    """Which version is to be undone, or was: what undoes it names it."""
    if latest is None:
        return None
    return {Whose.OURS: latest.id, Whose.RESTORED: latest.tags.get(tags.ROLLBACK_OF)}.get(found)


async def read_again(
    vault: Vault, name: str, snapshot: Snapshot, rollback: Rollback, held: Held
) -> None:
    """After a crash the previous secret is gone from memory, but not from the vault.

    Raises:
        RollbackImpossible: it is gone from there, too.
    """
    if rollback.plan is not Plan.SECRET or held.previous is not None:
        return
    version = await vault.version(name, snapshot.version_id)
    secret = await vault.secret(name, snapshot.version_id)
    if version is None or secret is None or not secret.holds_key:
        raise errors.RollbackImpossible(_NO_LONGER_THERE)
    held.previous = previous.Previous(version.certificate, secret, None)
