"""The table of an ablation, for a terminal and as Markdown: a line per cell, with its differences to the first."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from pet.ablation.grid import value_text
from pet.ablation.paired import Difference, least_p
from pet.ablation.result import AblationResult, CellResult

_ACCURACIES = ("classifier", "ensemble")


def ablation_table(result: AblationResult) -> Table:
    """Return the table for a terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(_header(result)):
        table.add_column(name, justify="left" if place < len(result.grid.axes) else "right", no_wrap=True)
    for cell in result.cells:
        table.add_row(*map(Text, _row(cell)))  # nothing in it is markup
    return table


def ablation_notes(result: AblationResult) -> list[str]:
    """Return what has to be known to read the table."""
    n = len(result.samples)
    rows = sorted({run.test_rows for run in result.runs})
    found = [
        f"accuracy on {' or '.join(map(str, rows))} test rows, in percent: mean and standard deviation over {n} "
        f"{'sample' if n == 1 else 'samples'} of the labeled rows (seeds {', '.join(map(str, result.samples))})",
    ]
    if n == 1:
        return [*found, "one sample tells nothing of what other labeled rows would do: use --samples"]
    return [
        *found,
        "differences to the first line on the same samples: their mean and its 95 % t-interval; how many samples are "
        f"better and worse; p of the exact sign test, two-sided, which is {least_p(n):.2g} at least with {n} samples",
    ]


def markdown(result: AblationResult) -> str:
    """Return the table and its notes as Markdown."""
    header, axes = _header(result), len(result.grid.axes)
    lines = [header, ["---"] * axes + ["---:"] * (len(header) - axes), *map(_row, result.cells)]
    table = [f"| {' | '.join(part.replace('|', chr(92) + '|') for part in line)} |" for line in lines]
    return "\n".join([*table, "", *(f"{note}.  " for note in ablation_notes(result))]) + "\n"


def _header(result: AblationResult) -> list[str]:
    last = [axis.keys[-1] for axis in result.grid.axes]
    names = [axis.name if last.count(key) > 1 else key for axis, key in zip(result.grid.axes, last, strict=True)]
    compared = [part for name in _ACCURACIES for part in (name, "difference [95 %]", "better/worse", "p")]
    return [*names, *compared, "CPU-seconds"]


def _row(cell: CellResult) -> list[str]:
    figures = [part for name in _ACCURACIES for part in _compared(cell, name)]
    seconds = cell.mean("cpu_seconds")
    return [
        *map(value_text, cell.cell.settings.values()),
        *figures,
        "" if seconds is None else f"{seconds:.1f}",
    ]


def _compared(cell: CellResult, measure: str) -> Sequence[str]:
    mean, deviation, found = cell.mean(measure), cell.deviation(measure), cell.differences.get(measure)
    spread = "" if deviation is None else f" ± {100 * deviation:.1f}"
    return ["" if mean is None else f"{100 * mean:.1f}{spread}", *_difference(found)]


def _difference(found: Difference | None) -> Sequence[str]:
    if found is None:
        return ["", "", ""]
    low, high = found.low, found.high
    interval = "" if low is None or high is None else f" [{100 * low:+.1f}, {100 * high:+.1f}]"
    return [f"{100 * found.mean:+.1f}{interval}", f"{found.better}/{found.worse}", f"{found.p:.2g}"]
