"""The confidence of a student, made to be what its teacher's is, and what share of rows that is enough for."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from pet.labeling.acceptance import AcceptanceCurve
from pet.learners.students.base import HeldOut, Student
from pet.learners.students.fitting import scale_and_offsets

S = TypeVar("S", bound=Student)

SHRINKAGE = 10.0
"""Temperature and offsets are held to 1 and 0 as by so many rows: 30 rows shall not decide about 77 labels."""


def calibrated(student: S, held: HeldOut, says: Callable[[S], np.ndarray] | None = None) -> S:
    """Fold a temperature and an offset per label into the last layer, and return the student with its curve.

    They are fitted on rows held out of it, to the soft labels there (vector scaling of 1706.04599 with one scale).
    `says` gives its probabilities of these rows, float32 [r, k], where that takes less than reading them.
    """
    says = says or (lambda student: student.probabilities(held.examples))
    scale, offsets = scale_and_offsets(says(student), held.probs, SHRINKAGE)
    student.rescale(scale, offsets)
    confidence = says(student).max(axis=1)
    return student.accepting(AcceptanceCurve.measured(np.asarray(confidence)))
