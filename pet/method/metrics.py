"""What a set of predictions is worth, against labels or against other predictions."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from pet.data.examples import Example


@dataclass(frozen=True)
class Evaluation:
    """Accuracy and macro-F1 in [0, 1] over n labeled rows, per-label F1, and the confusion matrix.

    `confusion[i][j]` counts rows of label i that were predicted as label j, in the order of `f1`.
    """

    n: int
    accuracy: float
    macro_f1: float
    f1: dict[str, float]
    confusion: list[list[int]]

    def as_json(self) -> dict[str, object]:
        """Return plain values."""
        return {**asdict(self), "labels": list(self.f1)}


def gold_columns(examples: Sequence[Example], labels: Sequence[str]) -> np.ndarray:
    """Return int64 [n], the column of each row's label."""
    columns = {label: k for k, label in enumerate(labels)}
    return np.asarray([columns[str(example.label)] for example in examples], np.int64)


def evaluate(predicted: np.ndarray, gold: np.ndarray, labels: Sequence[str]) -> Evaluation:
    """Compare predicted with gold columns, both int64 [n]. Macro-F1 is the mean over the labels that occur in either.

    >>> evaluate(np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1]), ["no", "yes"]).accuracy
    0.75
    """
    every = list(range(len(labels)))
    scores = f1_score(gold, predicted, labels=every, average=None, zero_division=0.0)
    return Evaluation(
        n=len(gold),
        accuracy=float(accuracy_score(gold, predicted)),
        macro_f1=float(scores[np.union1d(gold, predicted)].mean()),
        f1={label: float(score) for label, score in zip(labels, scores, strict=True)},
        confusion=confusion_matrix(gold, predicted, labels=every).tolist(),
    )
