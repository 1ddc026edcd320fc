"""What an operation writes with: at once, or at the end, together with what others write there.

A journey to the database is what costs; rows that nobody asks for in between share one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from app.store.connection import Connection, Cursor


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What somebody else writes in the same database: in one transaction, or not at all.

    Args:
        statement: answers nothing, with `?` for each value.
        values: those.
    """

    statement: str
    values: Sequence[Any] = field(repr=False)


class Transaction:
    """Everything between a `begin` and its `commit` on *connection*."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: dict[str, list[Sequence[Any]]] = {}

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Cursor:
        """Run one statement now."""
        return self._connection.execute(statement, values)

    def later(self, statement: str, values: Sequence[Any]) -> None:
        """Run one statement, which answers nothing, by the next `flush`."""
        self._rows.setdefault(statement, []).append(values)

    def beside(self, other: Beside | None) -> None:
        """Run what somebody else writes, if anything, by the next `flush`."""
        if other is not None:
            self.later(other.statement, other.values)

    def flush(self) -> None:
        """Run what was put off, in the order in which each statement came first."""
        rows, self._rows = self._rows, {}
        for statement, values in rows.items():
            self._connection.executemany(statement, values)
