"""The figures: what is made of the rounds, each with its target, where there is one."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Final

from tests.bench.figure import Figure
from tests.bench.loops import Run
from tests.bench.material import KINDS
from tests.bench.overload import QUEUE_LIMIT
from tests.bench.probe import TICK_S
from tests.bench.rounds import SIDE_BY_SIDE, Found

_MS: Final = 1000.0
_PERCENT: Final = 100.0
# CPU where the targets were set: an RSA-2048 signature with its check, and the script's four calls
# (2.71 for three of them, measured on a quiet machine)
_GAUGE_MS: Final = 0.27
_SCRIPT_MS: Final = 3.61
_P50: Final = 0.50
_P99: Final = 0.99
_MANY: Final = f"{SIDE_BY_SIDE} side by side"


def figures(found: Found) -> Iterator[Figure]:
    """All of them, those with a target first."""
    yield from _of_one(found)
    yield from _of_two(found)
    yield from _of_too_much(found)
    for memory in found.memory:
        yield from memory.figures()
    for budgets in found.budgets:
        yield from budgets.figures()
    yield from _without(found)


def _of_one(found: Found) -> Iterator[Figure]:
    yield _ratio(found, "p50 of one alone", "single", _p50_ms, " ms", at_most=1.05)
    yield _ratio(found, f"throughput, {_MANY}", "many", _rate, "/s", at_least=0.9)
    cpu = list(map(_cpu_ms, found.runs["service_many"]))
    yield Figure(
        what=f"CPU of one, RSA-2048, {_MANY}, at the targets' speed as the script tells it",
        rounds=[one * speed for one, speed in zip(cpu, _script_speed(found), strict=True)],
        unit=" ms",
        at_most=3.5,
    )
    yield Figure(
        what="the same, as RSA signatures tell it",
        rounds=[
            one * _GAUGE_MS / (_MS * gauge) for one, gauge in zip(cpu, found.gauge, strict=True)
        ],
        unit=" ms",
        at_most=3.5,
    )
    yield from _lateness(found, "p99", _late_p99, at_most=10)
    half = found.runs["service_half"]
    yield Figure(
        what="202 at half load, p99", rounds=list(map(_p99_ms, half)), unit=" ms", at_most=15
    )
    what = f"throughput, record in a file to one in memory, {_MANY}"
    yield _ratio(found, what, "many", _rate, "/s", of="file", to="memory", at_least=0.85)


def _of_two(found: Found) -> Iterator[Figure]:
    """Of two replicas on PostgreSQL."""
    what = "two replicas: p50 of one alone"
    yield _ratio(found, what, "single", _p50_ms, " ms", of="cluster", at_most=1.15)
    rates = list(map(_rate, found.runs["cluster_many"]))
    what = f"two replicas: throughput, {_MANY}"
    yield Figure(what=what, rounds=rates, unit="/s", at_least=200)
    yield Figure(
        what="the same, at the targets' speed as the script tells it",
        rounds=[one / speed for one, speed in zip(rates, _script_speed(found), strict=True)],
        unit="/s",
        at_least=200,
    )
    yield Figure(
        what="two replicas: all ended after a kill -9 of one",
        rounds=found.takeover,
        unit=" s",
        at_most=30,
    )


def _of_too_much(found: Found) -> Iterator[Figure]:
    """Of twice the load that the service can carry."""
    yield Figure(
        what=f"twice the load: longest queue, {QUEUE_LIMIT} may wait",
        rounds=[one.longest for one in found.overload],
        at_most=QUEUE_LIMIT,
    )
    yield Figure(
        what="twice the load: 503s that say Retry-After",
        rounds=[_PERCENT * one.told for one in found.overload],
        unit=" %",
        at_least=100,
    )
    yield Figure(
        what="twice the load: refused with 503",
        rounds=[_PERCENT * one.share for one in found.overload],
        unit=" %",
    )
    yield Figure(
        what="twice the load: 202, p99",
        rounds=[_MS * _quantile(one.accepted, _P99) for one in found.overload],
        unit=" ms",
    )


def _without(found: Found) -> Iterator[Figure]:
    """What has no target, for judgement."""
    half = found.runs["service_half"]
    yield Figure(what="202 at half load, p50", rounds=list(map(_p50_ms, half)), unit=" ms")
    yield from _lateness(found, "longest", max)
    yield _ratio(found, f"CPU of one, {_MANY}", "many", _cpu_ms, " ms")
    what = f"two replicas: CPU of one, {_MANY}, without PostgreSQL's"
    yield _ratio(found, what, "many", _cpu_ms, " ms", of="cluster")
    what = f"two replicas: throughput, {_MANY}, to the script on one core"
    yield _ratio(found, what, "many", _rate, "/s", of="cluster")
    yield _ratio(found, f"p99, {_MANY}", "many", _p99_ms, " ms")
    yield _ratio(found, "throughput, script on uvloop", "many", _rate, "/s", to="uvloop")
    yield _ratio(found, "p50, script calls one by one", "single", _p50_ms, " ms", to="sequential")
    yield _ratio(found, "throughput, the same", "many", _rate, "/s", to="sequential")
    yield Figure(
        what=f"this machine: RSA-2048, sign and verify ({_GAUGE_MS} ms for these targets)",
        rounds=[_MS * seconds for seconds in found.gauge],
        unit=" ms",
    )


def _script_speed(found: Found) -> list[float]:
    """Of each round: what a second of this machine's CPU is where the targets were set."""
    return [_SCRIPT_MS / _cpu_ms(run) for run in found.runs["bare_many"]]


def _lateness(
    found: Found,
    what: str,
    value: Callable[[Sequence[float]], float],
    *,
    at_most: float | None = None,
) -> Iterator[Figure]:
    for kind in KINDS:
        yield Figure(
            what=f"event loop late at half load, {what}, {kind}",
            rounds=[_MS * value(late) for late in found.lateness[kind]],
            unit=" ms",
            at_most=at_most,
        )


def _ratio(
    found: Found,
    what: str,
    how: str,
    value: Callable[[Run], float],
    unit: str,
    *,
    of: str = "service",
    to: str = "bare",
    at_most: float | None = None,
    at_least: float | None = None,
) -> Figure:
    """One to another, in each round; by default service to script."""
    ours, theirs = found.runs[f"{of}_{how}"], found.runs[f"{to}_{how}"]
    return Figure(
        what=what,
        rounds=[value(one) / value(other) for one, other in zip(ours, theirs, strict=True)],
        measured=f"{statistics.median(map(value, ours)):.1f}{unit}",
        beside=f"{statistics.median(map(value, theirs)):.1f}{unit}",
        at_most=at_most,
        at_least=at_least,
    )


def _quantile(values: Sequence[float], share: float) -> float:
    """The value that *share* of all do not pass (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _late_p99(samples: Sequence[float]) -> float:
    """Of the lateness as if looked at in every tick, also in those that a stall swallowed.

    A stall of 20 ms is seen once by a task that it holds up, but delays whatever falls due in
    any of its 20 ticks.
    """
    ticks = [late - TICK_S * gone for late in samples for gone in range(int(late / TICK_S) + 1)]
    return _quantile(ticks, _P99)


_rate: Final[Callable[[Run], float]] = attrgetter("rate")


def _cpu_ms(run: Run) -> float:
    return _MS * run.cpu_each


def _p50_ms(run: Run) -> float:
    return _MS * _quantile(run.latencies, _P50)


def _p99_ms(run: Run) -> float:
    return _MS * _quantile(run.latencies, _P99)
