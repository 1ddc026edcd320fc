"""Soft delete, recover, purge: always the whole certificate with all its versions."""

from app.emulator import shapes
from app.emulator.orders import Order
from app.emulator.refusals import Reason, refusal
from app.emulator.stored import DeletedEntry
from app.emulator.wire import Reply


def delete_certificate(order: Order) -> Reply:
    """Soft-delete all versions."""
    order.entry()
    return _deleted_bundle(order, order.vault.soft_delete(order.name))


def get_deleted(order: Order) -> Reply:
    """A deleted certificate, once its deletion is finished."""
    return _deleted_bundle(order, _gone(order))


def recover(order: Order) -> Reply:
    """Undo the deletion."""
    _gone(order)
    entry = order.vault.recover(order.name)
    shape = shapes.full_bundle(order.base, order.name, entry, pending=order.pending)
    return Reply(document=shape)


def purge(order: Order) -> Reply:
    """Make the deletion final."""
    _gone(order)
    order.vault.purge(order.name)
    return Reply(status=204)


def _gone(order: Order) -> DeletedEntry:
    gone = order.vault.deleted.get(order.name)
    if gone is None or gone.ready > order.now:
        raise refusal(Reason.DELETED_NOT_FOUND, name=order.name)
    return gone


def _deleted_bundle(order: Order, gone: DeletedEntry) -> Reply:
    shape = shapes.full_bundle(order.base, order.name, gone.entry, pending=order.pending)
    return Reply(document={**shape, **shapes.deletion(order.base, order.name, gone)})
