"""The picture: how much of its target each figure uses up. Left of 1 the target is met."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure as Picture

from tests.bench.figure import Figure

_MET, _MISSED, _SPREAD = "tab:green", "tab:red", "black"
_INCHES_WIDE: Final = 11
_INCHES_EACH: Final = 0.4
_INCHES_AROUND: Final = 1.5
_FAR: Final = 2  # what is missed by more is missed


def draw(figures: Iterable[Figure], file: Path, *, title: str) -> None:
    """Draw a bar for each median, and a line from its best round to its worst."""
    shown = [figure for figure in figures if figure.target]
    height = _INCHES_EACH * len(shown) + _INCHES_AROUND
    picture = Picture(figsize=(_INCHES_WIDE, height), layout="constrained")
    axes = picture.add_subplot()
    for place, figure in enumerate(shown):
        used = [figure.used(value) for value in figure.rounds]
        axes.barh(place, figure.used(figure.median), color=_MET if figure.met else _MISSED)
        axes.plot([min(used), max(used)], [place, place], color=_SPREAD, linewidth=1)
    axes.set_yticks(range(len(shown)), [_label(figure) for figure in shown])
    axes.invert_yaxis()
    axes.axvline(1, color=_SPREAD, linestyle="--")
    axes.set_xlim(0, _FAR)
    axes.set_xlabel("share of the target that was used up; the line: best to worst round")
    picture.suptitle(title)
    picture.savefig(file)


def _label(figure: Figure) -> str:
    return f"{figure.what}: {figure.median:.2f}{figure.unit} ({figure.target})"
