"""Creations under way: seen, cancelled, forgotten; and a name that has nothing else yet.

Nothing here is ever created: `Vault.set_pending` tells what somebody else has begun.
"""

from app.emulator import shapes
from app.emulator.orders import Order
from app.emulator.refusals import Reason, refusal
from app.emulator.stored import PendingOperation
from app.emulator.wire import Reply

_POLL = (("Retry-After", "10"),)


def get_pending(order: Order) -> Reply:
    """The creation, with an advice when to ask again while it is in progress."""
    operation = _operation(order)
    return _shown(order, operation, headers=_POLL if operation.in_progress else ())


def update_pending(order: Order) -> Reply:
    """Ask for its cancellation, which is all that can be changed."""
    if order.document().get("cancellation_requested") is not True:
        raise refusal(Reason.INVALID_BODY, name="cancellation_requested")
    if not _operation(order).in_progress:
        raise refusal(Reason.NOT_IN_PROGRESS, name=order.name)
    return _shown(order, order.vault.cancel_pending(order.name))


def delete_pending(order: Order) -> Reply:
    """Forget it, and show it for the last time.

    In Azure a name without any certificate remains then, and can be soft-deleted; here it goes.
    """
    operation = _operation(order)
    order.vault.clear_pending(order.name)
    return _shown(order, operation)


def _operation(order: Order) -> PendingOperation:
    operation = order.vault.pending.get(order.name)
    if operation is None:
        raise refusal(Reason.PENDING_NOT_FOUND, name=order.name)
    return operation


def _shown(
    order: Order, operation: PendingOperation, headers: tuple[tuple[str, str], ...] = ()
) -> Reply:
    return Reply(document=shapes.pending(order.base, order.name, operation), headers=headers)
