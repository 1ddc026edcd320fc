"""Sending an import: once, and again only after a look that says it is not there.

Import is not idempotent. Every POST may make a permanent version, and versions cannot be deleted
singly, so an answer that does not say what happened is followed by a look, not by another POST.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from app.connectors.azure_key_vault.client import Unclear, Vault
from app.connectors.azure_key_vault.patience import Patience
from app.errors import ImportOutcomeUnknown, TargetError, TargetThrottled

Look = Callable[[Sequence[float]], Awaitable[str | None]]


async def send(
    vault: Vault, name: str, body: Mapping[str, Any], look: Look, patience: Patience
) -> str:
    """Import *body* under *name* and say which version it made.

    Args:
        vault: where to.
        name: the certificate's name.
        body: the import, as Key Vault takes it.
        look: says under which version it landed, or `None` where it did not; given the seconds
            to wait before it looks again.
        patience: how long to wait, and how often to try.

    Raises:
        ImportOutcomeUnknown: it may have been applied, and looking did not settle it.
        Superseded: the look found another writer's version.
        TargetError: it was surely not applied.
    """
    for wait in (*patience.unclear, None):
        try:
            return await _send(vault, name, body, look, patience)
        except Unclear as unclear:
            # the look comes right before the next POST, when all that was on its way has landed
            await asyncio.sleep(wait or 0)
            landed = await _looked(look, patience, unclear)
            if landed is not None:
                return landed
            if wait is None:
                raise _verdict(unclear) from unclear
    raise AssertionError


async def _send(
    vault: Vault, name: str, body: Mapping[str, Any], look: Look, patience: Patience
) -> str:
    """Send once; a throttled request was not done, so it alone may be sent again.

    The waits are long enough for another writer, whose version must not be overwritten.
    """
    for wait in (*patience.throttled, None):
        try:
            return await vault.import_certificate(name, body)
        except TargetThrottled:
            if wait is None:
                raise
        await asyncio.sleep(wait)
        landed = await look(())
        if landed is not None:
            return landed
    raise AssertionError


async def _looked(look: Look, patience: Patience, unclear: Unclear) -> str | None:
    try:
        return await look(patience.stale)
    except TargetError:
        raise ImportOutcomeUnknown(answer=unclear.trouble.answer) from unclear


def _verdict(unclear: Unclear) -> TargetError | ImportOutcomeUnknown:
    """A vault that answered and does not have it never took it; one that is silent still might."""
    if unclear.answered:
        return unclear.trouble
    return ImportOutcomeUnknown(answer=unclear.trouble.answer)
