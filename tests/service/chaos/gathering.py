"""Gathers the evidence: the record as its readers see it, over HTTP, the vaults, and the queue."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg

from app import pki
from app.deployment.model import State
from app.deployment.trail import TOLD
from app.emulator import Emulator, StoredVersion
from tests.service.chaos.judge import Evidence, Lie, Made, Told
from tests.service.chaos.load import Caller
from tests.service.chaos.storm import target_of

_REACHED: Final = {action.value: state for state, action in TOLD.items()}


def gathered(
    caller: Caller,
    emulator: Emulator,
    database: str,
    *,
    accepted: frozenset[str],
    lies: Sequence[Lie],
    within: float,
) -> Evidence:
    """All that there is, once all is final, or *within* seconds if it never is."""
    _settle(caller, database, within)
    audited = _audited(caller)
    told = [_told(caller, one, audited) for one in _all(caller, "/api/v1/deployments")]
    made = {target: _made(emulator, target) for target in {one.target for one in told}}
    return Evidence(
        accepted=accepted,
        told={one.id: one for one in told},
        made=made,
        lies=lies,
        jobs=_jobs(database),
    )


def _settle(caller: Caller, database: str, within: float) -> None:
    until = time.monotonic() + within
    for one in _all(caller, "/api/v1/deployments"):
        newest = one
        while not newest["final"] and time.monotonic() < until:
            path = f"/api/v1/deployments/{one['id']}"
            newest = caller.ask("GET", path, headers={"Prefer": "wait=10"}).json()
    pause = threading.Event()
    while _jobs(database) and time.monotonic() < until:
        pause.wait(0.1)


def _all(caller: Caller, path: str) -> Iterator[dict[str, Any]]:
    cursor: dict[str, str] = {}
    while True:
        page = caller.ask("GET", path, params={"page_size": "500", **cursor}).json()
        yield from page["data"]
        if page["next_cursor"] is None:
            return
        cursor = {"cursor": page["next_cursor"]}


def _audited(caller: Caller) -> dict[str, list[State]]:
    found: defaultdict[str, list[State]] = defaultdict(list)
    for event in _all(caller, "/api/v1/audit/events"):
        if (state := _REACHED.get(event["action"])) is not None:
            found[event["resource_id"]].append(state)
    return found


def _told(caller: Caller, one: dict[str, Any], audited: dict[str, list[State]]) -> Told:
    steps = caller.ask("GET", f"/api/v1/deployments/{one['id']}/events").json()["data"]
    config, before, rollback = one["target_config"], one["snapshot"], one["rollback"]
    names = one["result"]["deployment_id"] if one["result"] else None
    vault = (urlsplit(config["vault_url"]).hostname or "").partition(".")[0]
    return Told(
        id=one["id"],
        target=target_of(vault, config["certificate_name"]),
        thumbprint=one["certificate"]["thumbprint"],
        state=State(one["state"]),
        created_at=datetime.fromisoformat(one["created_at"]),
        started_at=_time(one["started_at"]),
        finished_at=_time(one["finished_at"]),
        steps=[(step["seq"], State(step["state"])) for step in steps],
        audited=audited.get(one["id"], []),
        error=one["error"] and one["error"]["code"],
        before=before and before["thumbprint"],
        names=names or (rollback and rollback["version_id"]),
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _made(emulator: Emulator, target: str) -> list[Made]:
    vault, name = target.split("/")
    return [_version(one) for one in emulator.vault(vault).versions(name)]


def _version(one: StoredVersion) -> Made:
    return Made(
        id=one.version,
        thumbprint=pki.thumbprint(one.certificate),
        maker=one.tags.get("certctl-deployment-id"),
        puts_back="certctl-rollback-of" in one.tags,
    )


def _jobs(database: str) -> int:
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT count(*) FROM procrastinate_jobs").fetchone()
    assert row is not None
    return int(row[0])
