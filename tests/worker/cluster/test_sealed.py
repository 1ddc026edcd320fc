"""Keys on their way through the queue, and sealing keys that are gone or away."""

import pytest

from app import errors
from app.audit import SYSTEM
from app.deployment.model import State
from app.sealing import Sealer, SealingKeys, Wrapped
from tests.worker.cluster.replicas import Away, Logged, queued, taking_only
from tests.worker.conftest import Start
from tests.worker.place import Place


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
