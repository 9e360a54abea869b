"""The labels of the ensemble, refined on the pool by near rows and clusters, unless the gold rows tell against it."""

from dataclasses import dataclass, replace

import numpy as np

from pet.labeling.calibration import at_temperature, doubtful_temperature, fitted_temperature
from pet.labeling.ensemble import disagreement
from pet.labeling.guards import held_out_mean
from pet.labeling.neighbours import CORE_ROWS, NEIGHBOURS, neighbour_graph
from pet.labeling.refinement import beside, objection, refined
from pet.labeling.votes import SoftLabels, softmax
from pet.learners.models.sources import ModelSource
from pet.method.embed import embedded
from pet.method.ensemble import EMBEDDINGS, PATTERNS
from pet.method.generation import Ensemble
from pet.method.jobs import Jobs
from pet.seeding import rng_for
from pet.settings.run import RefineSettings

ROWS_PER_LABEL = 3
"""A row has at most one neighbour for so many rows that each label has in the mean: others are of other labels."""


@dataclass(frozen=True)
class Refinement:
    """How labels are refined: by the vectors of an encoder (None: not at all).

    `gold` int64 [n] are the columns of the labeled rows, `out_of_fold` bool [m, n] says who did not learn from which.
    """

    settings: RefineSettings
    encoder: ModelSource | None
    gold: np.ndarray
    out_of_fold: np.ndarray


def refine(ensemble: Ensemble, rows: np.ndarray, how: Refinement, jobs: Jobs) -> Ensemble:
    """Return an ensemble whose labels of pool rows (int64 [n]) are refined, where nothing tells against it.

    Neighbours and clusters that agree make labels surer than they are right: a temperature of at least 1 takes that
    back. It fits the gold rows held out, and where they are few it is near the one at which labels are as sure as the
    two families of voters agree.
    """
    count, first = len(rows), ensemble.mean
    if how.settings.method == "none" or how.encoder is None or count < 2:
        return ensemble
    found = embedded(how.encoder, jobs)
    core = np.sort(rng_for(jobs.seed, "core").choice(count, CORE_ROWS, replace=False)) if count > CORE_ROWS else None
    most = how.settings.neighbours or int(np.clip(count // (ROWS_PER_LABEL * len(first.labels)), 1, NEIGHBOURS))
    graph = neighbour_graph(found.pool if count == len(found.pool) else found.pool[rows], most, core)
    probs, known, temperature = refined(first.probs, graph), how.out_of_fold.any(axis=0), 1.0
    if how.settings.method == "auto":
        before = softmax(held_out_mean(ensemble.gold, ensemble.weights, how.out_of_fold)[known])
        after = beside(before, found.labeled[known], graph, probs)
        if why := objection(first.hard(), graph, before, after, how.gold[known]):
            jobs.runner.note(f"the labels are not refined on the pool: {why}")
            return ensemble
        temperature = max(1.0, fitted_temperature(_logs(after), how.gold[known], _doubt(ensemble, probs)))
    on_test = _at(beside(softmax(ensemble.on_test()), found.test, graph, probs), temperature)
    probs = _at(probs, temperature)
    return replace(ensemble, graph=graph, refined=SoftLabels(first.ids, first.labels, probs), refined_test=on_test)


def _doubt(ensemble: Ensemble, probs: np.ndarray) -> float:
    """Return the temperature of probabilities [n, k] at which they are as sure as the families agree, if both vote."""
    families = [[one for one in ensemble.votes if one.family == name] for name in (PATTERNS, EMBEDDINGS)]
    return doubtful_temperature(probs, 1 - disagreement(*families)) if all(families) else 1.0


def _logs(probs: np.ndarray) -> np.ndarray:
    return np.log(np.clip(np.asarray(probs, np.float64), 1e-9, None))


def _at(probs: np.ndarray, temperature: float) -> np.ndarray:
    """Return probabilities float32 [n, k] at a temperature; as they are at 1."""
    return probs if temperature == 1.0 else np.exp(at_temperature(_logs(probs), temperature))
