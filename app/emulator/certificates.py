"""Reading and changing what is stored: certificates, their policy, their secret.

Import is in `importing`, lists in `listing`, deletion in `deleting`.
"""

from typing import Any

from app.emulator import renewing, shapes
from app.emulator.orders import Order, enabled_of, tags_of
from app.emulator.policies import merge
from app.emulator.refusals import Reason, refusal
from app.emulator.wire import Reply


def get_certificate(order: Order) -> Reply:
    """The latest version, disabled or not, with the policy."""
    operation = order.vault.pending.get(order.name)
    if operation is not None and order.found() is None:
        return Reply(document=shapes.unfinished(order.base, order.name, operation))
    pending = operation is not None
    shape = shapes.full_bundle(order.base, order.name, order.entry(), pending=pending)
    return Reply(document=shape)


def get_certificate_version(order: Order) -> Reply:
    """One version, without the policy."""
    stored = order.stored()
    shape = shapes.bundle(order.base, order.name, stored, pending=order.pending)
    return Reply(document=shape)


def update_certificate(order: Order) -> Reply:
    """Change enabled and tags of a version; tags not sent stay, empty tags clear."""
    document = order.document()
    changes: dict[str, Any] = {}
    tags = tags_of(document)
    if tags is not None:
        changes |= {"tags": tags, "tagged": True}
    enabled = enabled_of(document)
    if enabled is not None:
        changes["enabled"] = enabled
    stored = order.vault.change(order.name, order.stored().version, **changes)
    shape = shapes.bundle(order.base, order.name, stored, pending=order.pending)
    return Reply(document=shape)


def get_policy(order: Order) -> Reply:
    """The policy of the name."""
    return Reply(document=shapes.policy(order.base, order.name, order.entry()))


def update_policy(order: Order) -> Reply:
    """Change parts of the policy."""
    policy = merge(order.entry().policy, order.document())
    if not renewing.possible(policy, int(order.now)):
        raise refusal(Reason.INVALID_POLICY)
    order.vault.agree(order.name, policy)
    return get_policy(order)


def get_secret(order: Order) -> Reply:
    """The secret of a certificate's version: the key goes with it."""
    entry = order.found()
    stored = None
    if entry is not None:
        stored = entry.find(order.version) if order.version else entry.latest
    if entry is None or stored is None:
        name = f"{order.name}/{order.version}" if order.version else order.name
        raise refusal(Reason.SECRET_NOT_FOUND, name=name)
    if not stored.enabled:
        raise refusal(Reason.SECRET_DISABLED)
    return Reply(document=shapes.secret(order.base, order.name, stored))
