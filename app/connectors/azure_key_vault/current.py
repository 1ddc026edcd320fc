"""What is current: looked at until it is settled, and told whose version it is."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from app.connectors.azure_key_vault.answers import Version
from app.connectors.azure_key_vault.carried import unmasked
from app.connectors.azure_key_vault.client import Vault
from app.connectors.azure_key_vault.patience import Patience
from app.connectors.azure_key_vault.whose import Whose, whose
from app.deployment.model import Deployment
from app.errors import Superseded, TargetError, VersionConflict

_HELD_UP_S: Final = 5.0  # what a look may take besides its waits

_Found = TypeVar("_Found")


async def settle(
    vault: Vault,
    name: str,
    deployment: Deployment,
    *,
    until: frozenset[Whose],
    waits: Sequence[float],
    patience: Patience,
) -> tuple[Whose, Version | None]:
    """Look until the current version is a stranger's or one of *until*, or *waits* are over."""
    for wait in (*waits, None):
        found, latest = await _steadily(vault, name, deployment, patience.stale)
        if wait is None or found in until or found is Whose.STRANGERS:
            again = patience.stale
            return await unmasked(vault, name, found, latest, deployment, again), latest
        await asyncio.sleep(wait)
    raise AssertionError


async def _steadily(
    vault: Vault, name: str, deployment: Deployment, waits: Sequence[float]
) -> tuple[Whose, Version | None]:
    """One look, unless it shows a stranger's: ours may be on top of it, and the look be stale.

    Then all of *waits* pass, and the last look counts: the one that shows ours may be the stale
    one, too. What was there before surely is, once a stranger's was shown.
    """
    latest = await vault.latest(name)
    found = whose(latest, deployment)
    for wait in waits if found is Whose.STRANGERS else ():
        await asyncio.sleep(wait)
        shown = await vault.latest(name)
        now = whose(shown, deployment)
        if now is not Whose.BEFORE:
            found, latest = now, shown
    return found, latest


async def patiently(look: Callable[[], Awaitable[_Found]], patience: Patience) -> _Found:
    """Look; a vault that cannot be read for a while is no reason to undo."""
    for wait in (*patience.down, None):
        try:
            return await look()
        except TargetError as trouble:
            if wait is None or not trouble.retryable:
                raise
        await asyncio.sleep(wait)
    raise AssertionError


async def landed(
    vault: Vault,
    name: str,
    deployment: Deployment,
    until: frozenset[Whose],
    patience: Patience,
    waits: Sequence[float],
) -> str | None:
    """Which version is current, if it is one of *until*.

    Whoever was held up meanwhile looks again before it acts: a process that stood still may have
    been taken over, and what was done since is in no answer from before.

    Raises:
        Superseded: a stranger's, which is left alone.
        VersionConflict: there is none any more; a new one would undo what somebody wanted.
    """
    asked = asyncio.get_running_loop().time()
    look = partial(settle, vault, name, deployment, until=until, patience=patience)
    found, latest = await look(waits=waits)
    if asyncio.get_running_loop().time() - asked - sum(waits) > _HELD_UP_S:
        found, latest = await look(waits=())
    if found is Whose.STRANGERS:
        raise Superseded
    if found is Whose.GONE:
        raise VersionConflict("The certificate was deleted meanwhile; it is not made anew.")
    return latest.id if found in until and latest is not None else None
