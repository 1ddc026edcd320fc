"""The record of every deployment, and its SQL; only the queue, in `worker`, has some of its own.

What `Store` has acknowledged survives a power cut: an answer is given after the commit, and the
commit after the disk has it. Nothing in here could hold a key.
"""

from app.store.address import Address
from app.store.impatient import AsyncConnection
from app.store.pages import DeploymentFilter, EventFilter, Page
from app.store.records import IdempotencyKey, Step
from app.store.retention import Keep, Pruned
from app.store.store import Store
from app.store.transaction import Beside

__all__ = [
    "Address",
    "AsyncConnection",
    "Beside",
    "DeploymentFilter",
    "EventFilter",
    "IdempotencyKey",
    "Keep",
    "Page",
    "Pruned",
    "Step",
    "Store",
]
