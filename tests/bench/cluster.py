"""Two replicas on one PostgreSQL, each an API and a worker, as they would run for you.

Each is held to a core of its own; with two cores in all, PostgreSQL, the stub and the load share
them. PostgreSQL waits for the disk. Heartbeats and takeover are as they are by default.
"""

import asyncio
import itertools
import os
import signal
import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.sealing import new_sealing_key
from tests.bench import loops, machine
from tests.bench.caller import Caller
from tests.bench.loops import Run
from tests.bench.service import NO_SETTINGS, Service, migrate, service
from tests.postgres import Postgres

# What ends so late after a kill was taken over: the replica that is left is not so slow.
_TAKEN_OVER_S: Final = 10


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Both replicas."""

    replicas: tuple[Service, Service]

    @property
    def pids(self) -> tuple[int, ...]:
        """Of both."""
        return tuple(one.pid for one in self.replicas)

    async def closed(self, bodies: Sequence[bytes], warm: Sequence[bytes], concurrency: int) -> Run:
        """Deploy *bodies* to their ends, by one replica and the other in turn, after *warm*."""
        async with self._callers() as callers:
            deploy = _in_turn(callers)
            await loops.closed(deploy, warm, concurrency)
            cpu = self._cpu_s()
            seconds, found = await loops.closed(deploy, bodies, concurrency)
            cpu = self._cpu_s() - cpu
        return Run(seconds=seconds, latencies=tuple(found), cpu_s=cpu)

    async def takeover(self, bodies: Sequence[bytes], warm: Sequence[bytes]) -> float:
        """Kill one replica in the middle of *bodies*; seconds until the other has ended all.

        Raises:
            OSError: the killed one carried nothing, so nothing was taken over.
        """
        async with self._callers() as (first, second):
            await loops.closed(_in_turn((first, second)), warm, len(warm))
            await asyncio.gather(*map(first.hand_in, bodies))
            os.kill(self.replicas[0].pid, signal.SIGKILL)
            killed = time.monotonic()
            await asyncio.gather(*map(second.end, first.accepted))
            seconds = time.monotonic() - killed
        if seconds < _TAKEN_OVER_S:
            raise OSError(f"All had ended {seconds:.1f} s after the kill, with nothing taken over.")
        return seconds

    @asynccontextmanager
    async def _callers(self) -> AsyncIterator[list[Caller]]:
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(one.caller()) for one in self.replicas]

    def _cpu_s(self) -> float:
        return sum(map(machine.cpu_s, self.pids))


def _in_turn(callers: Iterable[Caller]) -> Callable[[bytes], Awaitable[None]]:
    turns = itertools.cycle(callers)

    async def deploy(body: bytes) -> None:
        await next(turns).deploy(body)

    return deploy


@contextmanager
def cluster(
    folder: Path,
    stub_port: int,
    cores: Sequence[set[int]],
    postgres: Postgres,
    settings: Mapping[str, str] = NO_SETTINGS,
) -> Iterator[Cluster]:
    """Start both on a new database, and stop what still runs at the end.

    Args:
        folder: the stub's CA is in it as `ca.pem`.
        stub_port: where Key Vault and login are.
        cores: where to run the one, and the other.
        postgres: where to make the database.
        settings: what they are told besides; by default no limit of a vault holds them up.
    """
    with postgres.database() as url:
        settings = {**_settings(url), **settings}
        migrate(folder, stub_port, settings)
        with (
            service(folder, stub_port, cores[0], settings=settings) as one,
            service(folder, stub_port, cores[1], settings=settings) as other,
        ):
            yield Cluster(replicas=(one, other))


def _settings(url: str) -> Mapping[str, str]:
    return {
        "STORE__URL": url,
        "QUEUE__MODE": "postgres",
        "QUEUE__SEALING_KEYS": new_sealing_key(),
    }
