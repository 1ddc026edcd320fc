"""Whose version is current: ours, our rollback's, the one from before, or a stranger's.

Only the version-less read says what is current; lists are sorted by random ids, and times have
whole seconds. What is ours is told by the id that our import returned, or by our tag on it; what
`carried` says of a tag comes after that.
"""

from collections.abc import Mapping
from enum import StrEnum

from app.connectors.azure_key_vault import tags
from app.connectors.azure_key_vault.answers import Version
from app.connectors.azure_key_vault.previous import CONTENT_TYPE, EXPORTABLE
from app.deployment.model import Deployment, Plan, Rollback, Snapshot, State


class Whose(StrEnum):
    """Who made the current version, as one deployment sees it."""

    OURS = "ours"
    RESTORED = "restored"
    BEFORE = "before"
    STRANGERS = "strangers"
    GONE = "gone"


def whose(latest: Version | None, deployment: Deployment) -> Whose:
    """Whose version *latest* is; nothing there is as before where nothing was, else deleted."""
    snapshot = deployment.snapshot
    if latest is None:
        return Whose.BEFORE if snapshot is None else Whose.GONE
    if tagged_as_restored(latest.tags, deployment) or _again(latest, deployment):
        return Whose.RESTORED
    if latest.id == deployment.version_id or _tagged(latest, deployment):
        return Whose.OURS
    if snapshot is not None and latest.id == snapshot.version_id:
        return Whose.BEFORE
    return Whose.OURS if _untagged(latest, deployment) else Whose.STRANGERS


def as_before(latest: Version, snapshot: Snapshot) -> bool:
    """Whether *latest* serves what the snapshot did, under whichever version."""
    return (latest.thumbprint, latest.enabled) == (snapshot.thumbprint, snapshot.enabled)


def in_form_as_before(latest: Version, snapshot: Snapshot, rollback: Rollback) -> bool:
    """Likewise, and in the form that its readers know; a secret that was read is exportable."""
    wanted = dict(snapshot.attributes)
    if rollback.plan is Plan.SECRET:
        wanted[EXPORTABLE] = True
    form = {CONTENT_TYPE: latest.content_type, EXPORTABLE: latest.exportable}
    return as_before(latest, snapshot) and {**form, **wanted} == form


def tagged_as_restored(found: Mapping[str, str], deployment: Deployment) -> bool:
    """Whether these are the tags of our rollback, with our id or, where 15 are all, without."""
    of = found.get(tags.ROLLBACK_OF)
    return of is not None and (tagged_as_ours(found, deployment) or of == deployment.version_id)


def tagged_as_ours(found: Mapping[str, str], deployment: Deployment) -> bool:
    """Whether the id of the deployment is among these tags."""
    return found.get(tags.DEPLOYMENT_ID) == deployment.id


def _tagged(latest: Version, deployment: Deployment) -> bool:
    """Our tag on it, and not on a certificate of somebody who carries tags over to a new version.

    Once the id of ours is known, another version is ours only if it holds our certificate, too.
    """
    known = deployment.version_id is not None
    other = latest.thumbprint != deployment.certificate.thumbprint
    return tagged_as_ours(latest.tags, deployment) and not (known and other)


def _untagged(latest: Version, deployment: Deployment) -> bool:
    """Our certificate, though nothing says that we brought it, after an import without an answer.

    Taken for ours: the certificate is the one we sent, and this version was not there before.
    """
    unknown = deployment.version_id is None and tags.DEPLOYMENT_ID not in latest.tags
    return unknown and latest.thumbprint == deployment.certificate.thumbprint


def _again(latest: Version, deployment: Deployment) -> bool:
    """The previous certificate under a new version while we roll back, and nothing says whose.

    Taken for ours likewise: what a rollback is for is served, whoever brought it. In another form
    it is a stranger's, because ours would not be so.
    """
    snapshot, rollback = deployment.snapshot, deployment.rollback
    if snapshot is None or rollback is None or deployment.state is not State.ROLLING_BACK:
        return False
    unknown = tags.DEPLOYMENT_ID not in latest.tags
    new = latest.id not in {snapshot.version_id, deployment.version_id}
    return unknown and new and in_form_as_before(latest, snapshot, rollback)
