"""The tables, as an ordered list of migrations. One that was released never changes.

No column could hold a key: there is no BLOB, and the documents are written from types that hold
none. The SQL is what both SQLite and PostgreSQL read, but for what only one of them lists; times
are text in UTC of one width, so that they sort. Each index ends in the id, in whose order lists are
read; a window of time has none, since ids sort by time and a scan in their order does as well.
"""

import secrets
from typing import Final

from app import errors
from app.store.connection import Connection

Migrations = tuple[tuple[str, ...], ...]

_META = "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)"
_VERSION = "SELECT value FROM meta WHERE name = 'schema_version'"
_SET = (
    "INSERT INTO meta (name, value) VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
_PUT = "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING"
_SECRET = "SELECT value FROM meta WHERE name = 'fingerprint_secret'"  # noqa: S105 - SQL, not a secret

_RECORD = (
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
)

# pruning finds keys by these, where a scan would hold up every write
_KEYS = (
    "CREATE INDEX idempotency_keys_deployment ON idempotency_keys (deployment_id)",
    "CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at)",
)

# which process carries it; no other may change it
_RUNNER = ("ALTER TABLE deployments ADD COLUMN runner TEXT",)

# who waits at another process is told with the commit
_TOLD = (
    """CREATE FUNCTION deployment_told() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_notify('deployments', NEW.id); RETURN NULL; END
    $$""",
    """CREATE TRIGGER deployment_told AFTER INSERT OR UPDATE OF record ON deployments
        FOR EACH ROW EXECUTE FUNCTION deployment_told()""",
)

SQLITE: Final[Migrations] = (_RECORD, _KEYS, _RUNNER)
POSTGRES: Final[Migrations] = (_RECORD, _KEYS, (*_RUNNER, *_TOLD))


def migrate(connection: Connection, migrations: Migrations) -> tuple[int, int]:
    """Bring the schema up to date within a transaction; say from which version to which.

    Raises:
        StoreUnavailable: it was written by a newer release; nothing was changed.
    """
    connection.execute(_META)
    known, newest = version(connection), len(migrations)
    if known > newest:
        raise too_new(known, newest)
    for statements in migrations[known:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(_SET, ("schema_version", str(newest)))
    return known, newest


def version(connection: Connection) -> int:
    """How many of the migrations were applied."""
    row = connection.execute(_VERSION).fetchone()
    return int(row[0]) if row else 0


def too_new(known: int, newest: int) -> errors.StoreUnavailable:
    """What is said of a schema that a newer release has made."""
    return errors.StoreUnavailable(
        f"The store has schema version {known}, and this release knows {newest}. Start the newer"
        " release, or restore a backup."
    )


def fingerprint_secret(connection: Connection) -> bytes:
    """The secret under which request bodies are fingerprinted, made on first use."""
    connection.execute(_PUT, ("fingerprint_secret", secrets.token_hex(32)))
    (kept,) = connection.execute(_SECRET).fetchone()
    return bytes.fromhex(kept)
