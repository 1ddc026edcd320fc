"""Two replicas on one PostgreSQL: order and exclusion across them, and what one leaves behind."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
import structlog

from app import errors
from app.audit import SYSTEM
from app.deployment import trail
from app.deployment.model import Deployment, State
from app.sealing import Sealer, SealingKeys, Wrapped
from app.store import IdempotencyKey
from app.worker import Beats, ClusterWorker
from tests.certificates import NOW, Authority
from tests.conftest import Clock
from tests.postgres import Postgres
from tests.worker.conftest import Start, starting
from tests.worker.place import PORTAL, Place, on_postgres

QUICK = Beats(heartbeat_s=0.05, takeover_s=0.5)


class Away:
    """A sealing key that wraps, and cannot be used to unwrap until it is told."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.back = False
        self._keys = SealingKeys([b"k" * 32])

    async def wrap(self, data_key: bytes) -> Wrapped:
        return await self._keys.wrap(data_key)

    async def unwrap(self, wrapped: Wrapped) -> bytes:
        if not self.back:
            self.asked.set()
            raise errors.SealingUnavailable
        return await self._keys.unwrap(wrapped)


@pytest.fixture(name="place")
async def _place(postgres_url: str, ca: Authority, now: Clock) -> AsyncIterator[Place]:
    async with on_postgres(postgres_url, ca, now) as place:
        yield place


@pytest.fixture(name="other")
async def _other(
    place: Place, postgres_url: str, ca: Authority, now: Clock
) -> AsyncIterator[Place]:
    """Another replica, before the same gate."""
    async with on_postgres(postgres_url, ca, now, beside=place) as other:
        yield other


@pytest.fixture(name="start_other")
async def _start_other(other: Place) -> AsyncIterator[Start]:
    async with starting(other) as start:
        yield start


def taking_only(place: Place, **bounds: int) -> ClusterWorker:
    """A replica that takes requests and carries nothing."""
    assert place.jobs is not None
    runner = place.runner(**bounds)
    return ClusterWorker(runner, place.sealer, place.jobs, beats=place.beats, carries=False)


