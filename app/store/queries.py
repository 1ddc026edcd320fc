"""Every statement that runs after the start, by name. Values are always bound, never pasted."""

INSERT_DEPLOYMENT = """
INSERT INTO deployments
  (id, target_type, address, state, final, certificate_id, created_at, config, record)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

# only by whoever carries it, never once it is final, and not twice for one event
UPDATE_DEPLOYMENT = """
UPDATE deployments SET state = ?, final = ?, record = ?
WHERE id = ? AND final = 0 AND runner IS NOT DISTINCT FROM ?
  AND NOT EXISTS (SELECT 1 FROM audit_events WHERE id = ? AND resource_id = ? AND action = ?)
"""

# by anybody, but only in one state
UPDATE_IN_STATE = """
UPDATE deployments SET state = ?, final = ?, record = ?
WHERE id = ? AND final = 0 AND state = ?
  AND NOT EXISTS (SELECT 1 FROM audit_events WHERE id = ? AND resource_id = ? AND action = ?)
"""

SAVED = """
SELECT EXISTS (SELECT 1 FROM audit_events WHERE id = ? AND resource_id = ? AND action = ?)
FROM deployments WHERE id = ?
"""

CLAIM = "UPDATE deployments SET runner = ? WHERE id = ? RETURNING record"

INSERT_STEP = """
INSERT INTO deployment_events (deployment_id, seq, at, state, action, details)
VALUES (
  ?, (SELECT COALESCE(MAX(seq), 0) + 1 FROM deployment_events WHERE deployment_id = ?), ?, ?, ?, ?
)
"""

INSERT_EVENT = """
INSERT INTO audit_events
  (id, timestamp, actor, actor_type, action, resource_type, resource_id, event_category,
   details, request_id, trace_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

FIND_KEY = """
SELECT k.fingerprint, d.record
FROM idempotency_keys k JOIN deployments d ON d.id = k.deployment_id
WHERE k.caller = ? AND k.key = ? AND k.created_at > ?
"""

PUT_KEY = """
INSERT INTO idempotency_keys (caller, key, fingerprint, deployment_id, created_at)
VALUES (?, ?, ?, ?, ?)
ON CONFLICT (caller, key) DO UPDATE SET
  fingerprint = excluded.fingerprint,
  deployment_id = excluded.deployment_id,
  created_at = excluded.created_at
"""

# in bounded steps, so that no write waits long behind one; ids sort by time
PRUNE_DEPLOYMENTS = """
DELETE FROM deployments
WHERE id IN (SELECT id FROM deployments WHERE id < ? AND final = 1 ORDER BY id LIMIT ?)
"""

PRUNE_EVENTS = """
DELETE FROM audit_events
WHERE id IN (SELECT id FROM audit_events WHERE id < ? ORDER BY id LIMIT ?)
"""

PRUNE_KEYS = """
DELETE FROM idempotency_keys
WHERE (caller, key) IN (
  SELECT caller, key FROM idempotency_keys WHERE created_at <= ? LIMIT ?
)
"""

PUT_CHECK = "INSERT INTO meta (name, value) VALUES (?, ?)"
DROP_CHECK = "DELETE FROM meta WHERE name = ?"
PING = "SELECT value FROM meta WHERE name = 'schema_version'"

GET_DEPLOYMENT = "SELECT record FROM deployments WHERE id = ?"

UNFINISHED = "SELECT record FROM deployments WHERE final = 0 ORDER BY created_at, id"

UNFINISHED_BEFORE = "SELECT record FROM deployments WHERE final = 0 AND created_at < ?"

# one statement, so that `final` and the steps are of one moment
STEPS = """
SELECT d.final, e.seq, e.at, e.state, e.action, e.details
FROM deployments d LEFT JOIN deployment_events e ON e.deployment_id = d.id AND e.seq > ?
WHERE d.id = ?
ORDER BY e.seq
"""

DEPLOYMENTS = "SELECT id, record FROM deployments"

EVENTS = """
SELECT id, timestamp, actor, actor_type, action, resource_type, resource_id, details,
       request_id, trace_id
FROM audit_events
"""

BEFORE_CURSOR = "id < ?"

# the field of a filter → its condition
DEPLOYMENT_CONDITIONS = {
    "target_type": "target_type = ?",
    "state": "state = ?",
    "certificate_id": "certificate_id = ?",
    "vault_url": "config ->> 'vault_url' = ?",
    "certificate_name": "config ->> 'certificate_name' = ?",
    "created_after": "created_at > ?",
    "created_before": "created_at < ?",
}

EVENT_CONDITIONS = {
    "action": "action = ?",
    "actor": "actor = ?",
    "resource_type": "resource_type = ?",
    "resource_id": "resource_id = ?",
    "target_type": "details ->> 'target_type' = ?",
    "state": "details ->> 'state' = ?",
    "certificate_id": "details ->> 'certificate_id' = ?",
    "vault_url": "details ->> 'vault_url' = ?",
    "certificate_name": "details ->> 'certificate_name' = ?",
    "created_after": "timestamp > ?",
    "created_before": "timestamp < ?",
}


def newest_first(select: str, conditions: list[str]) -> str:
    """*select* narrowed by *conditions* (each from the tables above), newest first, limited."""
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"{select}{where} ORDER BY id DESC LIMIT ?"


def unfinished_without(row: str) -> str:
    """What has not ended and was created before a time, and has no *row* in another's table."""
    return f"{UNFINISHED_BEFORE} AND NOT {row} ORDER BY created_at, id"
