"""Which calibration, prior and confidence are best with few labels? On train rows that were not drawn, never on test.

    python tests/benchmarks/choices.py DATA_DIR [--tasks agnews mr trec6 mpqa imdb] [--seeds 0 1 2] [--per-label 10]

The voters vote once per sample; everything else is arithmetic on their votes. Printed are the accuracy of the ensemble
under each calibration and prior, and, for each confidence, the share of right labels among the rows that the next
training sets would be drawn from the pool. `--per-label 0` asks the untrained patterns, batch-calibrated.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean, stdev

import numpy as np
from accuracy import TASKS, development_rows, labels_of
from run_jobs import jobs_of

import pet
from pet.labeling.calibration import Calibration, calibration_offset
from pet.labeling.ensemble import combine
from pet.labeling.growth import Growth
from pet.labeling.selection import MOST_LIKELY, Confidence, Rule, select
from pet.labeling.transport import prior_offset
from pet.labeling.votes import Votes, log_softmax
from pet.learners.models.sources import quiet_transformers
from pet.method.generation import TrainingSet
from pet.method.plan.plan import prepare
from pet.method.vote import VoterScores, vote
from pet.seeding import rng_for
from pet.settings.run import IpetSettings

CALIBRATIONS: tuple[Calibration, ...] = ("none", "batch", "contextual")
CONFIDENCES: tuple[Confidence, ...] = ("probability", "margin", "consensus")
DRAWS = 15


@dataclass(frozen=True)
class Sample:
    """The raw scores of each voter on rows whose labels are known: `gold` int64 [n]; `labeled` rows per label."""

    voters: list[VoterScores]
    gold: np.ndarray
    labeled: tuple[int, ...]

    def votes(self, calibration: Calibration, prior: str = "none") -> list[Votes]:
        """Return the votes under a calibration and a prior."""
        k, found = len(self.labeled), []
        for i, raw in enumerate(self.voters):
            scores = log_softmax(raw.pool) + calibration_offset(calibration, raw.pool, raw.content_free)
            if prior == "uniform":
                scores = scores + prior_offset(scores, np.full(k, 1 / k))
            ids, labels = (tuple(map(str, range(size))) for size in scores.shape)
            found.append(Votes(f"v{i}", 0, ids, labels, scores.astype(np.float32)))
        return found

    def accuracy(self, calibration: Calibration, prior: str) -> float:
        """Return the accuracy of the ensemble."""
        return float((combine(self.votes(calibration, prior)).hard() == self.gold).mean())

    def drawn(self, confidence: Confidence, step: int, factor: float = 5.0) -> float:
        """Return the share of right labels among the rows drawn for the sets of a growth step."""
        votes = self.votes("none" if any(self.labeled) else "batch")
        growth = Growth(self.labeled, factor, IpetSettings().first_rows)
        wanted = np.minimum(growth.wanted(step), len(self.gold) // (2 * len(self.labeled)))
        rule = Rule(confidence=confidence, most_likely=MOST_LIKELY if growth.from_zero and step == 1 else 0)
        found = []
        for seed in range(DRAWS):
            for i, one in enumerate(votes):
                chosen = select(votes, one.voter, wanted, rule, rng_for(seed, "choices", i))
                found.append((self.gold[chosen.rows] == chosen.columns).mean())
        return float(np.mean(found))


def cast(task: str, data: Path, seed: int, options: argparse.Namespace, scratch: Path) -> Sample:
    """Let the voters of one sample vote."""
    train, dev = development_rows(data / task / "train.jsonl.gz", scratch, seed, options.per_label, options.pool)
    labels = labels_of(data / task / "train.jsonl.gz")
    files = {"unlabeled": str(dev)} | ({"train": str(train)} if options.per_label else {})
    tables = {**TASKS[task], "task": {"labels": labels}, "data": files, "run": {"seed": seed}}
    plan = prepare(pet.RunConfig.from_mapping(tables))
    training, rows = TrainingSet(np.arange(len(plan.data.labeled))), np.arange(len(plan.data.unlabeled))
    known = {row["text"]: row["label"] for row in map(json.loads, dev.read_text(encoding="utf-8").splitlines())}
    gold = np.asarray([labels.index(known[example.fields["text"]]) for example in plan.data.unlabeled])
    voters = vote(plan.patterns, [training] * len(plan.patterns), rows, 0, jobs_of(plan, scratch / "jobs"))
    return Sample(voters, gold, plan.drawing.growth.counts)


def show(title: str, samples: Mapping[str, list[Sample]], ways: Mapping[str, Callable[[Sample], float]]) -> None:
    """Print one line per way: mean and standard deviation per task, and the mean over tasks."""
    print(f"\n{title:<34}" + "".join(f"{task:>16}" for task in samples) + f"{'mean':>8}")
    for name, measure in ways.items():
        cells = [[100 * measure(sample) for sample in found] for found in samples.values()]
        shown = [f"{mean(cell):.1f} ± {stdev(cell) if len(cell) > 1 else 0:.1f}" for cell in cells]
        print(f"{name:<34}" + "".join(f"{cell:>16}" for cell in shown) + f"{mean(map(mean, cells)):>8.1f}", flush=True)


def main() -> None:
    """Let the voters vote, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--tasks", nargs="+", default=["agnews", "mr", "trec6", "mpqa", "imdb"], choices=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--per-label", type=int, default=10)
    parser.add_argument("--pool", type=int, default=500)
    options = parser.parse_args()
    quiet_transformers()
    samples: dict[str, list[Sample]] = {task: [] for task in options.tasks}
    for task in options.tasks:
        for seed in options.seeds:
            with tempfile.TemporaryDirectory() as scratch:
                samples[task].append(cast(task, options.data, seed, options, Path(scratch)))
    ensembles = {
        f"{how}, prior {prior}": partial(Sample.accuracy, calibration=how, prior=prior)
        for how in CALIBRATIONS
        for prior in ("none", "uniform")
    }
    show("calibration: ensemble", samples, ensembles)
    for step in (1, 2):
        ways: dict[str, Callable[[Sample], float]] = {
            name: partial(Sample.drawn, confidence=name, step=step) for name in CONFIDENCES
        }
        show(f"confidence: rows of step {step}", samples, ways)


if __name__ == "__main__":
    main()
