"""The JSON of the data plane: bundle, list item, policy, secret, pending, deleted.

Keys and their order are those of recorded answers; `base` is the vault's address as the client
wrote it, e.g. https://my-vault.vault.azure.net.
"""

from typing import Any

from app.emulator.exports import pem_of, pfx_of
from app.emulator.material import PEM
from app.emulator.vaults import DeletedEntry, Entry, PendingOperation, StoredVersion

Json = dict[str, Any]

RECOVERY_LEVEL = "Recoverable+Purgeable"
RECOVERABLE_DAYS = 90
_DAY = 86_400


def bundle(base: str, name: str, stored: StoredVersion, *, pending: bool) -> Json:
    """A certificate version, without the policy."""
    item = f"{name}/{stored.version}"
    shape: Json = {
        "id": f"{base}/certificates/{item}",
        "kid": f"{base}/keys/{item}",
        "sid": f"{base}/secrets/{item}",
        "x5t": stored.x5t,
        "cer": stored.cer,
        "attributes": _recoverable(_attributes(stored)),
    }
    # recorded: a PATCH with empty tags answers "tags": {}
    if stored.tags or stored.tagged:
        shape["tags"] = stored.tags
    if pending:
        shape["pending"] = {"id": f"{base}/certificates/{name}/pending"}
    if stored.preserve_cert_order is not None:
        shape["preserveCertOrder"] = stored.preserve_cert_order
    return shape


def full_bundle(base: str, name: str, entry: Entry, *, pending: bool) -> Json:
    """The latest version with the policy: version-less GET and the answer to an import."""
    shape = bundle(base, name, entry.latest, pending=pending)
    return {**shape, "policy": policy(base, name, entry)}


def policy(base: str, name: str, entry: Entry) -> Json:
    """The policy with its id and its own times."""
    return {
        "id": f"{base}/certificates/{name}/policy",
        **entry.policy,
        "attributes": {
            "enabled": True,
            "created": entry.policy_created,
            "updated": entry.policy_updated,
        },
    }


def version_item(base: str, name: str, stored: StoredVersion) -> Json:
    """A version in a list: no recovery attributes, and a subject that is always empty."""
    return _item(f"{base}/certificates/{name}/{stored.version}", stored)


def certificate_item(base: str, name: str, stored: StoredVersion) -> Json:
    """A certificate in a list: the latest version under an id without version."""
    return _item(f"{base}/certificates/{name}", stored)


def _item(identifier: str, stored: StoredVersion) -> Json:
    shape: Json = {"id": identifier, "x5t": stored.x5t, "attributes": _attributes(stored)}
    if stored.tags:
        shape["tags"] = stored.tags
    return {**shape, "subject": ""}


def deletion(base: str, name: str, gone: DeletedEntry) -> Json:
    """The three facts a deleted certificate adds to its bundle or list item."""
    return {
        "recoveryId": f"{base}/deletedcertificates/{name}",
        "deletedDate": gone.deleted,
        "scheduledPurgeDate": gone.deleted + RECOVERABLE_DAYS * _DAY,
    }


def secret(base: str, name: str, stored: StoredVersion, *, exportable: bool) -> Json:
    """The secret of a version: what was imported, or without the key if not exportable."""
    item = f"{name}/{stored.version}"
    # unknown: whether the certificate's tags show on its secret; they do not here
    return {
        "value": stored.value if exportable else _public(stored),
        "contentType": stored.content_type,
        "id": f"{base}/secrets/{item}",
        "managed": True,
        "attributes": _recoverable(_attributes(stored)),
        "kid": f"{base}/keys/{item}",
    }


def _public(stored: StoredVersion) -> str:
    write = pem_of if stored.content_type == PEM else pfx_of
    return write(stored.certificate, None, stored.chain)


def pending(base: str, name: str, operation: PendingOperation) -> Json:
    """A pending creation."""
    shape: Json = {
        "id": f"{base}/certificates/{name}/pending",
        "issuer": {"name": "Unknown"},
        "cancellation_requested": False,
        "status": "inProgress" if operation.in_progress else "completed",
        "request_id": operation.request_id,
    }
    if not operation.in_progress:
        shape["target"] = f"{base}/certificates/{name}"
    return shape


def _attributes(stored: StoredVersion) -> Json:
    return {
        "enabled": stored.enabled,
        "nbf": stored.not_before,
        "exp": stored.expires,
        "created": stored.created,
        "updated": stored.updated,
    }


def _recoverable(attributes: Json) -> Json:
    attributes["recoveryLevel"] = RECOVERY_LEVEL
    attributes["recoverableDays"] = RECOVERABLE_DAYS
    return attributes
