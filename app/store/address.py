"""Where PostgreSQL is, and the connections to it. Nothing here repeats a password."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

import psycopg
from psycopg import conninfo
from psycopg.types.string import TextLoader

from app import errors
from app.store.impatient import AsyncConnection, Connection

SCHEMES: Final = ("postgresql://", "postgres://")
LIMITS: Final = ("statement_timeout", "idle_in_transaction_session_timeout")
_ANSWERS_S: Final = 1.0  # for the way of an answer


@dataclass(frozen=True, kw_only=True, repr=False)
class Address:
    """How the database is reached. It may hold a password, so it has no `repr`."""

    parameters: Mapping[str, Any]
    patience: float

    @classmethod
    def of(cls, url: str, *, patience: float) -> "Address":
        """The database that *url* names.

        Args:
            url: as the PostgreSQL client understands it.
            patience: seconds to wait for a connection, a lock or a statement.

        Raises:
            StoreUnavailable: it cannot be read. No part of it is repeated.
        """
        given = _understood(url)
        if given is None:
            raise errors.StoreUnavailable(
                "STORE__URL is not an address that PostgreSQL's client understands; in a user name"
                " or a password, write any sign of @:/?#[]% in its percent-encoded form."
            )
        usual = {
            "application_name": "certctl-connectors",
            "connect_timeout": max(2, ceil(patience)),
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": ceil(patience * 1000),
        }
        return cls(parameters={**usual, **given}, patience=patience)

    def connect(self) -> Connection:
        """A connection that gives up what takes longer than the patience.

        PostgreSQL itself gives it up, and says so; where it says nothing, we do a moment later.
        """
        connection = Connection.connect(**self.parameters, autocommit=True)
        connection.limit_s = self.patience + _ANSWERS_S
        connection.adapters.register_loader("json", TextLoader)
        limit = f"{ceil(self.patience * 1000)}ms"
        for name in LIMITS:
            connection.execute("SELECT set_config(%s, %s, false)", (name, limit))
        return connection

    async def connect_async(self) -> AsyncConnection:
        """A connection to listen on; whoever waits for more limits it, and is let go at once."""
        return await AsyncConnection.connect(**self.parameters, autocommit=True)


def _understood(url: str) -> dict[str, Any] | None:
    """What the client reads in *url*; `None` where it may take a part of a password for another."""
    try:
        given = conninfo.conninfo_to_dict(url)
    except psycopg.Error:  # its text holds the part that it cannot read
        return None
    host, port, database = (str(given.get(name, "")) for name in ("host", "port", "dbname"))
    if "@" in host + database or not set(port) <= set("0123456789,"):
        return None
    return given
