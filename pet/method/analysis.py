"""What `metrics.json` tells of voters, labels and rows beside accuracies: the figures of the report.

data               rows that were left out, words per row, tokens per row and how many rows are cut, what was said
voters, agreement  coverage, overlaps and conflicts of each voter, its accuracies, and how often two say the same
confidence         how sure the labels of the pool are
reliability        whether those of a confidence are right as often, on test rows or gold rows held out
suspicious_gold    gold rows whose label the voters that did not learn from them contradict
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pet.data.dataset import TaskData
from pet.data.examples import Example
from pet.data.words import word_count
from pet.labeling.analysis import (
    BINS,
    agreement_matrix,
    bins_of,
    conflicts,
    coverage,
    disagreed_rows,
    interval,
    overlaps,
    reliability,
)
from pet.labeling.calibration import batch_calibrated
from pet.labeling.guards import held_out_mean
from pet.labeling.votes import softmax
from pet.learners.models.sources import ModelSource, load_tokenizer, longest_input
from pet.learners.students.base import ClassifierForm
from pet.learners.voters.embedding import AnySpec, EmbeddingSpec
from pet.learners.voters.outside import OutsideSpec
from pet.learners.voters.spec import VoterSpec
from pet.method.embed import embedded
from pet.method.generation import Ensemble, Generation
from pet.method.jobs import Jobs
from pet.method.metrics import Evaluation, evaluate, gold_columns
from pet.method.vote import zero_shot
from pet.prompts.pvp import PVP

SAMPLED_ROWS = 5000
"""So many rows of a set are measured, at even distances, where there are more."""

TOKENIZED_ROWS = 500
"""So many rows of the pool are split into tokens."""

SUSPICIOUS, CONFUSED = 20, 50
"""So many suspicious rows and pairs of labels are listed."""


@dataclass(frozen=True)
class Asked:
    """The voters of a run, of which gold rows each spoke without having learned from them (bool [m, n]).

    `pvps` are those that were asked untrained, too.
    """

    voters: Sequence[AnySpec]
    out_of_fold: np.ndarray
    pvps: Sequence[PVP] = ()


def analysis(last: Generation, asked: Asked, jobs: Jobs) -> dict[str, Any]:
    """Return the figures of a generation that has labeled the pool, as plain values."""
    data, gold, ensemble = jobs.rows.data, jobs.rows.gold, last.ensemble
    test = gold_columns(data.test, data.task.labels)
    votes = np.stack([vote.hard() for vote in ensemble.votes])
    found: dict[str, Any] = {
        "data": {**_data_figures(data), "tokens": _tokens(asked.voters, jobs)},
        "voters": _voter_figures(ensemble, votes, test, asked, jobs),
        "agreement": [[_plain(share) for share in row] for row in agreement_matrix(votes)],
        "disagreed_rows": disagreed_rows(votes),
        "confidence": _confidence(ensemble.soft.confidence()),
    }
    probs, measured = _on_gold(ensemble, asked.out_of_fold)
    found["suspicious_gold"] = _suspicious(data, probs, gold, measured)
    if len(test):
        found["reliability"] = {"rows": "test rows", **reliability(_as_probs(ensemble), test).as_json()}
    elif measured.any():
        rows = "gold rows held out"
        found["reliability"] = {"rows": rows, **reliability(probs[measured], gold[measured]).as_json()}
    return found


def classifier_figures(says: np.ndarray, data: TaskData) -> dict[str, Any]:
    """Return what the test rows tell of a classifier's probabilities float32 [r, k], as plain values.

    Per label precision and recall with their 95 % intervals, its rows and how often it was given; the pairs of labels
    that are confused most often; how sure it is. Empty without test rows.
    """
    if not data.test:
        return {}
    labels = data.task.labels
    gold = gold_columns(data.test, labels)
    found = evaluate(says.argmax(axis=1), gold, labels)
    return {
        "accuracy_interval": list(interval(round(found.accuracy * found.n), found.n)),
        "per_label": per_label(found),
        "confused": _confused(found),
        "reliability": {"rows": "test rows", **reliability(says, gold).as_json()},
    }


def per_label(found: Evaluation) -> list[dict[str, Any]]:
    """Return precision, recall and F1 of each label, with 95 % intervals; None where it was never given, or has no row.

    >>> per_label(evaluate(np.array([0, 1, 1]), np.array([0, 0, 1]), ["no", "yes"]))[0]["recall"]
    0.5
    """
    table = np.asarray(found.confusion)
    lines = []
    for k, label in enumerate(found.f1):
        right, rows, given = int(table[k, k]), int(table[k].sum()), int(table[:, k].sum())
        lines.append(
            {
                "label": label,
                "rows": rows,
                "given": given,
                "precision": right / given if given else None,
                "precision_interval": list(interval(right, given)),
                "recall": right / rows if rows else None,
                "recall_interval": list(interval(right, rows)),
                "f1": found.f1[label],
            }
        )
    return lines


def _confused(found: Evaluation) -> list[dict[str, Any]]:
    labels, table = list(found.f1), np.asarray(found.confusion)
    pairs = [(int(table[i, j]), i, j) for i, j in zip(*np.nonzero(table), strict=True) if i != j]
    ranked = sorted(pairs, key=lambda pair: -pair[0])[:CONFUSED]
    return [{"label": labels[i], "predicted": labels[j], "rows": count} for count, i, j in ranked]


def _voter_figures(
    ensemble: Ensemble, votes: np.ndarray, test: np.ndarray, asked: Asked, jobs: Jobs
) -> list[dict[str, Any]]:
    gold, kept = jobs.rows.gold, asked.out_of_fold
    untrained = {pvp.name: _untrained(pvp, test, jobs) for pvp in asked.pvps}
    lines = []
    for i, (spec, vote) in enumerate(zip(asked.voters, ensemble.votes, strict=True)):
        rows = kept[i] if len(gold) else np.zeros(0, np.bool_)
        lines.append(
            {
                "name": vote.voter,
                "family": vote.family,
                "weight": float(ensemble.weights[i]),
                "coverage": float(coverage(votes)[i]),
                "overlaps": float(overlaps(votes)[i]),
                "conflicts": float(conflicts(votes)[i]),
                "test_accuracy": _share(ensemble.test[i], test),
                "held_out_accuracy": _share(ensemble.gold[i][rows], gold[rows]),
                "held_out_rows": int(rows.sum()),
                **(untrained.get(spec.pvp.name, {}) if isinstance(spec, VoterSpec) else {}),
            }
        )
    return lines


def _untrained(pvp: PVP, test: np.ndarray, jobs: Jobs) -> dict[str, float | None]:
    """Return what an untrained pattern is worth, its own preference for labels taken off."""
    found = zero_shot(pvp, jobs)
    return {
        "untrained_test_accuracy": _share(batch_calibrated(found.test, found.pool), test),
        "untrained_gold_accuracy": _share(batch_calibrated(found.labeled, found.pool), jobs.rows.gold),
    }


def _share(scores: np.ndarray, gold: np.ndarray) -> float | None:
    said = ~np.isnan(scores[:, 0])  # somebody else may have no vote on a row
    return float((scores.argmax(axis=1) == gold)[said].mean()) if said.any() else None


def _on_gold(ensemble: Ensemble, out_of_fold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what the voters that did not learn from each gold row say of it, [n, k], and of which rows any does."""
    measured = (ensemble.weights[:, None] * out_of_fold).sum(axis=0) > 0
    return softmax(held_out_mean(ensemble.gold, ensemble.weights, out_of_fold)), measured


