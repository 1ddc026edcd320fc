"""Sending an import: once, and again only after a look that says it is not there.

Import is not idempotent. Every POST may make a permanent version, and versions cannot be deleted
singly, so an answer that does not say what happened is followed by a look, not by another POST.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from app.connectors.azure_key_vault.client import Unclear, Vault
from app.connectors.azure_key_vault.patience import Patience
from app.deployment.connector import Held
from app.errors import (
    DeployError,
    ImportOutcomeUnknown,
    TargetError,
    TargetThrottled,
    VersionConflict,
)

Look = Callable[[Sequence[float]], Awaitable[str | None]]

_NO_ROOM: Final = (
    "Too many imports wait for this vault or its subscription, or it is throttling or slow: this "
    "one was not sent in time. Send again later, slower, or to more vaults; see "
    "AZURE__VAULT_IMPORTS."
)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """How an import waits for its turn.

    `until` is when it gives up, by the loop's clock; `first` is whether it goes before all others,
    as a rollback does. `again` is whether one before it got no answer, and so might still land;
    then `held` is told when it goes, since whoever finds one of them has not found them all.
    """

    held: Held
    until: float | None = None
    first: bool = False
    again: bool = False


@asynccontextmanager
async def in_time(until: float | None) -> AsyncIterator[None]:
    """What comes before a POST, and is given up for good *until* then, by the loop's clock.

    Raises:
        TargetThrottled: it took longer; nothing was sent.
    """
    try:
        async with asyncio.timeout_at(until):
            yield
    except TimeoutError:
        raise TargetThrottled(_NO_ROOM) from None


async def send(
    vault: Vault,
    name: str,
    body: Mapping[str, Any],
    look: Look,
    patience: Patience,
    turn: Turn,
) -> str:
    """Import *body* under *name* and say which version it made.

    Args:
        vault: where to.
        name: the certificate's name.
        body: the import, as Key Vault takes it.
        look: says under which version it landed, or `None` where it did not; given the seconds
            to wait before it looks again.
        patience: how long to wait, and how often to try.
        turn: how it waits for that.

    Raises:
        ImportOutcomeUnknown: it may have been applied, and looking did not settle it.
        Superseded: the look found another writer's version.
        TargetError: it was surely not applied.
    """
    for wait in (*patience.unclear, None):
        try:
            return await _send(vault, name, body, look, patience, turn)
        except Unclear as unclear:
            turn = replace(turn, again=turn.again or not unclear.answered)
            # the look comes right before the next POST, when all that was on its way has landed
            await asyncio.sleep(wait or 0)
            landed = await _looked(look, patience, unclear.trouble)
            if landed is not None:
                return landed
            if wait is None:
                raise _verdict(unclear.trouble, silent=turn.again) from unclear
        except (TargetError, VersionConflict) as refused:
            if not turn.again:
                raise
            # It speaks of the last POST only; of an earlier one without an answer a look does.
            landed = await _looked(look, patience, refused)
            if landed is not None:
                return landed
            raise ImportOutcomeUnknown(answer=refused.answer) from refused
    raise AssertionError


async def _send(
    vault: Vault,
    name: str,
    body: Mapping[str, Any],
    look: Look,
    patience: Patience,
    turn: Turn,
) -> str:
    """Send once; a throttled request was not done, so it alone may be sent again.

    A wait for room is long enough for another writer, whose version must not be overwritten.
    """
    most = len(patience.throttled)
    for throttled in range(most + 1):
        async with in_time(turn.until):
            waited = await vault.room(first=turn.first)
            landed = await look(()) if waited or throttled else None
        if landed is not None:
            return landed
        if turn.again:
            turn.held.left = asyncio.get_running_loop().time()
        try:
            return await vault.import_certificate(name, body)
        except TargetThrottled:
            if throttled == most:
                raise
    raise AssertionError


async def _looked(look: Look, patience: Patience, trouble: DeployError) -> str | None:
    try:
        return await look(patience.stale)
    except (TargetError, VersionConflict) as blind:  # not to be seen, or no longer there to be seen
        raise ImportOutcomeUnknown(answer=trouble.answer) from blind


def _verdict(trouble: TargetError, *, silent: bool) -> TargetError | ImportOutcomeUnknown:
    """A vault that answered and does not have it never took it; one that was silent still might."""
    return ImportOutcomeUnknown(answer=trouble.answer) if silent else trouble
