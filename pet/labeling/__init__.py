"""What decides which label a row gets: arithmetic on [n, k] arrays, numpy only."""

from pet.labeling.calibration import batch_calibrated, log_softmax
from pet.labeling.ensemble import Weighting, agreement, combine, mean_scores, weigh
from pet.labeling.votes import SoftLabels, Votes, softmax

__all__ = [
    "SoftLabels",
    "Votes",
    "Weighting",
    "agreement",
    "batch_calibrated",
    "combine",
    "log_softmax",
    "mean_scores",
    "softmax",
    "weigh",
]
