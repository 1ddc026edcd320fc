"""A record that this version cannot read, as during an upgrade, and the others beside it."""

from dataclasses import replace

import pytest
import structlog

from app.deployment.model import State
from app.worker import ClusterWorker
from tests.certificates import Authority
from tests.conftest import Clock
from tests.worker.database import told
from tests.worker.place import AnyWorker, Place, on_postgres

READABLE = "UPDATE deployments SET record = (record::jsonb - 'request_id')::json WHERE id = %s"


async def test_it_is_left_to_whoever_can_read_it_and_takes_no_others_turn(
    postgres_url: str, ca: Authority, now: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.worker.carrying._UNHEARD_S", 0.2)
    async with on_postgres(postgres_url, ca, now) as place:
        place.gate.open.set()
        worker = place.worker(concurrency=1)
        unreadable = await _unreadable(place, worker)
        readable, _ = await place.submit(worker, "b")
        with structlog.testing.capture_logs() as lines:
            await worker.start()

            assert (await place.end(readable)).state is State.SUCCEEDED
        assert [line["deployment_id"] for line in lines if line["event"] == "worker.left"]
        assert isinstance(worker, ClusterWorker)
        assert worker.alive

        await told(postgres_url, READABLE, (unreadable,))
        while not (await place.store.settled(unreadable, within=1)).final:
            pass
        assert (await place.store.get(unreadable)).state is State.SUCCEEDED
        await worker.drain(within=20)


async def _unreadable(place: Place, worker: AnyWorker) -> str:
    made, held = place.deployment("a")
    await place.send(worker, replace(made, request_id=7), held)  # type: ignore[arg-type] # as a newer version may
    return made.id
