"""A figure: one line of the table, and one bar of the picture where it has a target."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_LEAST: Final = 1e-9


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line: what, the figure of each round, its unit, and how far it may go."""

    what: str
    rounds: Sequence[float]
    unit: str = ""
    measured: str = ""
    beside: str = ""
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
            return f"≤ {self.at_most:g}{self.unit}" if self.at_most else "none"
        return "" if self.at_least is None else f"≥ {self.at_least:g}{self.unit}"

    @property
    def met(self) -> bool:
        """Whether the target is met, or there is none."""
        return self.used(self.median) <= 1

    def used(self, value: float) -> float:
        """How much of its target *value* uses up: the target is met up to 1."""
        if self.at_most is not None:
            return value / max(self.at_most, _LEAST)
        return 0.0 if self.at_least is None else self.at_least / max(value, _LEAST)
