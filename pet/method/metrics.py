"""What a set of predictions is worth, against labels or against other predictions."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from pet.data.examples import Example
from pet.data.names import parents_of


@dataclass(frozen=True)
class Evaluation:
    """Accuracy and macro-F1 in [0, 1] over n labeled rows, per-label F1, and the confusion matrix.

    `confusion[i][j]` counts rows of label i that were predicted as label j, in the order of `f1`. `parents` are the
    figures of the first parts of names with dots, where labels have such names: ``card`` of ``card.arrival``.
    """

    n: int
    accuracy: float
    macro_f1: float
    f1: dict[str, float]
    confusion: list[list[int]]
    parents: "Evaluation | None" = None

    def as_json(self) -> dict[str, object]:
        """Return plain values."""
        plain = {name: value for name, value in asdict(self).items() if name != "parents"}
        more = {"parents": self.parents.as_json()} if self.parents else {}
        return {**plain, "labels": list(self.f1), **more}


def gold_columns(examples: Sequence[Example], labels: Sequence[str]) -> np.ndarray:
    """Return int64 [n], the column of each row's label."""
    columns = {label: k for k, label in enumerate(labels)}
    return np.asarray([columns[str(example.label)] for example in examples], np.int64)


def evaluate(predicted: np.ndarray, gold: np.ndarray, labels: Sequence[str]) -> Evaluation:
    """Compare predicted with gold columns, both int64 [n]. Macro-F1 is the mean over the labels that occur in either.

    >>> evaluate(np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1]), ["no", "yes"]).accuracy
    0.75
    """
    every, columns = list(range(len(labels))), parents_of(labels)
    above = np.empty(len(labels), np.int64)
    for parent, own in enumerate(columns.values()):
        above[own] = parent
    scores = f1_score(gold, predicted, labels=every, average=None, zero_division=0.0)
    return Evaluation(
        n=len(gold),
        accuracy=float(accuracy_score(gold, predicted)),
        macro_f1=float(scores[np.union1d(gold, predicted)].mean()),
        f1={label: float(score) for label, score in zip(labels, scores, strict=True)},
        confusion=confusion_matrix(gold, predicted, labels=every).tolist(),
        parents=evaluate(above[predicted], above[gold], list(columns)) if columns else None,
    )
