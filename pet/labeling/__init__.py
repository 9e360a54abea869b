"""What decides which label a row gets: arithmetic on [n, k] arrays, numpy only."""

from pet.labeling.calibration import (
    Calibration,
    batch_calibrated,
    calibrated,
    calibration_offset,
    prior_offset,
    smoothed_prior,
)
from pet.labeling.ensemble import Weighting, agreement, combine, mean_scores, weigh
from pet.labeling.guards import (
    FEW_ROWS,
    FOLDS,
    LEAST_PER_LABEL,
    GenerationFigures,
    HeldOut,
    gold_folds,
    measure,
    one_sided,
    rejection,
)
from pet.labeling.selection import MOST_LIKELY, MOST_STEPS, Confidence, Growth, Rule, Selection, select
from pet.labeling.votes import SoftLabels, Votes, log_softmax, row_blocks, softmax

__all__ = [
    "FEW_ROWS",
    "FOLDS",
    "LEAST_PER_LABEL",
    "MOST_LIKELY",
    "MOST_STEPS",
    "Calibration",
    "Confidence",
    "GenerationFigures",
    "Growth",
    "HeldOut",
    "Rule",
    "Selection",
    "SoftLabels",
    "Votes",
    "Weighting",
    "agreement",
    "batch_calibrated",
    "calibrated",
    "calibration_offset",
    "combine",
    "gold_folds",
    "log_softmax",
    "mean_scores",
    "measure",
    "one_sided",
    "prior_offset",
    "rejection",
    "row_blocks",
    "select",
    "smoothed_prior",
    "softmax",
    "weigh",
]
