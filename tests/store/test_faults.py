"""What is acknowledged is kept, and what goes wrong harms nothing else, whatever keeps it."""

import asyncio
import signal
import sqlite3

import psycopg
import pytest
import structlog

from app import errors
from app.deployment.model import State, moved
from app.store import EventFilter, Store
from tests.store.builders import accepted, at, deployment, event
from tests.store.running import run

KILLED = """
import asyncio, os, signal, sys
from app.store import Store
from tests.store.builders import accepted, advanced, at, WAY

async def lane(store, numbers):
    for number in numbers:
        made = await advanced(store, await accepted(store, number), *WAY[:2])
        print(made.id, flush=True)
        if number == 150:
            os.kill(os.getpid(), signal.SIGKILL)

async def main():
    store = await Store.open(sys.argv[1], now=lambda: at(0))
    numbers = iter(range(1000))
    await asyncio.gather(*(lane(store, numbers) for _ in range(8)))

asyncio.run(main())
"""


async def test_a_killed_process_loses_nothing_it_has_acknowledged(url: str) -> None:
    killed = run(KILLED, url)
    acknowledged = killed.stdout.split()

    store = await Store.open(url, now=lambda: at(0))

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(acknowledged) > 100
    for name in acknowledged:
        assert (await store.get(name)).state is State.IMPORTING
        assert len(await store.steps(name)) == 3
    await store.aclose()


async def test_an_accept_that_fails_leaves_nothing_and_harms_no_neighbour(store: Store) -> None:
    made = [deployment(number) for number in range(5)]
    events = [event(each) for each in made]
    events[2] = event(made[2], id=events[0].id)

    answers = await asyncio.gather(
        *(store.accept(each, told) for each, told in zip(made, events, strict=True)),
        return_exceptions=True,
    )

    failure = answers.pop(2)
    assert isinstance(failure, errors.StoreUnavailable)
    assert isinstance(failure.__cause__, sqlite3.IntegrityError | psycopg.IntegrityError)
    assert answers == [each for each in made if each is not made[2]] == await store.unfinished()
    with pytest.raises(errors.DeploymentNotFound):
        await store.steps(made[2].id)
    trail = await store.events(EventFilter(), page_size=9, cursor=None)
    assert len(trail.data) == 4


async def test_a_save_whose_event_fails_changes_nothing(store: Store) -> None:
    made = await accepted(store, 1)
    told = event(made)
    await store.note(told)

    ended = moved(made, State.CANCELLED)
    with pytest.raises(errors.StoreUnavailable):
        await store.save(ended, event(ended, id=told.id))

    assert await store.get(made.id) == made
    assert len(await store.steps(made.id)) == 1


async def test_a_text_that_no_database_can_hold_is_its_callers_fault_alone(store: Store) -> None:
    made = [deployment(number) for number in range(3)]
    events = [event(each) for each in made]
    events[1] = event(made[1], request_id="\ud800")

    answers = await asyncio.gather(
        *(store.accept(each, told) for each, told in zip(made, events, strict=True)),
        return_exceptions=True,
    )

    assert [type(answer).__name__ for answer in answers] == [
        "Deployment",
        "UnicodeEncodeError",
        "Deployment",
    ]


async def test_closing_finishes_what_is_queued(url: str, store: Store) -> None:
    writing = [asyncio.create_task(accepted(store, number)) for number in range(50)]
    await asyncio.sleep(0)

    await store.aclose()

    made = await asyncio.gather(*writing)
    again = await Store.open(url, now=lambda: at(0))
    assert await again.unfinished() == made
    await again.aclose()


async def test_a_closed_store_is_unavailable_and_can_be_closed_again(store: Store) -> None:
    await store.aclose()
    await store.aclose()

    with pytest.raises(errors.StoreUnavailable):
        await accepted(store, 1)
    with pytest.raises(errors.StoreUnavailable):
        await store.unfinished()
    with pytest.raises(errors.StoreUnavailable):
        await store.check()


async def test_a_check_leaves_no_trace(either: Store) -> None:
    await either.check()
    await either.check()

    assert (await either.events(EventFilter(), page_size=9, cursor=None)).data == ()


async def test_a_record_that_cannot_be_read_is_named_in_the_log_and_holds_up_no_other(
    store: Store,
) -> None:
    newer = await accepted(store, 1, request_id=7)  # as a newer version may write it
    readable = await accepted(store, 2)

    with structlog.testing.capture_logs() as lines:
        with pytest.raises(errors.InternalError, match="cannot be read"):
            await store.claim(newer.id, "one")
        assert await store.unfinished() == [readable]

    unreadable = {"event": "store.unreadable_record", "deployment_id": newer.id}
    assert lines == [{**unreadable, "log_level": "error"}] * 2
