"""What each read does; lists are in `pages`."""

import contextlib
from collections.abc import Iterable, Iterator

from app import errors
from app.deployment.model import Deployment
from app.store import queries, records
from app.store.connection import Readable
from app.store.records import Row, Step

_GREATEST = 2**63 - 1  # what both databases can compare with


def deployment(connection: Readable, id: str) -> Deployment:  # noqa: A002 - the field's name
    """One deployment.

    Raises:
        DeploymentNotFound: there is none of this id.
    """
    row = connection.execute(queries.GET_DEPLOYMENT, (id,)).fetchone()
    if row is None:
        raise errors.DeploymentNotFound
    return records.deployment(row[0])


def unfinished(connection: Readable) -> list[Deployment]:
    """What has not ended, oldest first; but for what cannot be read."""
    return list(_readable(connection.execute(queries.UNFINISHED).fetchall()))


def unfinished_without(connection: Readable, row: str, before: str) -> list[Deployment]:
    """What has not ended, was created before a time, and has no such row in another's table.

    But for what cannot be read.
    """
    return list(
        _readable(connection.execute(queries.unfinished_without(row), (before,)).fetchall())
    )


def steps(connection: Readable, id: str, after: int) -> tuple[bool, list[Step]]:  # noqa: A002 - the field's name
    """Whether a deployment has ended, and its steps after *after*, of the same moment.

    Raises:
        DeploymentNotFound: there is none of this id.
        InternalError: one of them cannot be read.
    """
    rows = connection.execute(queries.STEPS, (min(after, _GREATEST), id)).fetchall()
    if not rows:
        raise errors.DeploymentNotFound
    return bool(rows[0][0]), [records.step(row, id) for row in rows if row[1] is not None]


def ping(connection: Readable) -> None:
    """The store can be read."""
    connection.execute(queries.PING).fetchone()


def _readable(rows: Iterable[Row]) -> Iterator[Deployment]:
    """One that cannot be read, and is logged, holds up no other."""
    for row in rows:
        with contextlib.suppress(errors.InternalError):
            yield records.deployment(row[0])
