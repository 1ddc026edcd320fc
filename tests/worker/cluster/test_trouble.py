"""Replicas in trouble: PostgreSQL away, a slow queue, a fault of ours, the end."""

import asyncio
from typing import Any

import psycopg
import pytest

from app import errors
from app.deployment.model import State
from app.worker import Beats
from tests.postgres import Postgres
from tests.worker.cluster.replicas import (
    QUICK,
    Logged,
)
from tests.worker.conftest import Start
from tests.worker.database import told
from tests.worker.place import Place


async def test_all_goes_on_by_itself_when_postgresql_was_away(
    place: Place, start: Start, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.worker.outages._AGAIN_S", (0.1,))
    place.beats = Beats(heartbeat_s=0.05, takeover_s=60)
    away, back = Logged("worker.queue_away"), Logged("worker.queue_back")
    waits, goes_on = Logged("worker.waits"), Logged("worker.goes_on")
    worker = await start()
    running, beside = [(await place.submit(worker, name))[0] for name in ("a", "c")]
    await place.gate.let(2)
    waiting, _ = await place.submit(worker)

    with postgres.away():
        place.gate.open.set()
        with pytest.raises(errors.StoreUnavailable):
            await place.submit(worker, "b")
        await away.wait()
        assert not worker.alive

    for one in (running, beside, waiting):
        assert (await place.end(one)).state is State.SUCCEEDED
    await back.wait()
    assert [len(one.lines) for one in (away, back, goes_on)] == [1, 1, 1]
    (line,) = waits.lines
    assert "exc_info" not in line
    assert "OperationalError" in line["reason"]
    assert worker.alive


async def test_signs_of_life_are_in_time_though_the_queue_is_slow(
    place: Place, start: Start, postgres_url: str
) -> None:
    place.beats = QUICK
    await start()
    signs: set[Any] = set()

    async with await psycopg.AsyncConnection.connect(postgres_url) as slow:
        await slow.execute("LOCK TABLE procrastinate_jobs")
        async with asyncio.timeout(4):  # less than it takes to give a question up
            while len(signs) < 5:
                signs.update(
                    await told(postgres_url, "SELECT last_heartbeat FROM procrastinate_workers")
                )


async def test_a_replica_that_broke_says_so_at_once_and_is_not_ready(
    place: Place, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(**_: object) -> None:
        raise RuntimeError("a bug")

    place.beats = QUICK
    said = Logged("worker.broken")
    worker = await start()
    assert place.jobs is not None
    monkeypatch.setattr(place.jobs, "beat", broken)
    await said.wait()

    (line,) = said.lines
    assert line["task"] == "beats"
    assert "restart" in line["consequence"]
    assert "a bug" in str(line["exc_info"])
    assert not worker.alive


async def test_a_queue_that_hands_nothing_out_is_said_once_and_the_replica_is_not_ready(
    place: Place, start: Start, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.worker.carrying.POLL_S", 0.02)
    place.beats = QUICK
    place.gate.open.set()
    vain, again = Logged("worker.fetches_in_vain"), Logged("worker.fetches_again")
    function = "FUNCTION procrastinate_fetch_job_v2(character varying[], bigint)"
    worker = await start()
    ready = [worker.alive]

    await told(postgres_url, f"ALTER {function} RENAME TO away")
    await vain.wait()

    ready.append(worker.alive)
    assert vain.lines[0]["reason"] == "UndefinedFunction"
    accepted, _ = await place.submit(worker)
    await told(
        postgres_url,
        f"ALTER {function.replace('procrastinate_fetch_job_v2', 'away')} "
        "RENAME TO procrastinate_fetch_job_v2",
    )
    assert (await place.end(accepted)).state is State.SUCCEEDED
    await again.wait()
    assert [*ready, worker.alive] == [True, False, True]
    assert len(vain.lines) == len(again.lines) == 1


async def test_a_draining_replica_refuses_new_work(place: Place, start: Start) -> None:
    worker = await start()
    await worker.drain(within=0)

    assert worker.draining
    with pytest.raises(errors.Draining):
        await place.submit(worker)
    assert not worker.alive
