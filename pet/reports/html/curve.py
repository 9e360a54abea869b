"""What more labels, and more unlabeled rows, would bring: learning curves, and where they are expected to go."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pet.reports.html.page import Section
from pet.reports.html.report import Report
from pet.reports.html.show import number

WIDTH, HEIGHT = 380, 180
"""The size of a picture's plane, in units of the drawing."""

APART = 34
"""Numbers below the axis that are nearer than this are left out."""


@dataclass(frozen=True)
class Mark:
    """An accuracy with its interval, where it stands in the plane (`y`, `top`, `foot` from above), and what it says."""

    x: float
    y: float
    top: float
    foot: float
    says: str


@dataclass(frozen=True)
class Picture:
    """A curve: the accuracies that were measured, the one that is expected, the numbers below, those at the side."""

    name: str
    axis: str
    marks: Sequence[Mark]
    expected: Mark
    ticks: Sequence[tuple[float, str]]
    lines: Sequence[tuple[float, str]]


def curve(report: Report) -> Section | None:
    """Show the learning curves, or say why there are none; None in a run that has not asked for them."""
    found: Mapping[str, Any] | None = report.metrics.get("curve")
    if not found:
        return None
    kinds = (
        ("labeled", "By labeled rows", "labeled rows per label", found["labels"]),
        ("unlabeled", "By unlabeled rows", "unlabeled rows", 1),
    )
    pictures = [_picture(found[key], name, axis, unit) for key, name, axis, unit in kinds if found[key]]
    said, why = found["sentence"], found["why"]
    lines = [f"{line[:1].upper()}{line[1:]}." for line in (said, "" if said == why else why) if line]
    return Section("curve", "How many more labels?", {"pictures": pictures, "says": lines, "rows": found["rows"]})


def _picture(found: Mapping[str, Any], name: str, axis: str, unit: int) -> Picture:
    points, gain = found["points"], found["gain"]
    rows = [point["rows"] / unit for point in points]
    # The gain is drawn from the last accuracy on; no accuracy is beyond 0 and 1.
    last, then = points[-1]["accuracy"]["value"], (found["now"] + found["more"]) / unit
    expected = {key: min(1.0, max(0.0, last + gain[key])) for key in ("value", "low", "high")}
    values = [*(point["accuracy"] for point in points), expected]
    low = math.floor(10 * min(value["low"] for value in values)) / 10
    high = max(low + 0.1, math.ceil(10 * max(value["high"] for value in values)) / 10)
    shown = [number(count, 1 if count < 20 and unit > 1 else 0) for count in (*rows, then)]
    left, span = math.log(min(rows)), math.log(then / min(rows))
    places = [round(WIDTH * (math.log(count) - left) / span, 1) for count in (*rows, then)]
    marks = [
        _mark(place, value, (low, high), f"{count} {axis}{': expected' if value is expected else ''}")
        for place, value, count in zip(places, values, shown, strict=True)
    ]
    step = 0.2 if high - low > 0.5 else 0.1
    sides = [low + step * i for i in range(math.floor((high - low) / step + 1e-6) + 1)]
    lines = [(_height(share, low, high), f"{100 * share:.0f}%") for share in sides]
    return Picture(name, axis, marks[:-1], marks[-1], _ticks(places, shown), lines)


def _height(share: float, low: float, high: float) -> float:
    return round(HEIGHT * (high - share) / (high - low), 1)


def _mark(x: float, value: Mapping[str, float], ends: tuple[float, float], what: str) -> Mark:
    shares = [value[key] for key in ("value", "high", "low")]
    middle, top, foot = (f"{100 * share:.1f}%" for share in shares)
    y, above, below = (_height(share, *ends) for share in shares)
    return Mark(x, y, above, below, f"{what}, {middle} ({foot} to {top})")


def _ticks(places: Sequence[float], shown: Sequence[str]) -> list[tuple[float, str]]:
    """Return numbers that do not touch each other; the last stands always.

    >>> _ticks([0.0, 10.0, 90.0, 100.0], ["1", "2", "9", "10"])
    [(0.0, '1'), (100.0, '10')]
    """
    kept: list[tuple[float, str]] = []
    for place, text in zip(places[:-1], shown[:-1], strict=True):
        if all(place - other >= APART for other, _ in kept) and places[-1] - place >= APART:
            kept.append((place, text))
    return [*kept, (places[-1], shown[-1])]