class Logged:
    """The lines of the log from now on that say this."""

    def __init__(self, name: str) -> None:
        self.lines: list[structlog.typing.EventDict] = []
        self._name = name
        self._said = asyncio.Event()
        structlog.configure(processors=[self._told, *structlog.get_config()["processors"]])

    async def wait(self) -> None:
        """Wait for the first one."""
        await self._said.wait()

    def _told(
        self, _: object, __: str, line: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        if line["event"] == self._name:
            self.lines.append({**line})
            self._said.set()
        return line


async def asked(url: str, question: str) -> list[Any]:
    """What PostgreSQL answers."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        return await (await connection.execute(question.encode())).fetchall()


async def told(url: str, statement: str) -> None:
    """Done, and committed."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute(statement.encode())


async def queued(url: str) -> set[str]:
    return {row[0] for row in await asked(url, "SELECT queueing_lock FROM procrastinate_jobs")}


async def left_in(place: Place, state: State) -> Deployment:
    """A deployment that is in *state* and in nobody's hands."""
    made, _ = place.deployment()
    await place.store.accept(made, trail.event(made, id=place.new_id("evt"), at=NOW))
    after = replace(made, state=state, version_id="v1", started_at=NOW)
    if state is not State.QUEUED:
        await place.store.save(after, trail.event(after, id=place.new_id("evt"), at=NOW))
    return after


async def test_the_order_of_a_target_is_kept_across_replicas(
    place: Place, other: Place, start: Start, start_other: Start
) -> None:
    workers = [(place, await start()), (other, await start_other())]
    accepted = [
        (await at.submit(worker, name))[0]
        for _ in range(3)
        for at, worker in workers
        for name in ("a", "b")
    ]
    place.gate.open.set()

    for one in accepted:
        assert (await place.end(one)).state is State.SUCCEEDED

    for name in ("a", "b"):
        came = [id_ for address, id_ in place.gate.visits if address == name]
        assert came == [one.id for one in accepted if one.target.address == name]
    assert place.gate.most_inside == 1


async def test_a_replica_that_only_takes_requests_leaves_them_to_the_others(
    place: Place, other: Place, start_other: Start
) -> None:
    taking = taking_only(place)
    await taking.start()
    place.gate.open.set()
    accepted, _ = await place.submit(taking)
    assert place.gate.visits == []

    await start_other()

    assert (await place.end(accepted)).state is State.SUCCEEDED
    await taking.drain(within=0)


async def test_what_a_replica_could_not_finish_goes_on_at_another_with_its_key(
    place: Place, other: Place, start: Start, start_other: Start
) -> None:
    worker = await start()
    running, _ = await place.submit(worker)
    await place.gate.let(1)

    await worker.drain(within=0)
    assert (await place.store.get(running.id)).state is State.SNAPSHOTTING
    place.gate.open.set()
    await start_other()

    assert (await place.end(running)).state is State.SUCCEEDED


async def test_a_replica_that_falls_silent_is_taken_over_and_writes_nothing_more(
    place: Place, other: Place, start_other: Start
) -> None:
    place.beats, other.beats = Beats(heartbeat_s=600, takeover_s=1200), QUICK
    silent = place.worker()
    await silent.start()
    running, _ = await place.submit(silent)
    await place.gate.let(1)

    successor = await start_other()
    await place.gate.let(2)
    place.gate.open.set()

    assert (await place.end(running)).state is State.SUCCEEDED
    await silent.drain(within=20)
    await successor.drain(within=20)  # the end is seen before it is told
    actions = [event.action.value.removeprefix("deployment.") for event in other.told]
    assert actions == ["snapshot_taken", "imported", "verified"]
    steps = [step.state for step in await place.store.steps(running.id)]
    assert len(steps) == len(set(steps)) == 5


async def test_what_a_dead_replica_was_sending_is_known_to_have_been_on_its_way_since_then(
    place: Place, other: Place, start: Start, postgres_url: str
) -> None:
    sending = await left_in(place, State.IMPORTING)
    assert place.jobs is not None
    assert other.jobs is not None
    sealed = await place.sealer.seal(place.deployment()[1], sending)
    await place.jobs.defer(sending.id, "Gate a", sealed)
    assert await other.jobs.fetch() is not None
    with psycopg.connect(postgres_url) as connection:
        connection.execute(
            "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '40 seconds'"
        )
    place.beats = QUICK

    await start()

    assert (await place.end(sending)).state is State.SUCCEEDED
    (left,) = place.gate.left
    assert left is not None
    assert asyncio.get_running_loop().time() - left == pytest.approx(40, abs=10)


async def test_a_queued_deployment_is_cancelled_from_any_replica_and_its_row_goes(
    place: Place, other: Place, start: Start, postgres_url: str
) -> None:
    worker = await start(concurrency=1)
    running, _ = await place.submit(worker)
    await place.gate.let(1)
    waiting, _ = await place.submit(worker)
    elsewhere = taking_only(other)

    ended = await elsewhere.cancel(waiting.id, SYSTEM)

    assert ended.state is State.CANCELLED
    assert await queued(postgres_url) == {running.id}
    for id_ in (running.id, waiting.id):
        with pytest.raises(errors.NotCancellable):
            await elsewhere.cancel(id_, SYSTEM)


async def test_nothing_is_left_in_the_queue_when_all_is_final(
    place: Place, start: Start, postgres_url: str
) -> None:
    worker = await start()
    place.gate.open.set()
    accepted = [(await place.submit(worker, name))[0] for name in ("a", "b", "a")]

    for one in accepted:
        await place.end(one)

    assert await queued(postgres_url) == set()


async def test_what_cannot_be_queued_is_not_recorded(place: Place, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("ALTER TABLE procrastinate_jobs RENAME TO gone")

    with pytest.raises(errors.StoreUnavailable):
        await place.submit(taking_only(place))

    assert await place.store.unfinished() == []


async def test_a_full_queue_refuses_and_records_nothing(place: Place, start: Start) -> None:
    worker = await start(concurrency=1, queue_limit=1)
    accepted = 0

    async def until_full() -> None:
        nonlocal accepted
        while True:
            await place.submit(worker)
            accepted += 1

    with pytest.raises(errors.QueueFull):
        await until_full()

    assert len(await place.store.unfinished()) == accepted


async def test_a_queue_never_grows_past_its_limit_however_many_come_at_once(
    place: Place, other: Place
) -> None:
    worker = taking_only(place, queue_limit=20)
    first = [place.submit(worker, str(number)) for number in range(50)]
    outcomes = await asyncio.gather(*first, return_exceptions=True)

    refused = [one for one in outcomes if isinstance(one, BaseException)]
    assert {type(one) for one in refused} == {errors.QueueFull}
    assert len(refused) == 30
    assert len(await place.store.unfinished()) == 20
    with pytest.raises(errors.QueueFull):
        await other.submit(taking_only(other, queue_limit=20))


async def test_what_is_not_queued_after_all_takes_no_place(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing(Away):
        async def wrap(self, data_key: bytes) -> Wrapped:
            if self.back:
                return await super().wrap(data_key)
            raise errors.SealingUnavailable

    async def unrecorded(*_: object, **__: object) -> Deployment:
        raise errors.StoreUnavailable

    away = Refusing()
    place.sealer = Sealer(away)
    worker = taking_only(place, queue_limit=2)
    for _ in range(3):
        with pytest.raises(errors.SealingUnavailable):
            await place.submit(worker)
    away.back = True
    with monkeypatch.context() as patched:
        patched.setattr(place.store, "accept", unrecorded)
        for _ in range(3):
            with pytest.raises(errors.StoreUnavailable):
                await place.submit(worker)
    key = IdempotencyKey(caller=PORTAL.name, key="k", fingerprint="f")
    for _ in range(3):
        made, held = place.deployment()
        await worker.submit(made, held, trail.event(made, id=place.new_id("evt"), at=NOW), key)

    await place.submit(worker)


async def test_a_repeat_under_its_key_is_queued_once(place: Place, postgres_url: str) -> None:
    taking = taking_only(place)
    key = IdempotencyKey(caller=PORTAL.name, key="k", fingerprint="f")
    first, second = place.deployment(), place.deployment()

    for made, held in (first, second):
        event = trail.event(made, id=place.new_id("evt"), at=NOW)
        assert (await taking.submit(made, held, event, key)).id == first[0].id

    assert await queued(postgres_url) == {first[0].id}


async def test_what_was_recorded_and_never_queued_ends_interrupted(
    place: Place, start: Start, now: Clock
) -> None:
    place.beats = QUICK
    lost = await left_in(place, State.QUEUED)
    now.move(seconds=60)

    await start()

    ended = await place.end(lost)
    assert ended.state is State.INTERRUPTED
    assert ended.error is not None
    assert ended.error.code == "key-gone"


async def test_what_is_in_no_queue_and_may_have_changed_something_goes_on_by_looking(
    place: Place, start: Start, now: Clock
) -> None:
    place.beats = QUICK
    lost = await left_in(place, State.VERIFYING)
    now.move(seconds=60)

    await start()

    assert (await place.end(lost)).state is State.SUCCEEDED


async def test_a_sealing_key_that_is_gone_is_told_by_its_code(
    place: Place, other: Place, start_other: Start
) -> None:
    accepted, _ = await place.submit(taking_only(place))
    other.sealer = Sealer(SealingKeys([b"n" * 32]))
    said = Logged("worker.not_opened")

    await start_other()

    ended = await place.end(accepted)
    assert ended.state is State.INTERRUPTED
    assert ended.error is not None
    assert ended.error.code == "sealing-key-gone"
    (line,) = said.lines
    assert line["reason"] == "SealingKeyGone"
    assert "exc_info" not in line, "after a leak it is said of all that waits"
    assert place.gate.visits == []


async def test_a_sealing_key_that_cannot_be_used_now_is_waited_for(
    place: Place, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.worker.outages._AGAIN_S", (0.01,))
    away = Away()
    place.sealer = Sealer(away)
    place.gate.open.set()
    accepted, _ = await place.submit(await start())
    await away.asked.wait()
    assert (await place.store.get(accepted.id)).state is State.QUEUED

    away.back = True

    assert (await place.end(accepted)).state is State.SUCCEEDED


async def test_what_waits_for_its_sealing_key_can_be_cancelled_and_holds_up_nobody(
    place: Place, other: Place, start: Start, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.worker.outages._AGAIN_S", (0.01,))
    away = Away()
    place.sealer = Sealer(away)
    place.gate.open.set()
    worker = await start()
    claimed, _ = await place.submit(worker)
    await away.asked.wait()

    ended = await taking_only(other).cancel(claimed.id, SYSTEM)

    assert ended.state is State.CANCELLED
    assert await queued(postgres_url) == set()
    following, _ = await place.submit(worker)
    away.back = True
    assert (await place.end(following)).state is State.SUCCEEDED
    assert place.gate.visits == [("a", following.id)]
    assert (await place.store.get(claimed.id)).state is State.CANCELLED


async def test_nothing_is_accepted_while_its_key_cannot_be_sealed(place: Place) -> None:
    class Refusing(Away):
        async def wrap(self, data_key: bytes) -> Wrapped:
            raise errors.SealingUnavailable

    place.sealer = Sealer(Refusing())

    with pytest.raises(errors.SealingUnavailable):
        await place.submit(taking_only(place))

    assert await place.store.unfinished() == []


async def test_a_key_is_let_go_as_soon_as_it_is_sealed(place: Place) -> None:
    made, held = place.deployment()

    await place.send(taking_only(place), made, held)

    assert held.bundle is None


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
                    await asked(postgres_url, "SELECT last_heartbeat FROM procrastinate_workers")
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


async def test_a_replica_that_starts_takes_no_more_than_its_part_of_the_limits(
    start: Start, other: Place, start_other: Start
) -> None:
    await start()
    await start_other()

    assert other.jobs is not None
    assert other.jobs.share() == 0.5


async def test_replicas_leave_a_newcomer_its_part_before_their_next_sign_of_life(
    place: Place, start: Start, start_other: Start, postgres_url: str
) -> None:
    place.beats = Beats(heartbeat_s=600, takeover_s=1200)
    assert place.jobs is not None
    await start()
    assert place.jobs.share() == 1

    await start_other()

    async with asyncio.timeout(4):  # of the ten seconds in which Key Vault counts
        while place.jobs.share() != 0.5:
            await asked(postgres_url, "SELECT 1")


async def test_a_replica_that_only_takes_requests_leaves_the_limits_to_those_that_work(
    place: Place, other: Place, start: Start
) -> None:
    taking = taking_only(other)
    await taking.start()

    await start()

    assert place.jobs is not None
    assert place.jobs.share() == 1
    await taking.drain(within=0)


async def test_a_draining_replica_refuses_new_work(place: Place, start: Start) -> None:
    worker = await start()
    await worker.drain(within=0)

    assert worker.draining
    with pytest.raises(errors.Draining):
        await place.submit(worker)
    assert not worker.alive


async def test_a_job_without_a_deployment_harms_no_other(place: Place, start: Start) -> None:
    assert place.jobs is not None
    await place.jobs.defer("dep-unknown", "Gate a", "")
    place.gate.open.set()
    accepted, _ = await place.submit(await start())

    assert (await place.end(accepted)).state is State.SUCCEEDED
