"""What an operation writes with: at once, or at the end, together with what others write there.

A journey to the database is what costs; rows that nobody asks for in between share one.
"""

from collections.abc import Sequence
from typing import Any

from app.store.connection import Connection, Cursor


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

    def flush(self) -> None:
        """Run what was put off, in the order in which each statement came first."""
        rows, self._rows = self._rows, {}
        for statement, values in rows.items():
            self._connection.executemany(statement, values)