def _suspicious(data: TaskData, probs: np.ndarray, gold: np.ndarray, measured: np.ndarray) -> list[dict[str, Any]]:
    """Return the gold rows that get another label, the least probable labels first."""
    own = probs[np.arange(len(gold)), gold]
    doubtful = map(int, np.flatnonzero(measured & (probs.argmax(axis=1) != gold)))
    return [
        {
            "id": data.labeled[i].id,
            "label": str(data.labeled[i].label),
            "suggested": data.task.labels[int(probs[i].argmax())],
            "confidence": float(probs[i].max()),
            "probability_of_label": float(own[i]),
        }
        for i in sorted(doubtful, key=lambda i: float(own[i]))[:SUSPICIOUS]
    ]


def _as_probs(ensemble: Ensemble) -> np.ndarray:
    """Return the probabilities on the test rows, [r, k]."""
    return ensemble.refined_test if ensemble.refined_test is not None else softmax(ensemble.on_test())


def _confidence(found: np.ndarray) -> dict[str, Any]:
    counts = np.bincount(bins_of(found, 2 * BINS), minlength=2 * BINS)
    return {"counts": counts.tolist(), "mean": float(found.mean()), "median": float(np.median(found))}


def _data_figures(data: TaskData) -> dict[str, Any]:
    counts = Counter(str(row.label) for row in data.labeled)
    sets: Mapping[str, Sequence[Example]] = {"labeled": data.labeled, "unlabeled": data.unlabeled, "test": data.test}
    return {
        "messages": list(data.messages),
        "left_out": len(data.rejected),
        "gold_rows": {label: counts[label] for label in data.task.labels},
        "words": {name: _words(rows) for name, rows in sets.items() if len(rows)},
    }


