"""Which labels to accept for a wished precision, by hand."""

import numpy as np
import pytest

from pet.labeling.acceptance import AcceptanceCurve, AcceptancePoint

FOUR = np.array([0.5, 0.9, 1.0, 0.8], np.float32)


def test_the_precision_of_rows_is_the_mean_of_their_confidences() -> None:
    curve = AcceptanceCurve.measured(FOUR)
    assert [point.share for point in curve.points] == [0.25, 0.5, 0.75, 1.0]
    assert [point.precision for point in curve.points] == pytest.approx([1.0, 0.95, 0.9, 0.8], abs=1e-5)
    assert [point.threshold for point in curve.points] == pytest.approx([1.0, 0.9, 0.8, 0.5], abs=2e-6)
    # The row that a point was made of is accepted by it.
    assert [(point.threshold <= FOUR).sum() for point in curve.points] == [1, 2, 3, 4]


def test_as_many_rows_as_the_wish_allows() -> None:
    curve = AcceptanceCurve.measured(FOUR)
    for wished, share in ((0.0, 1.0), (0.8, 1.0), (0.85, 0.75), (0.93, 0.5), (1.0, 0.25)):
        found = curve.reaching(wished - 1e-4)
        assert found is not None and found.share == share
    curve = AcceptanceCurve.measured(FOUR - 0.1)
    assert curve.reaching(0.95) is None
    assert curve.best.precision == pytest.approx(0.9)


def test_many_rows_are_a_hundred_points_and_are_read_back() -> None:
    curve = AcceptanceCurve.measured(np.linspace(0.3, 1.0, 12_345))
    assert len(curve.points) == 100
    assert curve.points[-1] == AcceptancePoint(0.3, 0.65, 1.0)
    falling = [point.precision for point in curve.points]
    assert falling == sorted(falling, reverse=True)
    assert AcceptanceCurve.from_rows(curve.rows()) == curve
    with pytest.raises(ValueError, match="expected threshold, precision and share"):
        AcceptanceCurve.from_rows([[0.1, 0.2]])
