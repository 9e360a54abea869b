"""Which labels to accept without looking, for a wished precision: by calibrated confidences."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_POINTS = 100
_DIGITS = 6


@dataclass(frozen=True)
class AcceptancePoint:
    """Rows of at least the confidence `threshold` are a `share` of all, and are expected to be right in `precision`."""

    threshold: float
    precision: float
    share: float


@dataclass(frozen=True)
class AcceptanceCurve:
    """Points from the highest threshold to the lowest: the more rows, the lower the precision."""

    points: tuple[AcceptancePoint, ...]

    @classmethod
    def measured(cls, confidence: np.ndarray) -> "AcceptanceCurve":
        """Return the curve of calibrated confidences [n] of rows like those to come.

        The expected precision of rows is the mean of their confidences: what calibrated means. A hundred points at
        most, at even shares.

        >>> AcceptanceCurve.measured(np.array([0.9, 0.7])).points[-1]
        AcceptancePoint(threshold=0.7, precision=0.8, share=1.0)
        """
        falling = np.sort(np.asarray(confidence, np.float64))[::-1]
        counts = np.unique(np.linspace(1, len(falling), min(_POINTS, len(falling))).astype(np.int64))
        # Rounded down, so that the row that a point was made of is still accepted.
        thresholds = np.floor(falling[counts - 1] * 10**_DIGITS) / 10**_DIGITS
        precisions = (np.cumsum(falling)[counts - 1] / counts).round(_DIGITS)
        shares = (counts / len(falling)).round(_DIGITS)
        return cls.from_rows(np.stack([thresholds, precisions, shares], axis=1).tolist())

    @classmethod
    def from_rows(cls, rows: Sequence[Sequence[float]]) -> "AcceptanceCurve":
        """Return the curve of rows (threshold, precision, share).

        Raises `ValueError` if a row is none.
        """
        return cls(tuple(AcceptancePoint(*map(float, _three(row))) for row in rows))

    def rows(self) -> list[list[float]]:
        """Return the points as rows (threshold, precision, share)."""
        return [[point.threshold, point.precision, point.share] for point in self.points]

    def reaching(self, precision: float) -> AcceptancePoint | None:
        """Return the point that accepts the most rows at a precision; None where even the first falls short."""
        return next((point for point in reversed(self.points) if point.precision >= precision), None)

    @property
    def best(self) -> AcceptancePoint:
        """The point of the highest precision."""
        return self.points[0]


def _three(row: Sequence[float]) -> Sequence[float]:
    if len(row) != 3:
        raise ValueError(f"expected threshold, precision and share, found {row}")
    return row
