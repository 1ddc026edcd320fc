"""Our tags on a version that we did not make: somebody imported it and carried the tags over.

What we make holds what we sent. Where another certificate bears our tags, the vault stored it so,
or it is a stranger's on top of ours; then ours, which bears them too, is among the older versions.
"""

from app.connectors.azure_key_vault.answers import Version
from app.connectors.azure_key_vault.client import Vault
from app.connectors.azure_key_vault.whose import Whose, tagged_as_ours, tagged_as_restored
from app.deployment.model import Deployment

_TAGGED = {Whose.OURS: tagged_as_ours, Whose.RESTORED: tagged_as_restored}


async def unmasked(
    vault: Vault, name: str, found: Whose, latest: Version | None, deployment: Deployment
) -> Whose:
    """Whose version *latest* is, which by its tags is *found*; versions are listed only in doubt.

    Raises:
        TargetError: it is in doubt, and the versions cannot be listed.
    """
    tagged = _TAGGED.get(found)
    if latest is None or tagged is None or _is_what_was_sent(found, latest, deployment):
        return found
    others = [one.tags for one in await vault.versions(name) if one.id != latest.id]
    carried = any(tagged(one, deployment) for one in others)
    return Whose.STRANGERS if carried else found


def _is_what_was_sent(found: Whose, latest: Version, deployment: Deployment) -> bool:
    """Whether no tag is needed to tell that *latest* is ours."""
    if latest.id == deployment.version_id:
        return True
    if found is Whose.OURS:
        return latest.thumbprint == deployment.certificate.thumbprint
    before = deployment.snapshot
    return before is not None and latest.thumbprint == before.thumbprint
