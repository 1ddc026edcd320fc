"""What is finished though nobody waits for it any more."""

import asyncio
import gc
from typing import Any

import pytest

from app import errors
from app.worker.begun import finished


async def test_what_was_begun_is_finished_though_whoever_waited_has_left() -> None:
    go, done = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await go.wait()
        done.set()

    waiting = asyncio.create_task(finished(work()))
    await asyncio.sleep(0)
    waiting.cancel()
    go.set()

    await done.wait()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_its_refusal_is_told_to_whoever_waits() -> None:
    async def work() -> None:
        raise errors.StoreUnavailable

    with pytest.raises(errors.StoreUnavailable):
        await finished(work())


async def test_its_refusal_is_no_fault_where_nobody_waits() -> None:
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
    go, done = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await go.wait()
        done.set()
        raise errors.StoreUnavailable

    waiting = asyncio.create_task(finished(work()))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    go.set()
    await done.wait()
    for _ in range(3):  # the task of the work ends, and is let go
        await asyncio.sleep(0)
    gc.collect()

    assert faults == []
