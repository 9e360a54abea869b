"""Voters with and without rows that explain the labels: accuracy on train rows that were not drawn.

    python tests/benchmarks/descriptions.py DATA_DIR [--tasks agnews mr] [--seeds 0 1 2] [--per-label 8] [--patterns 1]

Without labels (`--per-label 0`) the untrained voters are compared with those that learn the descriptions alone. The
descriptions were written from the names of the labels. Scores are calibrated on the measured rows, as on a pool.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from accuracy import TASKS, development_rows, labels_of

import pet
from pet.data.examples import Example
from pet.labeling.calibration import batch_calibrated
from pet.learners.models.sources import quiet_transformers
from pet.learners.voters.shared import SharedModel
from pet.learners.voters.spec import VoterSpec
from pet.method.metrics import gold_columns
from pet.method.plan.plan import Plan, prepare

_SENTIMENT = {
    "negative": "boring, dull, weak, a waste of time, disappointing",
    "positive": "enjoyable, moving, funny, well made, worth seeing",
}
DESCRIPTIONS = {
    "agnews": {
        "World": "international politics, wars, elections, diplomacy, disasters",
        "Sports": "games, matches, teams, players, championships",
        "Business": "companies, markets, stocks, economy, earnings, oil prices",
        "Sci/Tech": "science, software, computers, internet, space, gadgets",
    },
    "mr": _SENTIMENT,
    "imdb": _SENTIMENT,
    "trec6": {
        "abbreviation": "what letters stand for, an acronym, a full form",
        "description": "a definition, a reason, the manner, how something works, why something happens",
        "entity": "a thing, an animal, a product, a food, a color, a title, a term",
        "human": "a person, who did something, a group, an organization",
        "location": "a place, a city, a country, where something is",
        "number": "how many, how much, a date, a year, a distance, an amount of money, an age",
    },
}
PATTERNS = {
    "agnews": ("agnews/category", "agnews/colon"),
    "mr": ("sentiment/it-was", "sentiment/question"),
    "imdb": ("sentiment/it-was", "sentiment/question"),
    "trec6": ("question-type/asks-for", "question-type/type"),
}


def rows_of(file: Path, labels: tuple[str, ...], options: argparse.Namespace, seed: int) -> tuple[list[Example], ...]:
    """Return the rows to train on, label by label, and others to measure on."""
    with tempfile.TemporaryDirectory() as folder:
        paths = development_rows(file, Path(folder), seed, options.per_label, options.rows)
        sets = [[json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] for path in paths]
    gold, rows = ([Example(str(i), {"text": row["text"]}, row["label"]) for i, row in enumerate(one)] for one in sets)
    return sorted(gold, key=lambda row: labels.index(str(row.label))), rows


def plan_of(task: str, file: Path, options: argparse.Namespace) -> Plan:
    """Return the plan of a run of the task, whose voters are measured without the run."""
    tables = {
        "task": {"labels": labels_of(file), "descriptions": DESCRIPTIONS[task]},
        "data": {"unlabeled": str(file), "max_unlabeled": 50},
        "prompts": {**TASKS[task]["prompts"], "patterns": PATTERNS[task][: options.patterns]},
        "model": {"max_length": 96 if task == "imdb" else 64},
        "train": {"descriptions": options.weight},
        "run": {"device": "cpu", "precision": "fp32"},
    }
    return prepare(pet.RunConfig.from_mapping(tables))


def accuracy(
    model: SharedModel, specs: Sequence[VoterSpec], gold: list[Example], rows: list[Example], seed: int
) -> float:
    """Train voters, where they have anything to learn from; return the accuracy of their mean scores."""
    labels = specs[0].pvp.verbalizer.labels
    together = np.zeros((len(rows), len(labels)))
    for spec in specs:
        voter = model.learner(spec)
        if spec.trains(len(gold)):
            voter.train(gold, spec.train, np.random.default_rng(seed), rows)
        raw = voter.scores(rows)
        scores = batch_calibrated(raw, raw)
        together += (scores - scores.mean(1, keepdims=True)) / scores.std()
    return float((together.argmax(1) == gold_columns(rows, labels)).mean())


def main() -> None:
    """Measure, and print a line per task and sample."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--tasks", nargs="+", default=list(DESCRIPTIONS), choices=list(DESCRIPTIONS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--per-label", type=int, default=8)
    parser.add_argument("--patterns", type=int, default=2)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--weight", type=float, default=0.3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    quiet_transformers()
    for task in options.tasks:
        file, found = options.data / task / "train.jsonl.gz", []
        plan = plan_of(task, file, options)
        model = plan.model
        plain = [replace(spec, described=()) for spec in plan.patterns]
        for seed in options.seeds:
            gold, rows = rows_of(file, plan.data.task.labels, options, seed)
            both = [100 * accuracy(model, specs, gold, rows, seed) for specs in (plain, plan.patterns)]
            found.append(both)
            print(f"{task} {seed}: without {both[0]:.1f}, with {both[1]:.1f}", flush=True)
        print(f"{task}: {mean(b - a for a, b in found):+.1f} with descriptions", flush=True)


if __name__ == "__main__":
    main()
