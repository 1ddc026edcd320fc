"""The JSON of the data plane: bundle, list item, policy, secret, pending, deleted.

Keys and their order are those of recorded answers; `base` is the vault's address as the client
wrote it, e.g. https://my-vault.vault.azure.net.
"""

from typing import Any

from app.emulator.exports import pem_of, pfx_of
from app.emulator.material import PEM
from app.emulator.policies import Policy
from app.emulator.renewing import TEN_MINUTES, add_months
from app.emulator.stored import (
    RECOVERABLE_DAYS,
    DeletedEntry,
    Entry,
    PendingOperation,
    StoredVersion,
)

Json = dict[str, Any]

RECOVERY_LEVEL = "Recoverable+Purgeable"


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


def unfinished(base: str, name: str, operation: PendingOperation) -> Json:
    """A name whose first creation is pending: a disabled version without certificate and key.

    Recorded; unknown is what such a name shows once its creation was cancelled.
    """
    start = operation.started - TEN_MINUTES
    end = add_months(operation.started, operation.policy["x509_props"]["validity_months"])
    times = {"nbf": start, "exp": end, "created": operation.started, "updated": operation.started}
    return {
        "id": f"{base}/certificates/{name}/{operation.version}",
        "attributes": _recoverable({"enabled": False, **times}),
        "policy": _policy(base, name, operation.policy, operation.started, operation.started),
        "pending": {"id": f"{base}/certificates/{name}/pending"},
    }


def full_bundle(base: str, name: str, entry: Entry, *, pending: bool) -> Json:
    """The latest version with the policy: version-less GET and the answer to an import."""
    shape = bundle(base, name, entry.latest, pending=pending)
    return {**shape, "policy": policy(base, name, entry)}


def policy(base: str, name: str, entry: Entry) -> Json:
    """The policy with its id and its own times."""
    return _policy(base, name, entry.policy, entry.policy_created, entry.policy_updated)


def _policy(base: str, name: str, found: Policy, created: int, updated: int) -> Json:
    return {
        "id": f"{base}/certificates/{name}/policy",
        **found,
        "attributes": {"enabled": True, "created": created, "updated": updated},
    }


def version_item(base: str, name: str, stored: StoredVersion) -> Json:
    """A version in a list: no recovery attributes, and a subject that is always empty."""
    return {**_item(f"{base}/certificates/{name}/{stored.version}", stored), "subject": ""}


def certificate_item(base: str, name: str, stored: StoredVersion) -> Json:
    """A certificate in a list: the latest version under an id without version."""
    return {**_item(f"{base}/certificates/{name}", stored), "subject": ""}


def deleted_item(base: str, name: str, gone: DeletedEntry) -> Json:
    """A deleted certificate in a list: no subject, but the recovery attributes."""
    item = _item(f"{base}/certificates/{name}", gone.entry.latest)
    return {**deletion(base, name, gone), **item, "attributes": _recoverable(item["attributes"])}


def _item(identifier: str, stored: StoredVersion) -> Json:
    shape: Json = {"id": identifier, "x5t": stored.x5t, "attributes": _attributes(stored)}
    if stored.tags:
        shape["tags"] = stored.tags
    return shape


def deletion(base: str, name: str, gone: DeletedEntry) -> Json:
    """The three facts a deleted certificate adds to its bundle or list item."""
    return {
        "recoveryId": f"{base}/deletedcertificates/{name}",
        "deletedDate": gone.deleted,
        "scheduledPurgeDate": gone.purged,
    }


def secret(base: str, name: str, stored: StoredVersion) -> Json:
    """The secret of a version: what was imported, or without the key if not exportable."""
    item = f"{name}/{stored.version}"
    # unknown: whether the certificate's tags show on its secret; they do not here
    return {
        "value": stored.value if stored.exportable else _public(stored),
        "contentType": stored.content_type,
        "id": f"{base}/secrets/{item}",
        "managed": True,
        "attributes": _recoverable(_attributes(stored)),
        "kid": f"{base}/keys/{item}",
    }


def _public(stored: StoredVersion) -> str:
    write = pem_of if stored.content_type == PEM else pfx_of
    return write(stored.certificate, None, stored.chain)


_IN_PROGRESS = (
    "Pending certificate created. Certificate request is in progress. This may take some time "
    "based on the issuer provider. Please check again later."
)


def pending(base: str, name: str, operation: PendingOperation) -> Json:
    """A pending creation."""
    target = f"{base}/certificates/{name}"
    more = {"inProgress": {"status_details": _IN_PROGRESS}, "completed": {"target": target}}
    return {
        "id": f"{target}/pending",
        "issuer": operation.policy["issuer"],
        "csr": operation.csr,
        "cancellation_requested": operation.cancellation_requested,
        "status": operation.status,
        **more.get(operation.status, {}),
        "request_id": operation.request_id,
    }


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
