"""The table: each figure as the median of its rounds, their spread, and the target beside it."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.bench.loops import Run
from tests.bench.material import KINDS
from tests.bench.probe import TICK_S
from tests.bench.rounds import SIDE_BY_SIDE, Found

_MS: Final = 1000.0
_COLUMNS: Final = 120
_GAUGE_MS: Final = 0.27  # CPU, where the targets were set
_P50: Final = 0.50
_P99: Final = 0.99
_MANY: Final = f"{SIDE_BY_SIDE} side by side"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line: what, the figure of each round, its unit, and how far it may go."""

    what: str
    rounds: Sequence[float]
    unit: str = ""
    service: str = ""
    bare: str = ""
    at_most: float | None = None
    at_least: float | None = None

    @property
    def median(self) -> float:
        """Of the rounds."""
        return statistics.median(self.rounds)

    @property
    def target(self) -> str:
        """As text, empty where there is none."""
        if self.at_most is not None:
            return f"≤ {self.at_most:g}{self.unit}"
        return "" if self.at_least is None else f"≥ {self.at_least:g}{self.unit}"

    @property
    def met(self) -> str:
        """Whether the target is met, as a mark."""
        if not self.target:
            return ""
        high = self.at_most is None or self.median <= self.at_most
        low = self.at_least is None or self.median >= self.at_least
        return "[green]✔[/]" if high and low else "[bold red]✘[/]"


def show(found: Found, *, title: str) -> None:
    """Print the table."""
    table = Table(title=title, title_justify="left")
    for column in ("figure", "service", "bare script", "median", "rounds", "target", ""):
        table.add_column(column, justify="left" if column == "figure" else "right")
    for figure in (*_with_target(found), *_without(found)):
        low, high = min(figure.rounds), max(figure.rounds)
        table.add_row(
            figure.what,
            figure.service,
            figure.bare,
            f"{figure.median:.2f}{figure.unit}",
            f"{low:.2f} - {high:.2f}",
            figure.target,
            figure.met,
        )
    console = Console(highlight=False)
    # a file or a pipe says 80 columns, in which the table cannot be read
    console.width = max(console.width, _COLUMNS)
    console.print(table)


def _with_target(found: Found) -> Iterator[Figure]:
    yield _ratio(found, "p50 of one alone", "single", _p50_ms, " ms", at_most=1.05)
    yield _ratio(found, f"throughput, {_MANY}", "many", _rate, "/s", at_least=0.9)
    runs = zip(found.runs["service_many"], found.gauge, strict=True)
    yield Figure(
        what=f"CPU of one, RSA-2048, {_MANY}, at the targets' speed",
        rounds=[_cpu_ms(run) * _GAUGE_MS / (_MS * gauge) for run, gauge in runs],
        unit=" ms",
        at_most=3.5,
    )
    yield from _lateness(found, "p99", _late_p99, at_most=10)
    half = found.runs["service_half"]
    yield Figure(
        what="202 at half load, p99", rounds=list(map(_p99_ms, half)), unit=" ms", at_most=15
    )


def _without(found: Found) -> Iterator[Figure]:
    """What has no target, for judgement."""
    half = found.runs["service_half"]
    yield Figure(what="202 at half load, p50", rounds=list(map(_p50_ms, half)), unit=" ms")
    yield from _lateness(found, "longest", max)
    yield _ratio(found, f"CPU of one, {_MANY}", "many", _cpu_ms, " ms")
    yield _ratio(found, f"p99, {_MANY}", "many", _p99_ms, " ms")
    yield _ratio(found, "throughput, script on uvloop", "many", _rate, "/s", to="uvloop")
    yield _ratio(found, "p50, script calls one by one", "single", _p50_ms, " ms", to="sequential")
    yield _ratio(found, "throughput, the same", "many", _rate, "/s", to="sequential")
    yield Figure(
        what=f"this machine: RSA-2048, sign and verify ({_GAUGE_MS} ms for these targets)",
        rounds=[_MS * seconds for seconds in found.gauge],
        unit=" ms",
    )


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
    to: str = "bare",
    at_most: float | None = None,
    at_least: float | None = None,
) -> Figure:
    """Service to script, in each round."""
    ours, theirs = found.runs[f"service_{how}"], found.runs[f"{to}_{how}"]
    return Figure(
        what=what,
        rounds=[value(one) / value(other) for one, other in zip(ours, theirs, strict=True)],
        service=f"{statistics.median(map(value, ours)):.1f}{unit}",
        bare=f"{statistics.median(map(value, theirs)):.1f}{unit}",
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
