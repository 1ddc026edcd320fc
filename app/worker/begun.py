"""What goes on in the background for as long as the process lives, and says so where it ends.

Nobody waits for such a task before the end, so what broke it would stay unsaid until then.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog


def begun(work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
    """A task that goes on until it is cancelled; a fault that ends it is logged at once."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_say_why)
    return task


def _say_why(task: asyncio.Task[None]) -> None:
    fault = None if task.cancelled() else task.exception()
    if fault is not None:
        structlog.get_logger().error(
            "worker.broken",
            task=task.get_name(),
            consequence="This replica is not ready any more: restart it.",
            exc_info=fault,
        )
