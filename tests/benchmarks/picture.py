"""Accuracy against CPU-seconds as a picture, of what `time_to_labels.py --json FILE` has written.

    python tests/benchmarks/picture.py FILE.json PICTURE.svg

Needs matplotlib.
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

MARKERS = "osD^vP*X"


def draw_picture(table: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]], path: Path) -> None:
    """Draw a field for each shape: a point for each sample of each way to label, and a larger one for its mean."""
    import matplotlib as mpl  # not above: the tests read this file without it
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    mpl.rcParams["svg.hashsalt"] = "pet"  # the same bytes for the same figures
    columns = min(2, len(table))
    rows = math.ceil(len(table) / columns)
    figure = Figure(figsize=(5 * columns, 3.6 * rows + 0.6), layout="constrained")
    fields = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    names = list(dict.fromkeys(way for ways in table.values() for way in ways))
    handles = {}
    for field, (shape, ways) in zip(fields, table.items(), strict=False):
        for way, samples in ways.items():
            x, y = [one["cpu_seconds"] for one in samples], [100 * one["found"]["accuracy"] for one in samples]
            look = {"color": f"C{names.index(way)}", "marker": MARKERS[names.index(way) % len(MARKERS)]}
            field.scatter(x, y, s=12, alpha=0.4, **look)
            handles[way] = field.scatter([mean(x)], [mean(y)], s=60, **look)
        field.set(xscale="log", xlabel="CPU-seconds", ylabel="test accuracy, %", title=shape)
        field.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        field.xaxis.set_major_formatter("{x:g}")
        field.xaxis.set_minor_formatter(NullFormatter())
        field.grid(alpha=0.3, which="both")
    for field in fields[len(table) :]:
        field.set_axis_off()
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=min(4, len(handles)))
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Draw the picture of a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    draw_picture(json.loads(options.figures.read_text(encoding="utf-8")), options.picture)


if __name__ == "__main__":
    main()
