"""What each write does, inside the writer's transaction.

Rows are made before an operation is queued, so that the thread only executes.
"""

import sqlite3
from dataclasses import dataclass, replace

from app import errors
from app.deployment.model import Deployment, State
from app.store import queries, records
from app.store.records import IdempotencyKey, Row


@dataclass(frozen=True, kw_only=True)
class Claim:
    """An idempotency key at the time `at`; those from before `since` count as unknown."""

    key: IdempotencyKey
    at: str
    since: str


class Accept:
    """A new deployment with its event and, where the caller sent one, its key."""

    __slots__ = ("_claim", "_deployment", "_event", "_row")

    def __init__(self, deployment: Deployment, event: Row, claim: Claim | None) -> None:
        self._deployment = deployment
        self._row = records.new_row(deployment)
        self._event = event
        self._claim = claim

    def __call__(self, connection: sqlite3.Connection) -> Deployment:
        """The deployment that stands for this request: a new one, or the first under its key.

        Raises:
            IdempotencyKeyReused: the key stands for another request.
        """
        if self._claim is None:
            return self._insert(connection, self._deployment, self._row)
        known = _known(connection, self._claim)
        if known is None:
            return self._claimed(connection, self._claim, self._deployment, self._row)
        if known.state is not State.INTERRUPTED:
            return known
        again = replace(self._deployment, attempt=known.attempt + 1, previous_attempt=known.id)
        return self._claimed(connection, self._claim, again, records.new_row(again))

    def _claimed(
        self, connection: sqlite3.Connection, claim: Claim, deployment: Deployment, row: Row
    ) -> Deployment:
        key = claim.key
        self._insert(connection, deployment, row)
        values = (key.caller, key.key, key.fingerprint, deployment.id, claim.at)
        connection.execute(queries.PUT_KEY, values)
        return deployment

    def _insert(
        self, connection: sqlite3.Connection, deployment: Deployment, row: Row
    ) -> Deployment:
        connection.execute(queries.INSERT_DEPLOYMENT, row)
        connection.execute(queries.INSERT_STEP, records.step_row(deployment, self._event))
        connection.execute(queries.INSERT_EVENT, self._event)
        return deployment


class Save:
    """A deployment in its next state, with the event of reaching it."""

    __slots__ = ("_deployment", "_event", "_row", "_step")

    def __init__(self, deployment: Deployment, event: Row) -> None:
        self._deployment = deployment
        self._row = records.changed_row(deployment)
        self._step = records.step_row(deployment, event)
        self._event = event

    def __call__(self, connection: sqlite3.Connection) -> Deployment:
        """Write it.

        Raises:
            DeploymentNotFound: it was never accepted.
        """
        if connection.execute(queries.UPDATE_DEPLOYMENT, self._row).rowcount == 0:
            raise errors.DeploymentNotFound
        connection.execute(queries.INSERT_STEP, self._step)
        connection.execute(queries.INSERT_EVENT, self._event)
        return self._deployment


class Note:
    """An event alone."""

    __slots__ = ("_event",)

    def __init__(self, event: Row) -> None:
        self._event = event

    def __call__(self, connection: sqlite3.Connection) -> None:
        """Write it."""
        connection.execute(queries.INSERT_EVENT, self._event)


class Prune:
    """The oldest rows below a bound, some of them: an id, or a time for keys."""

    __slots__ = ("_below", "_most", "_statement")

    def __init__(self, statement: str, below: str, most: int) -> None:
        self._statement = statement
        self._below = below
        self._most = most

    def __call__(self, connection: sqlite3.Connection) -> int:
        """Delete them, and say how many there were."""
        return connection.execute(self._statement, (self._below, self._most)).rowcount


def touch(connection: sqlite3.Connection) -> None:
    """Change a row and take it back: the file can be written, and nothing was."""
    connection.execute("SAVEPOINT touch")
    connection.execute(queries.TOUCH)
    connection.execute("ROLLBACK TO touch")
    connection.execute("RELEASE touch")


def _known(connection: sqlite3.Connection, claim: Claim) -> Deployment | None:
    key = claim.key
    row = connection.execute(queries.FIND_KEY, (key.caller, key.key, claim.since)).fetchone()
    if row is None:
        return None
    fingerprint, record = row
    if fingerprint != key.fingerprint:
        raise errors.IdempotencyKeyReused
    return records.deployment(record)
