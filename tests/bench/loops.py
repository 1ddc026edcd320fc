"""Load, closed and open, and what it took; the bare script and the load on the service share it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
Work = Callable[[T], Awaitable[object]]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run: its length, each latency, and the CPU that the measured process spent; seconds.

    `began` is a time of the monotonic clock, which all processes share.
    """

    began: float = 0.0
    seconds: float
    latencies: tuple[float, ...]
    cpu_s: float

    @property
    def rate(self) -> float:
        """Done per second."""
        return len(self.latencies) / self.seconds

    @property
    def cpu_each(self) -> float:
        """CPU seconds for each."""
        return self.cpu_s / len(self.latencies)


async def closed(work: Work[T], items: Sequence[T], concurrency: int) -> tuple[float, list[float]]:
    """Do *items*, always *concurrency* at a time; the seconds in all, and of each."""
    left = iter(items)
    latencies: list[float] = []

    async def one_after_another() -> None:
        for item in left:
            began = perf_counter()
            await work(item)
            latencies.append(perf_counter() - began)

    began = perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(one_after_another())
    return perf_counter() - began, latencies


async def paced(
    work: Callable[[T], Awaitable[R]], items: Sequence[T], rate: float
) -> tuple[float, list[tuple[R, float]]]:
    """Begin *rate* items a second, whatever becomes of them; the seconds in all, and of each.

    A latency counts from when the item was due, so that a stall is not hidden by the waiting for
    it to end.
    """
    found: list[tuple[R, float]] = []

    async def one(item: T, due: float) -> None:
        came = await work(item)
        found.append((came, perf_counter() - due))

    began = perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, item in enumerate(items):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - perf_counter()))
            group.create_task(one(item, due))
    return perf_counter() - began, found
