"""Pictures of a run in a notebook: `pet.plot.confidence(run)` and others, each into axes of matplotlib.

`run` is what `pet.read_run` gives, or the path of a run. Without `ax` a figure is made. Needs the extra `[plot]`.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from pet.errors import ConfigError, DataError, near_matches
from pet.method.summary import DISTILLED
from pet.reports.frames import Run, read_run
from pet.reports.html.map import MAPPED_ROWS, flat
from pet.reports.html.report import read_report

BINS = 20


def confidence(run: Run | str | Path, ax: Any = None) -> Any:
    """Draw how sure the labels of the pool are: a histogram of their confidences, stacked by label.

    Raises `DataError` if there are no labels yet, `ConfigError` without matplotlib.
    """
    ax, table = _axes(ax), _pool(_run(run))
    labels = sorted(set(table["label"].to_pylist()))
    values = [table.filter(pc.equal(table["label"], label))["confidence"].to_numpy() for label in labels]
    ax.hist(values, bins=BINS, range=(0, 1), stacked=True, label=labels)
    ax.set(xlabel="confidence", ylabel="rows of the pool", title="How sure the labels are")
    ax.legend()
    return ax


def reliability(run: Run | str | Path, ax: Any = None) -> Any:
    """Draw how often the classifier is right on test rows against how sure it is: on the diagonal it is calibrated.

    Raises `DataError` if the run has no test rows, `ConfigError` without matplotlib.
    """
    ax, found = _axes(ax), _fact(_run(run), "classifier", "reliability")
    filled = [i for i, count in enumerate(found["counts"]) if count]
    points = [(found["confidence"][i], found["accuracy"][i], found["counts"][i]) for i in filled]
    ax.plot([0, 1], [0, 1], color="0.7", linestyle="--")
    ax.plot(*zip(*(point[:2] for point in points), strict=True), marker="o")
    for x, y, count in points:
        ax.annotate(str(count), (x, y), textcoords="offset points", xytext=(4, -10), fontsize="small")
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="right", title="Reliability on the test rows")
    return ax


def confusion(run: Run | str | Path, ax: Any = None, line: str = DISTILLED) -> Any:
    """Draw which labels a way to label, a `line` of the summary, takes for which others on the test rows.

    Raises `DataError` if the run has no test rows or no such line, `ConfigError` without matplotlib.
    """
    ax = _axes(ax)
    lines = {row["name"]: row["test"] for row in _fact(_run(run), "summary", "rows") if row["test"]}
    if line not in lines:
        raise DataError(f"No line {line!r} of the run was measured on test rows.{near_matches(line, lines)}")
    _heat(ax, np.asarray(lines[line]["confusion"]), lines[line]["labels"], "d")
    ax.set(xlabel=f"given by the {line}", ylabel="label", title="Test rows")
    return ax


def agreement(run: Run | str | Path, ax: Any = None) -> Any:
    """Draw on what share of the pool each two voters of the last generation give the same label.

    Raises `DataError` if the run is not finished, `ConfigError` without matplotlib.
    """
    ax, found = _axes(ax), _run(run)
    names = [voter["name"] for voter in _fact(found, "analysis", "voters")]
    _heat(ax, np.asarray(_fact(found, "analysis", "agreement"), np.float64), names, ".2f")
    ax.set(title="Rows with the same label")
    return ax


def pool_map(run: Run | str | Path, ax: Any = None) -> Any:
    """Draw the pool in two dimensions, by its vectors: near ones stay near; what is less sure is paler.

    Of a large pool so many rows are drawn as in the report.

    Raises `DataError` if the run is not finished or keeps no vectors, `ConfigError` without matplotlib.
    """
    ax, found = _axes(ax), read_report(_run(run).directory)
    if found.vectors is None:
        raise DataError(f"{found.root} keeps no vectors of its pool: it had no encoder, or its jobs were cleaned away.")
    by_id = {found.rows.ids[place]: place for place in found.rows.pool.tolist()}
    known = [i for i, name in enumerate(found.vector_ids) if name in by_id]
    some = [known[i] for i in np.linspace(0, len(known) - 1, min(MAPPED_ROWS, len(known))).astype(int)]
    points = flat(np.asarray(found.vectors[some], np.float32), int(found.metrics.get("seed", 0)))
    rows = [by_id[found.vector_ids[i]] for i in some]
    given, sure = np.asarray([found.rows.label[row] for row in rows], object), found.rows.confidence[rows]
    for label in found.labels:
        own = given == label
        ax.scatter(points[own, 0], points[own, 1], s=12, alpha=np.clip(np.nan_to_num(sure[own]), 0.15, 1), label=label)
    ax.set(xticks=[], yticks=[], title="The pool")
    ax.legend()
    return ax


def _fact(run: Run, section: str, name: str) -> Any:
    """Return a figure of `metrics.json`."""
    try:
        return run.facts[section][name]
    except KeyError:
        raise DataError(
            f"The run in {run.directory} has no {section} {name}: it has no test rows, or must be run again."
        ) from None


def _run(run: Run | str | Path) -> Run:
    return run if isinstance(run, Run) else read_run(run)


def _pool(run: Run) -> Any:
    return run.labels.filter(pc.equal(run.labels["source"], "pseudo"))


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot
    except ImportError:
        raise ConfigError("Pictures need matplotlib: `pip install 'pet-labeling[plot]'`.") from None
    return pyplot.subplots()[1]


def _heat(ax: Any, values: np.ndarray, names: list[str], form: str) -> None:
    """Draw a matrix [n, n] with its numbers, where there is room for them."""
    ax.imshow(values, cmap="Blues", vmin=0)
    ax.set_xticks(range(len(names)), names, rotation=45, ha="right")
    ax.set_yticks(range(len(names)), names)
    if len(names) <= 15:
        for i, row in enumerate(values):
            for j, value in enumerate(row):
                color = "white" if value > values.max() / 2 else "black"
                ax.text(j, i, format(value, form), ha="center", va="center", color=color, fontsize="small")
