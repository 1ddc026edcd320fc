"""The tables, as an ordered list of migrations. One that was released never changes.

No column could hold a key: there is no BLOB, and the documents are written from types that hold
none. The SQL is what both SQLite and PostgreSQL read; times are text in UTC of one width, so
that they sort. Each index ends in the id, in whose order lists are read; a window of time has
none, since ids sort by time and a scan in their order does as well.
"""

import secrets
import sqlite3

from app import errors

_META = "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)"
_VERSION = "SELECT value FROM meta WHERE name = 'schema_version'"
_SET = (
    "INSERT INTO meta (name, value) VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
_SECRET = "SELECT value FROM meta WHERE name = 'fingerprint_secret'"  # noqa: S105 - SQL, not a secret

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE deployments (
            id TEXT PRIMARY KEY,
            target_type TEXT NOT NULL,
            address TEXT NOT NULL,
            state TEXT NOT NULL,
            final SMALLINT NOT NULL,
            certificate_id TEXT,
            created_at TEXT NOT NULL,
            config JSON NOT NULL,
            record JSON NOT NULL
        )""",
        "CREATE INDEX deployments_target_type ON deployments (target_type, id)",
        "CREATE INDEX deployments_state ON deployments (state, id)",
        "CREATE INDEX deployments_certificate_id ON deployments (certificate_id, id)",
        "CREATE INDEX deployments_vault_url ON deployments ((config ->> 'vault_url'), id)",
        """CREATE INDEX deployments_certificate_name
            ON deployments ((config ->> 'certificate_name'), id)""",
        "CREATE INDEX deployments_unfinished ON deployments (created_at, id) WHERE final = 0",
        """CREATE TABLE deployment_events (
            deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
            seq INTEGER NOT NULL,
            at TEXT NOT NULL,
            state TEXT NOT NULL,
            action TEXT NOT NULL,
            details JSON NOT NULL,
            PRIMARY KEY (deployment_id, seq)
        )""",
        """CREATE TABLE audit_events (
            id TEXT PRIMARY KEY,
            timestamp TEXT NOT NULL,
            actor TEXT NOT NULL,
            actor_type TEXT NOT NULL,
            action TEXT NOT NULL,
            resource_type TEXT NOT NULL,
            resource_id TEXT NOT NULL,
            event_category TEXT NOT NULL,
            details JSON NOT NULL,
            request_id TEXT,
            trace_id TEXT
        )""",
        "CREATE INDEX audit_events_actor ON audit_events (actor, id)",
        "CREATE INDEX audit_events_action ON audit_events (action, id)",
        "CREATE INDEX audit_events_resource ON audit_events (resource_id, id)",
        """CREATE TABLE idempotency_keys (
            caller TEXT NOT NULL,
            key TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
            created_at TEXT NOT NULL,
            PRIMARY KEY (caller, key)
        )""",
    ),
    (  # pruning finds keys by these, where a scan would hold up every write
        "CREATE INDEX idempotency_keys_deployment ON idempotency_keys (deployment_id)",
        "CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at)",
    ),
)


def migrate(connection: sqlite3.Connection) -> tuple[int, int]:
    """Bring the schema up to date in one transaction; say from which version to which.

    Raises:
        StoreUnavailable: the file was written by a newer release; nothing was changed.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        known = _version(connection)
        if known > len(MIGRATIONS):
            raise errors.StoreUnavailable(
                f"The store has schema version {known}, and this release knows"
                f" {len(MIGRATIONS)}. Start the newer release, or restore a backup."
            )
        for statements in MIGRATIONS[known:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(_SET, ("schema_version", str(len(MIGRATIONS))))
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return known, len(MIGRATIONS)


def fingerprint_secret(connection: sqlite3.Connection) -> bytes:
    """The secret under which request bodies are fingerprinted, made on first use."""
    fresh = secrets.token_hex(32)
    connection.execute(
        "INSERT INTO meta (name, value) VALUES ('fingerprint_secret', ?)"
        " ON CONFLICT (name) DO NOTHING",
        (fresh,),
    )
    (kept,) = connection.execute(_SECRET).fetchone()
    return bytes.fromhex(kept)


def _version(connection: sqlite3.Connection) -> int:
    connection.execute(_META)
    row = connection.execute(_VERSION).fetchone()
    return int(row[0]) if row else 0