def _words(rows: Sequence[Example]) -> dict[str, float]:
    """Return how long rows are, in words."""
    some = [rows[i] for i in _some(len(rows), SAMPLED_ROWS)]
    lengths = [sum(map(word_count, row.fields.values())) for row in some]
    least, median, most = np.quantile(lengths, [0.1, 0.5, 0.9]).tolist()
    return {"tenth": least, "median": median, "nine_tenths": most, "longest": float(max(lengths))}


def _tokens(voters: Sequence[AnySpec], jobs: Jobs) -> list[dict[str, Any]]:
    """Return how many tokens the texts have for each model that reads them, and how many are cut, or read in windows.

    What a pattern says beside a text is not counted.
    """
    readers: dict[str, ModelSource] = {}
    for spec in voters:
        if isinstance(spec, OutsideSpec):
            continue
        source = spec.source if isinstance(spec, EmbeddingSpec) else jobs.model.source
        # Of an encoder the vocabulary that was cut to the run's texts is read faster.
        readers[Path(source.name).name] = embedded(source, jobs).source if isinstance(spec, EmbeddingSpec) else source
    pool = jobs.rows.data.unlabeled
    some = [pool[int(i)] for i in _some(len(pool), TOKENIZED_ROWS)]
    return [_token_figures(name, source, some, jobs.rows.form) for name, source in readers.items()]


def _token_figures(name: str, source: ModelSource, rows: Sequence[Example], form: ClassifierForm) -> dict[str, Any]:
    tokenizer = load_tokenizer(source.folder)
    texts = [list(row.fields.values()) for row in rows]
    special = tokenizer.num_special_tokens_to_add(pair=len(texts[0]) > 1)
    limit = min(form.max_length, longest_input(source.config, tokenizer)) - special
    split = partial(tokenizer, add_special_tokens=False, split_special_tokens=True, verbose=False)
    counts = np.asarray([sum(map(len, split(row).input_ids)) for row in texts])
    return {
        "model": name,
        "rows": len(rows),
        "median": float(np.median(counts)),
        "longest": int(counts.max()),
        "limit": limit,
        "cut": float((counts > limit).mean()),
        "in_windows": form.truncation == "windows",
    }


def _some(count: int, most: int) -> list[int]:
    return list(map(int, np.linspace(0, count - 1, min(count, most))))


def _plain(share: float) -> float | None:
    return None if np.isnan(share) else float(share)
