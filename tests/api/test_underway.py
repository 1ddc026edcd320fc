"""What the requests under way are given when the service stops."""

import asyncio

from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from app.api.middleware import Envelope
from app.api.underway import Limit, UnderWay
from tests.api.conftest import Bench
from tests.api.test_envelope import Exchange

LONG = 60.0


def now() -> float:
    return asyncio.get_running_loop().time()


class Request:
    """A request that is under way until it is let go."""

    def __init__(self, under_way: UnderWay) -> None:
        self._under_way = under_way
        self._let = asyncio.Event()
        self.answered = False

    async def begin(self) -> "asyncio.Task[None]":
        task = asyncio.create_task(self._serve())
        await asyncio.sleep(0)
        return task

    def let(self) -> None:
        self._let.set()

    async def _serve(self) -> None:
        with self._under_way.one() as limit:
            async with limit:
                await self._let.wait()
                self.answered = True


async def test_what_is_under_way_is_waited_for_and_what_comes_later_is_not() -> None:
    under_way = UnderWay()
    first, later = Request(under_way), Request(under_way)
    answering = await first.begin()
    finishing = asyncio.create_task(under_way.finish(until=now() + LONG))
    await asyncio.sleep(0)
    coming = await later.begin()

    first.let()
    await finishing

    assert (answering.done(), first.answered, later.answered) == (True, True, False)
    later.let()
    await coming


async def test_nobody_is_waited_for_where_nothing_is_under_way() -> None:
    await UnderWay().finish(until=now() + LONG)


async def test_an_answer_that_has_begun_breaks_off_when_the_time_is_over(bench: Bench) -> None:
    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        bench.rooms.under_way.end(within=0)
        await asyncio.Event().wait()

    exchange = Exchange(b"")
    app = Envelope(Limit(endless, under_way=bench.rooms.under_way), rooms=bench.rooms)
    with capture_logs() as logs:
        await exchange.put(app)

    assert [message["type"] for message in exchange.sent] == ["http.response.start"]
    assert [(line["event"], line["status"]) for line in logs] == [("http.request", 200)]


async def test_what_is_late_by_itself_is_a_fault_as_ever(bench: Bench) -> None:
    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        raise TimeoutError

    exchange = Exchange(b"")
    with capture_logs():
        await exchange.put(
            Envelope(Limit(late, under_way=bench.rooms.under_way), rooms=bench.rooms)
        )

    assert exchange.sent[0]["status"] == 500
