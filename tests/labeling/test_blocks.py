"""What is computed a block of rows at a time is what it is for all rows at once."""

import numpy as np
import pytest

from pet.labeling import votes
from pet.labeling.calibration import calibrated, calibration_offset
from pet.labeling.ensemble import combine, mean_scores
from pet.labeling.guards import measure
from pet.labeling.transport import prior_offset
from pet.labeling.votes import Votes, row_blocks, softmax

SCORES = np.random.default_rng(0).normal(size=(2, 7, 3)).astype(np.float32)
VOTERS = [Votes(str(i), 0, tuple("abcdefg"), tuple("xyz"), SCORES[i], 1.0 + i) for i in range(2)]
PRIOR = np.array([0.5, 0.3, 0.2])


def found() -> list[np.ndarray]:
    figures = measure(VOTERS, PRIOR, np.array([0, -1, 1, 2, 0, 1, 2]), None)
    offset = calibration_offset("batch", SCORES[0], SCORES[0])
    arrays = [softmax(SCORES[0]), combine(VOTERS).probs, calibrated(SCORES[0], offset), offset]
    return [*arrays, prior_offset(SCORES[0], PRIOR), np.array([figures.entropy, figures.agreement])]


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = found()
    monkeypatch.setattr(votes, "BLOCK_ROWS", 2)
    assert [(rows.start, rows.stop) for rows in row_blocks(3)] == [(0, 2), (2, 4)]
    for block, one in zip(found(), whole, strict=True):
        assert block == pytest.approx(one, abs=1e-6)
    assert combine(VOTERS).probs == pytest.approx(softmax(mean_scores(VOTERS)))
