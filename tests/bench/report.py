"""The table: each figure as the median of its rounds, their spread, and the target beside it."""

from collections.abc import Iterable
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.bench.figure import Figure

_COLUMNS: Final = 120


def show(figures: Iterable[Figure], *, title: str) -> None:
    """Print the table."""
    table = Table(title=title, title_justify="left")
    for column in ("figure", "measured", "beside it", "median", "rounds", "target", ""):
        table.add_column(column, justify="left" if column == "figure" else "right")
    for figure in figures:
        low, high = min(figure.rounds), max(figure.rounds)
        table.add_row(
            figure.what,
            figure.measured,
            figure.beside,
            f"{figure.median:.2f}{figure.unit}",
            f"{low:.2f} - {high:.2f}",
            figure.target,
            _mark(figure),
        )
    console = Console(highlight=False)
    # a file or a pipe says 80 columns, in which the table cannot be read
    console.width = max(console.width, _COLUMNS)
    console.print(table)


def _mark(figure: Figure) -> str:
    if not figure.target:
        return ""
    return "[green]✔[/]" if figure.met else "[bold red]✘[/]"
