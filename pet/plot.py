"""Pictures of a run in a notebook: `pet.plot.confidence(run)` and others, each into axes of matplotlib.

`run` is what `pet.read_run` gives, or the path of a run. Without `ax` a figure is made. Needs the extra `[plot]`.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from sklearn.decomposition import PCA
from sklearn.metrics import confusion_matrix

from pet.errors import ConfigError, DataError, near_matches
from pet.method.embed import pool_vectors
from pet.method.measured import OWN
from pet.method.summary import DISTILLED
from pet.reports.frames import Run, read_run
from pet.runs.directory import RunDirectory

BINS = 10


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
    ax, table = _axes(ax), _run(run).test
    sure = table["confidence"].to_numpy()
    right = np.asarray(table["label"].to_pylist(), object) == np.asarray(table[DISTILLED].to_pylist(), object)
    found = reliability_bins(sure, right)
    ax.plot([0, 1], [0, 1], color="0.7", linestyle="--")
    ax.plot(found[:, 0], found[:, 1], marker="o")
    for x, y, count in found:
        ax.annotate(f"{int(count)}", (x, y), textcoords="offset points", xytext=(4, -10), fontsize="small")
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="right", title="Reliability on the test rows")
    return ax


def reliability_bins(sure: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return per filled bin of confidences [n] their mean, the share that is `right` (bool [n]), and the rows.

    >>> reliability_bins(np.array([0.91, 0.99, 0.5]), np.array([True, False, True])).round(2).tolist()
    [[0.5, 1.0, 1.0], [0.95, 0.5, 2.0]]
    """
    places = np.minimum((sure * BINS).astype(int), BINS - 1)
    bins = [places == place for place in np.unique(places)]
    return np.asarray([[sure[own].mean(), right[own].mean(), own.sum()] for own in bins], np.float64)


def confusion(run: Run | str | Path, ax: Any = None, line: str = DISTILLED) -> Any:
    """Draw which labels a way to label, a `line` of the summary, takes for which others on the test rows.

    Raises `DataError` if the run has no test rows or no such line, `ConfigError` without matplotlib.
    """
    found = _run(run)
    ax, table, labels = _axes(ax), found.test, list(found.config.task.labels)
    if line not in table.column_names or line in OWN:
        raise DataError(f"The run has no line {line!r}.{near_matches(line, set(table.column_names) - set(OWN))}")
    counts = confusion_matrix(table["label"].to_pylist(), table[line].to_pylist(), labels=labels)
    _heat(ax, counts, labels, "d")
    ax.set(xlabel=f"given by the {line}", ylabel="label", title="Test rows")
    return ax


def agreement(run: Run | str | Path, ax: Any = None) -> Any:
    """Draw on what share of the pool each two voters of the last generation give the same label.

    Raises `DataError` if no generation is finished, `ConfigError` without matplotlib.
    """
    ax, votes = _axes(ax), _run(run).votes
    last = votes.filter(pc.equal(votes["generation"], pc.max(votes["generation"])))
    names = pc.unique(last["voter"]).to_pylist()
    given = [np.asarray(last.filter(pc.equal(last["voter"], name))["label"].to_pylist(), object) for name in names]
    shares = np.asarray([[(one == other).mean() for other in given] for one in given])
    _heat(ax, shares, names, ".2f")
    ax.set(title="Rows with the same label")
    return ax


def pool_map(run: Run | str | Path, ax: Any = None) -> Any:
    """Draw the pool in two dimensions, by the main components of its vectors; what is less sure is paler.

    Raises `DataError` if the run has no labels or no vectors, `ConfigError` without matplotlib.
    """
    found = _run(run)
    ax, table = _axes(ax), _pool(found)
    vectors = pool_embeddings(found.directory)
    if len(vectors) != len(table):
        raise DataError(f"{found.directory}: rows were added or removed since the pool was embedded: nothing to draw.")
    places = PCA(2, random_state=0).fit_transform(np.asarray(vectors, np.float32))
    given, sure = np.asarray(table["label"].to_pylist(), object), table["confidence"].to_numpy()
    for label in found.config.task.labels:
        own = given == label
        ax.scatter(places[own, 0], places[own, 1], s=12, alpha=np.clip(sure[own], 0.15, 1.0), label=label)
    ax.set(xticks=[], yticks=[], title="The pool")
    ax.legend()
    return ax


def pool_embeddings(run: Path) -> np.ndarray:
    """Return the vectors of the pool that a run has kept, float32 [n, h].

    Raises `DataError` if there are none, as without an encoder, or after `pet clean --jobs`.
    """
    for about in sorted(RunDirectory(run).jobs.glob("*/job.json")):
        if json.loads(about.read_bytes())["name"].startswith("embeddings/"):
            return pool_vectors(about.parent)
    raise DataError(f"{run} keeps no vectors of its pool: it had no encoder, or its jobs were cleaned away.")


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
