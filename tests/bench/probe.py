"""The service as `python -m app serve` starts it, with a look at how late its event loop is.

A task sleeps for a millisecond, again and again, and keeps when it woke and how much too late.
Written to a file at the end: a list of pairs of seconds, the first on the monotonic clock.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Final

from app import __main__ as command_line
from app import server
from app.parts import Part

TICK_S: Final = 0.001

_serve = server.serve


class _Lateness:
    def __init__(self) -> None:
        self.found: list[tuple[float, float]] = []

    async def watch(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            self.found.append((now, max(0.0, now - before - TICK_S)))


async def _watched(part: Part = Part.BOTH) -> int:
    lateness = _Lateness()
    watching = asyncio.create_task(lateness.watch())
    try:
        return await _serve(part)
    finally:
        watching.cancel()
        await asyncio.to_thread(Path(sys.argv[1]).write_text, json.dumps(lateness.found))


if __name__ == "__main__":
    server.serve = _watched
    sys.exit(command_line.run(["serve"]))
