"""Sending an import: once, and again only after a look that says it is not there.

Import is not idempotent. Every POST may make a permanent version, and versions cannot be deleted
singly, so an answer that does not say what happened is followed by a look, not by another POST.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from app.connectors.azure_key_vault.client import Unclear, Vault
from app.errors import ImportOutcomeUnknown, TargetError, TargetThrottled

_AGAIN_S: Final = (1.0, 2.0)
_THROTTLED_S: Final = (1.0, 2.0, 4.0, 8.0, 16.0)  # Azure's advice: a 429 brings no Retry-After

Look = Callable[[], Awaitable[str | None]]


async def send(vault: Vault, name: str, body: Mapping[str, Any], look: Look) -> str:
    """Import *body* under *name* and say which version it made.

    Args:
        vault: where to.
        name: the certificate's name.
        body: the import, as Key Vault takes it.
        look: says under which version it landed, or `None` where it did not.

    Raises:
        ImportOutcomeUnknown: it may have been applied, and looking did not settle it.
        TargetError: it was surely not applied.
    """
    for wait in (*_AGAIN_S, None):
        try:
            return await _send(vault, name, body)
        except Unclear as unclear:
            landed = await _looked(look, unclear)
            if landed is not None:
                return landed
            if wait is None:
                raise _verdict(unclear) from unclear
        await asyncio.sleep(wait)
    raise AssertionError


async def _send(vault: Vault, name: str, body: Mapping[str, Any]) -> str:
    """Send once; a throttled request was not done, so it alone may be sent again."""
    for wait in (*_THROTTLED_S, None):
        try:
            return await vault.import_certificate(name, body)
        except TargetThrottled:
            if wait is None:
                raise
        await asyncio.sleep(wait)
    raise AssertionError


async def _looked(look: Look, unclear: Unclear) -> str | None:
    try:
        return await look()
    except TargetError:
        raise ImportOutcomeUnknown(answer=unclear.trouble.answer) from unclear


def _verdict(unclear: Unclear) -> TargetError | ImportOutcomeUnknown:
    """A vault that answered and does not have it never took it; one that is silent still might."""
    if unclear.answered:
        return unclear.trouble
    return ImportOutcomeUnknown(answer=unclear.trouble.answer)
