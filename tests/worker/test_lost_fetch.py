"""A job that PostgreSQL gave to a replica which never heard of it."""

from pathlib import Path

import pytest

from app.deployment.model import State
from app.worker import ClusterWorker
from tests.certificates import Authority
from tests.conftest import Clock
from tests.worker.place import on_postgres
from tests.worker.wire import wired

FETCH = b"procrastinate_fetch_job"


async def test_a_deployment_is_carried_though_the_answer_that_handed_it_out_was_lost(
    postgres_url: str, tmp_path: Path, ca: Authority, now: Clock
) -> None:
    async with (
        wired(postgres_url, tmp_path) as (wire, url),
        on_postgres(url, ca, now) as place,
    ):
        place.gate.open.set()
        worker = place.worker()
        assert isinstance(worker, ClusterWorker)
        accepted, _ = await place.submit(worker)
        wire.lose(FETCH)

        await worker.start()
        await wire.lost.wait()

        assert (await place.end(accepted)).state is State.SUCCEEDED
        await worker.drain(within=20)


async def test_a_deployment_is_carried_though_it_was_handed_out_when_nobody_waited_any_more(
    postgres_url: str,
    tmp_path: Path,
    ca: Authority,
    now: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.worker.carrying._UNHEARD_S", 0.2)
    async with (
        wired(postgres_url, tmp_path) as (wire, url),
        on_postgres(url, ca, now) as place,
    ):
        worker = place.worker(concurrency=1)
        wire.delay(FETCH)
        await worker.start()
        await wire.lost.wait()
        await place.submit(worker, "a")
        await place.gate.let(1)  # nothing is fetched now: there is no room for more
        accepted, _ = await place.submit(worker, "b")
        wire.healed.set()
        await wire.done.wait()

        place.gate.open.set()

        assert (await place.end(accepted)).state is State.SUCCEEDED
        await worker.drain(within=20)
