"""Our tags on a version that we did not make: somebody imported it and carried the tags over.

What we make holds what we sent. Where another certificate bears our tags, the vault stored it so,
or it is a stranger's on top of ours; then ours, which bears them too, is among the older versions.
A list that lacks the very version in question is older than it, and tells nothing of the others.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from app.connectors.azure_key_vault.answers import Listed, Version
from app.connectors.azure_key_vault.client import Vault
from app.connectors.azure_key_vault.whose import Whose, tagged_as_ours, tagged_as_restored
from app.deployment.model import Deployment
from app.errors import TargetUnavailable

_STALE: Final = "The vault's list of versions lacks the current one. Send again later."
_TAGGED = {Whose.OURS: tagged_as_ours, Whose.RESTORED: tagged_as_restored}


async def unmasked(
    vault: Vault,
    name: str,
    found: Whose,
    latest: Version | None,
    deployment: Deployment,
    waits: Sequence[float],
) -> Whose:
    """Whose version *latest* is, which by its tags is *found*; versions are listed only in doubt.

    Args:
        vault: where they are listed.
        name: the certificate's name.
        found: whose it is, by its tags.
        latest: the current version.
        deployment: ours.
        waits: the seconds before a list that lacks *latest* is asked for again.

    Raises:
        TargetError: it is in doubt, and the versions cannot be listed, or not with *latest*.
    """
    tagged = _TAGGED.get(found)
    if latest is None or tagged is None or _is_what_was_sent(found, latest, deployment):
        return found
    listed = await _listed_with(vault, name, latest, waits)
    carried = any(tagged(one.tags, deployment) for one in listed if one.id != latest.id)
    return Whose.STRANGERS if carried else found


async def _listed_with(
    vault: Vault, name: str, latest: Version, waits: Sequence[float]
) -> list[Listed]:
    for wait in (*waits, None):
        listed = await vault.versions(name)
        if any(one.id == latest.id for one in listed):
            return listed
        if wait is not None:
            await asyncio.sleep(wait)
    raise TargetUnavailable(_STALE)


def _is_what_was_sent(found: Whose, latest: Version, deployment: Deployment) -> bool:
    """Whether no tag is needed to tell that *latest* is ours."""
    if latest.id == deployment.version_id:
        return True
    if found is Whose.OURS:
        return latest.thumbprint == deployment.certificate.thumbprint
    before = deployment.snapshot
    return before is not None and latest.thumbprint == before.thumbprint
