"""Whose version is current: ours, our rollback's, the one from before, or a stranger's.

Only the version-less read says what is current; lists are sorted by random ids, and times have
whole seconds. What is ours is told by the id that our import returned, or by our tag on it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import TypeVar

from app.connectors.azure_key_vault import tags
from app.connectors.azure_key_vault.answers import Version
from app.connectors.azure_key_vault.client import Vault
from app.connectors.azure_key_vault.patience import Patience
from app.connectors.azure_key_vault.previous import CONTENT_TYPE, EXPORTABLE
from app.deployment.model import Deployment, Snapshot, State
from app.errors import Superseded, TargetError, VersionConflict

_Found = TypeVar("_Found")


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
    if _restores(latest, deployment):
        return Whose.RESTORED
    if latest.id == deployment.version_id or _tagged(latest, deployment):
        return Whose.OURS
    if snapshot is not None and latest.id == snapshot.version_id:
        return Whose.BEFORE
    return Whose.OURS if _untagged(latest, deployment) else Whose.STRANGERS


async def settle(
    vault: Vault,
    name: str,
    deployment: Deployment,
    *,
    until: frozenset[Whose],
    waits: Sequence[float],
) -> tuple[Whose, Version | None]:
    """Look until the current version is a stranger's or one of *until*, or *waits* are over."""
    for wait in (*waits, None):
        latest = await vault.latest(name)
        found = whose(latest, deployment)
        if wait is None or found in until or found is Whose.STRANGERS:
            return found, latest
        await asyncio.sleep(wait)
    raise AssertionError


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
    waits: Sequence[float],
) -> str | None:
    """Which version is current, if it is one of *until*.

    Raises:
        Superseded: a stranger's, which is left alone.
        VersionConflict: there is none any more; a new one would undo what somebody wanted.
    """
    found, latest = await settle(vault, name, deployment, until=until, waits=waits)
    if found is Whose.STRANGERS:
        raise Superseded
    if found is Whose.GONE:
        raise VersionConflict("The certificate was deleted meanwhile; it is not made anew.")
    return latest.id if found in until and latest is not None else None


def as_before(latest: Version, snapshot: Snapshot) -> bool:
    """Whether *latest* serves what the snapshot did, under whichever version."""
    return (latest.thumbprint, latest.enabled) == (snapshot.thumbprint, snapshot.enabled)


def in_form_as_before(latest: Version, snapshot: Snapshot) -> bool:
    """Likewise, and in the form that its readers know."""
    form = {CONTENT_TYPE: latest.content_type, EXPORTABLE: latest.exportable}
    kept = {key: snapshot.attributes.get(key, fact) for key, fact in form.items()} == form
    return as_before(latest, snapshot) and kept


def _restores(latest: Version, deployment: Deployment) -> bool:
    of = latest.tags.get(tags.ROLLBACK_OF)
    ours = latest.tags.get(tags.DEPLOYMENT_ID) == deployment.id
    tagged = of is not None and (ours or of == deployment.version_id)
    return tagged or _again(latest, deployment)


def _tagged(latest: Version, deployment: Deployment) -> bool:
    """Our tag on it, and not on a certificate of somebody who carries tags over to a new version.

    Once the id of ours is known, another version is ours only if it holds our certificate, too.
    """
    known = deployment.version_id is not None
    other = latest.thumbprint != deployment.certificate.thumbprint
    return latest.tags.get(tags.DEPLOYMENT_ID) == deployment.id and not (known and other)


def _untagged(latest: Version, deployment: Deployment) -> bool:
    """Our certificate, though nothing says that we brought it, after an import without an answer.

    Taken for ours: the certificate is the one we sent, and this version was not there before.
    """
    unknown = deployment.version_id is None and tags.DEPLOYMENT_ID not in latest.tags
    return unknown and latest.thumbprint == deployment.certificate.thumbprint


def _again(latest: Version, deployment: Deployment) -> bool:
    """The previous certificate under a new version while we roll back, and nothing says whose.

    Taken for ours likewise: what a rollback is for is served, whoever brought it.
    """
    snapshot, unknown = deployment.snapshot, tags.DEPLOYMENT_ID not in latest.tags
    if snapshot is None or deployment.state is not State.ROLLING_BACK or not unknown:
        return False
    new = latest.id not in {snapshot.version_id, deployment.version_id}
    return new and as_before(latest, snapshot)
