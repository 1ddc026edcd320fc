"""What goes on though nobody waits for it, and how its faults are told.

A task of the background says so where it ends, since nobody waits for it before the end. And what
was begun for somebody who has left is finished: its refusal is then nobody's, and no fault.
"""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

import structlog

from app import errors

T = TypeVar("T")


def begun(work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
    """A task that goes on until it is cancelled; a fault that ends it is logged at once."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_say_why)
    return task


async def finished(work: Awaitable[T]) -> T:
    """What *work* answers; once begun it is finished, whoever stops waiting for it."""
    answer = await asyncio.shield(_answer(work))
    if isinstance(answer, errors.Trouble):
        raise answer
    return answer


async def _answer(work: Awaitable[T]) -> T | errors.Trouble:
    """Its refusal is an answer too: as an exception that nobody waits for it would be logged."""
    try:
        return await work
    except errors.Trouble as refusal:
        return refusal


def _say_why(task: asyncio.Task[None]) -> None:
    fault = None if task.cancelled() else task.exception()
    if fault is not None:
        structlog.get_logger().error(
            "worker.broken",
            task=task.get_name(),
            consequence="This replica is not ready any more: restart it.",
            exc_info=fault,
        )
