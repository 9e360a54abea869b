"""Whether new rows are like those that a classifier was made from: one comparison, for a command as for a server."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pet.data.readers import ReadOptions, ReadResult, read_examples
from pet.data.source import parse_source
from pet.errors import ModelError
from pet.labeling.drift import FAMILIAR, RowFacts, Signal, Sketch, compare_rows
from pet.learners.students.base import Classifier
from pet.learners.students.sketch import FEWEST, Scorer, read_sketch
from pet.runs.progress import stage_progress
from pet.seeding import rng_for
from pet.using.predict import load_classifier, model_folder

WATCHED_ROWS = 5_000
"""Of more rows so many are drawn: their number only has to be well above that of the sketch."""


@dataclass(frozen=True)
class Drift:
    """How `rows` new rows differ from the pool of a run, signal by signal.

    `unfamiliar` is the share of them that is farther from the pool than 99 % of its own rows (None: the classifier has
    no vectors); `labels` are those of the classifier; `pool_rows` those that were compared with.
    """

    rows: int
    pool_rows: int
    labels: tuple[str, ...]
    signals: tuple[Signal, ...]
    unfamiliar: float | None = None

    @property
    def drifted(self) -> tuple[Signal, ...]:
        """The signals that differ by more than chance, and by enough to matter; the largest difference first."""
        return tuple(sorted((one for one in self.signals if one.drifted), key=lambda one: -one.effect))

    @property
    def verdict(self) -> str:
        """What was found, as a sentence."""
        if not self.drifted:
            least = max(one.chance for one in self.signals)
            small = f"; so few rows show differences above {least:.2f} only" if least > _COARSE else ""
            return f"No drift: {self._compared} look alike{small}."
        told = "; ".join(map(self.said, self.drifted))
        far = "" if self.unfamiliar is None else f"; {self.unfamiliar:.0%} are unfamiliar (expected {1 - FAMILIAR:.0%})"
        return f"Drift: {self._compared} differ: {told}{far}."

    @property
    def _compared(self) -> str:
        return f"{self.rows:,} new rows and {self.pool_rows:,} of the pool"

    def said(self, signal: Signal) -> str:
        """Say in words how one signal differs."""
        before, now = signal.before, signal.now
        if signal.label is not None:
            return f"{self.labels[signal.label]!r} is given to {now:.0%} instead of {before:.0%}"
        if signal.name == "length":
            return f"{now:.0f} tokens instead of {before:.0f} on average"
        if signal.name == "unknown tokens":
            return f"{now:.1%} of the tokens are unknown instead of {before:.1%}"
        return f"a {signal.name} of {now:.2f} instead of {before:.2f} on average"

    def as_json(self) -> dict[str, object]:
        """Return plain values."""
        signals = [
            {**asdict(one), "label": None if one.label is None else self.labels[one.label], "drifted": one.drifted}
            for one in self.signals
        ]
        return {
            "drift": bool(self.drifted),
            "verdict": self.verdict,
            "rows": self.rows,
            "pool_rows": self.pool_rows,
            "unfamiliar": self.unfamiliar,
            "signals": signals,
        }


_COARSE = 0.25
"""A verdict says so where a smaller difference than this could not be seen."""


def compare(sketch: Sketch, new: RowFacts, labels: Sequence[str]) -> Drift:
    """Compare what was measured of new rows, by `Scorer.facts`, with what a classifier of `labels` keeps of its pool.

    The same rows give the same answer: what chance does is drawn from a seed.
    """
    signals = compare_rows(sketch.facts, new, rng_for(0, "drift"))
    far, limit = new.distances, sketch.limit
    unfamiliar = None if far is None or limit is None else float((far > limit).mean())
    return Drift(len(new), len(sketch.facts), tuple(labels), signals, unfamiliar)


def sketch_in(folder: Path, classifier: Classifier) -> Sketch:
    """Return what a classifier keeps of its pool in its folder.

    Raises `ModelError` if it keeps nothing, or that cannot be read.
    """
    sketch = read_sketch(folder, len(classifier.form.labels))
    if sketch is None:
        raise ModelError(
            f"{folder} keeps nothing of its pool to compare with (it was made by an earlier version, or of fewer than "
            f"{2 * FEWEST} rows): make the classifier again with `pet distill`."
        )
    return sketch


def watch(
    model: str | Path, source: str, on_bad_row: str = "error", encoding: str = "utf-8"
) -> tuple[Drift, ReadResult]:
    """Compare the rows of a file, or some of very many, with the pool of a classifier; return what was read, too.

    Raises `ModelError` if there is no classifier, or it keeps nothing of its pool. Raises `DataError` if the file
    cannot be used.
    """
    classifier, folder = load_classifier(model), model_folder(model)
    sketch, form = sketch_in(folder, classifier), classifier.form
    options = ReadOptions("input", form.columns, form.label_column, form.id_column, on_bad_row=on_bad_row, mapped=False)  # type: ignore[arg-type]
    read = read_examples(parse_source(source, encoding), options)
    drawn = np.sort(rng_for(0, "watched").permutation(len(read.examples))[:WATCHED_ROWS])
    rows = read.examples.take(drawn)
    with stage_progress("reading", len(rows)) as advance:
        facts = Scorer.of(classifier, sketch).facts(rows, advance)
    return compare(sketch, facts, form.labels), read


def watch_lines(drift: Drift) -> list[str]:
    """Return the verdict, and a line for each signal: its effect, and what chance or harmlessness allows."""
    lines = [drift.verdict, ""]
    for one in drift.signals:
        mark = "drift" if one.drifted else "alike"
        lines.append(f"{one.name:<16} {mark}  {one.effect:.2f} (chance {one.chance:.2f})  {drift.said(one)}")
    if drift.unfamiliar is not None:
        lines.append(f"{'unfamiliar':<16} {drift.unfamiliar:.1%} of the rows, expected {1 - FAMILIAR:.0%}")
    return lines
