"""Labeled rows that are nearest to a text, by what the last layer of the classifier reads: why it says what it says."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pet.data.examples import Example
from pet.data.kept import KEPT_ROWS, read_kept_rows
from pet.errors import ModelError
from pet.learners.students.base import Classifier
from pet.learners.students.classifier import TextClassifier

SHOWN = 3
"""So many labeled rows are shown for a text."""


@dataclass(frozen=True)
class LabeledRows:
    """Labeled rows and their vectors, float32 [r, h], centred on `mean` [h] and of length 1."""

    classifier: TextClassifier
    rows: Sequence[Example]
    mean: np.ndarray
    vectors: np.ndarray

    @classmethod
    def of(cls, classifier: Classifier, folder: Path) -> "LabeledRows | str":
        """Read the rows beside a classifier; a sentence says why there are none."""
        rows = [row for row in read_kept_rows(folder) if row.fields.keys() == classifier.form.columns.keys()]
        if not rows:
            return f"No labeled rows lie beside this classifier ({KEPT_ROWS}), so that none can be shown."
        if not isinstance(classifier, TextClassifier):
            return "A classifier of this kind has no vectors by which labeled rows could be near."
        try:
            vectors = classifier.vectors(rows)
        except ModelError as error:
            return str(error)
        mean = vectors.mean(axis=0)
        return cls(classifier, rows, mean, _unit(vectors - mean))

    def near(self, rows: Sequence[Example]) -> list[list[dict[str, Any]]]:
        """Return for each row the labeled ones that are nearest, with their cosine, the nearest first."""
        cosines = _unit(self.classifier.vectors(rows) - self.mean) @ self.vectors.T
        places = np.argsort(-cosines, axis=1, kind="stable")[:, :SHOWN].tolist()
        return [
            [
                {"id": self.rows[i].id, "label": self.rows[i].label, "fields": dict(self.rows[i].fields)}
                | {"similarity": round(float(own[i]), 3)}
                for i in some
            ]
            for own, some in zip(cosines, places, strict=True)
        ]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9))
