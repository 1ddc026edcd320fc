"""The provenance tags: which version was made by whom, for what, and instead of what.

Import replaces tags, so all are sent each time; none is carried over by Key Vault.
"""

from collections.abc import Mapping
from typing import Final

from app.deployment.model import Deployment

MANAGED_BY: Final = "certctl-managed-by"
CERTIFICATE_ID: Final = "certctl-certificate-id"
DEPLOYMENT_ID: Final = "certctl-deployment-id"
ROLLBACK_OF: Final = "certctl-rollback-of"
US: Final = "certctl"
_MOST: Final = 15


def for_import(deployment: Deployment) -> dict[str, str]:
    """The tags of the version that *deployment* imports."""
    tags = {**deployment.target.config["tags"], MANAGED_BY: US, DEPLOYMENT_ID: deployment.id}
    if deployment.certificate_id is not None:
        tags[CERTIFICATE_ID] = deployment.certificate_id
    return tags


def for_rollback(deployment: Deployment, before: Mapping[str, str], failed: str) -> dict[str, str]:
    """The tags of the version that puts the previous one back: its own, and what happened.

    A version that nobody managed before gets the id of the certificate as well.
    The id of the deployment gives way where Key Vault's limit of 15 would be passed, because
    `certctl-rollback-of` leads to the failed version, which bears it.
    """
    given = {CERTIFICATE_ID: deployment.certificate_id} if deployment.certificate_id else {}
    ours = {MANAGED_BY: US, DEPLOYMENT_ID: deployment.id, ROLLBACK_OF: failed}
    tags = {**given, **before, **ours}
    spare = [DEPLOYMENT_ID, *(key for key in reversed([*before]) if key not in {*ours, *given})]
    for key in spare[: max(0, len(tags) - _MOST)]:
        del tags[key]
    return tags


def same(found: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether two versions say the same, whichever deployment made them."""
    passing = (DEPLOYMENT_ID, ROLLBACK_OF)
    return _without(found, passing) == _without(wanted, passing)


def _without(tags: Mapping[str, str], keys: tuple[str, ...]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key not in keys}
