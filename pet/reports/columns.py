"""Rows of cells as lines of a terminal: columns below each other, long tables folded."""

from collections.abc import Sequence

FOLDED = 10
"""So many rows of a long table are shown unless all are asked for."""


def columns(rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Return rows of cells, equally many each, two spaces apart; all but the first `left` columns are flush right.

    >>> columns([("a", "1"), ("bcd", "22")], left=1)
    ['a     1', 'bcd  22']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:left], widths, strict=False)]
        cells += [cell.rjust(width) for cell, width in zip(row[left:], widths[left:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return lines


def fitting(text: str, limit: int) -> str:
    """Return a text for a cell of at most `limit` characters: of a longer one its beginning, and that there is more.

    >>> fitting("a long label", 7)
    'a long…'
    """
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def more_lines(hidden: int, what: str) -> list[str]:
    """Say how many rows of a table are not shown; nothing where all are.

    >>> more_lines(67, "labels"), more_lines(0, "labels")
    (['and 67 more labels: --all shows them'], [])
    """
    return [f"and {hidden} more {what}: --all shows them"] if hidden > 0 else []
