"""What each write does, inside the writer's transaction.

Rows are made before an operation is queued, so that the thread only executes. An operation that
refuses (an error of ours) does so before it writes anything, but for `TakeUp` of a record that it
cannot read: whoever takes that up next claims it anew.
"""

import secrets
from dataclasses import dataclass, replace
from typing import Final

from app import errors
from app.deployment.model import Deployment, State
from app.store import queries, records
from app.store.records import IdempotencyKey, Row
from app.store.transaction import Beside, Transaction

_CHECK_BYTES: Final = 64 * 1024  # twice that as hex: a new deployment takes 60-110 KB in SQLite


@dataclass(frozen=True, kw_only=True)
class Claim:
    """An idempotency key at the time `at`; those from before `since` count as unknown."""

    key: IdempotencyKey
    at: str
    since: str


class Accept:
    """A new deployment with its event and, where the caller sent one, its key."""

    __slots__ = ("_beside", "_claim", "_deployment", "_event", "_row")

    def __init__(
        self, deployment: Deployment, event: Row, claim: Claim | None, beside: Beside | None
    ) -> None:
        self._beside = beside
        self._deployment = deployment
        self._row = records.new_row(deployment)
        self._event = event
        self._claim = claim

    def __call__(self, transaction: Transaction) -> Deployment:
        """The deployment that stands for this request: a new one, or the first under its key.

        Raises:
            IdempotencyKeyReused: the key stands for another request.
        """
        if self._claim is None:
            return self._insert(transaction, self._deployment, self._row)
        known = _known(transaction, self._claim)
        if known is None:
            return self._claimed(transaction, self._claim, self._deployment, self._row)
        if known.state is not State.INTERRUPTED:
            return known
        again = replace(self._deployment, attempt=known.attempt + 1, previous_attempt=known.id)
        return self._claimed(transaction, self._claim, again, records.new_row(again))

    def _claimed(
        self, transaction: Transaction, claim: Claim, deployment: Deployment, row: Row
    ) -> Deployment:
        key = claim.key
        self._insert(transaction, deployment, row)
        values = (key.caller, key.key, key.fingerprint, deployment.id, claim.at)
        transaction.execute(queries.PUT_KEY, values)
        return deployment

    def _insert(self, transaction: Transaction, deployment: Deployment, row: Row) -> Deployment:
        transaction.execute(queries.INSERT_DEPLOYMENT, row)
        transaction.later(queries.INSERT_STEP, records.step_row(deployment, self._event))
        transaction.later(queries.INSERT_EVENT, self._event)
        transaction.beside(self._beside)
        return deployment


class Save:
    """A deployment in its next state, with the event of reaching it."""

    __slots__ = ("_beside", "_deployment", "_event", "_row", "_statement", "_step")

    def __init__(
        self,
        deployment: Deployment,
        event: Row,
        by: str | State | None,
        beside: Beside | None,
    ) -> None:
        """*by* a runner, or by anybody while it is in a state."""
        in_state = isinstance(by, State)
        self._statement = queries.UPDATE_IN_STATE if in_state else queries.UPDATE_DEPLOYMENT
        self._beside = beside
        self._deployment = deployment
        self._row = records.changed_row(deployment, by, event)
        self._step = records.step_row(deployment, event)
        self._event = event

    def __call__(self, transaction: Transaction) -> Deployment:
        """Write it, unless it was: then nothing is written, and all is well.

        Raises:
            DeploymentNotFound: it was never accepted.
            TakenOver: it is final, another runner has claimed it, or its state is another.
        """
        if transaction.execute(self._statement, self._row).rowcount == 0:
            self._see_why_not(transaction)
            return self._deployment
        transaction.later(queries.INSERT_STEP, self._step)
        transaction.later(queries.INSERT_EVENT, self._event)
        transaction.beside(self._beside)
        return self._deployment

    def _see_why_not(self, transaction: Transaction) -> None:
        transaction.flush()  # it may be the same call again, next to the first
        asked = (*records.told(self._event), self._deployment.id)
        row = transaction.execute(queries.SAVED, asked).fetchone()
        if row is None:
            raise errors.DeploymentNotFound
        if not row[0]:
            raise errors.TakenOver


class TakeUp:
    """A deployment that *runner* carries from now on."""

    __slots__ = ("_row",)

    def __init__(self, id: str, runner: str) -> None:  # noqa: A002 - the field's name
        self._row = (runner, id)

    def __call__(self, transaction: Transaction) -> Deployment:
        """The deployment, as the last one to carry it left it.

        Raises:
            DeploymentNotFound: there is none of this id.
            InternalError: its record cannot be read; it is claimed all the same.
        """
        row = transaction.execute(queries.CLAIM, self._row).fetchone()
        if row is None:
            raise errors.DeploymentNotFound
        return records.deployment(row[0])


class Note:
    """An event alone."""

    __slots__ = ("_event",)

    def __init__(self, event: Row) -> None:
        self._event = event

    def __call__(self, transaction: Transaction) -> None:
        """Write it."""
        transaction.later(queries.INSERT_EVENT, self._event)


class Prune:
    """The oldest rows below a bound, some of them: an id, or a time for keys."""

    __slots__ = ("_below", "_most", "_statement")

    def __init__(self, statement: str, below: str, most: int) -> None:
        self._statement = statement
        self._below = below
        self._most = most

    def __call__(self, transaction: Transaction) -> int:
        """Delete them, and say how many there were."""
        return transaction.execute(self._statement, (self._below, self._most)).rowcount


def touch(transaction: Transaction) -> None:
    """Write a row and delete it, which takes the room of a deployment; nothing is left of it."""
    name = f"check-{secrets.token_hex(8)}"  # its own: other processes are not waited for
    text = secrets.token_hex(_CHECK_BYTES)  # PostgreSQL would compress anything else to nothing
    transaction.execute(queries.PUT_CHECK, (name, text))
    transaction.execute(queries.DROP_CHECK, (name,))


def _known(transaction: Transaction, claim: Claim) -> Deployment | None:
    key = claim.key
    row = transaction.execute(queries.FIND_KEY, (key.caller, key.key, claim.since)).fetchone()
    if row is None:
        return None
    fingerprint, record = row
    if fingerprint != key.fingerprint:
        raise errors.IdempotencyKeyReused
    return records.deployment(record)
