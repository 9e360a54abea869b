"""Which variant should I take? Accuracy, trained numbers, seconds and bytes of each, one voter on the same rows.

    python tests/benchmarks/variants.py DATA_DIR [--tasks agnews mr trec6 rte] [--seeds 0 1 2] [--dev]
    python tests/benchmarks/variants.py DATA_DIR --tasks mr --dev --variants lora:learning_rate=2e-3,steps=100 bitfit
    python tests/benchmarks/variants.py DATA_DIR --kept FILE         # go on where the same command stopped

Every variant is trained on the first of the task's four patterns. Then ensembles of four voters, one per pattern:
each of one preset, and "mixed", the presets of `MIXED`. `--dev` measures on rows of the train file that were not drawn.
"""

import argparse
import json
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from accuracy import TASKS, development_rows, labels_of
from kept import Kept, bundled_model
from run_jobs import jobs_of
from safetensors import safe_open

import pet
from pet.learners.models.sources import quiet_transformers
from pet.learners.voters.spec import VoterSpec
from pet.method.generation import TrainingSet
from pet.method.jobs import Jobs
from pet.method.plan.plan import Plan, prepare
from pet.method.vote import vote_of, voter_job

VARIANTS = (
    "pet",
    "lora",
    "bitfit",
    "adapter",
    "unipelt",
    "p-tuning",
    "prompt-tuning",
    "prefix-tuning",
    "word-tuning",
    "warp",
)
MIXED = ("pet", "lora", "word-tuning", "bitfit")
"""The variant of each pattern of the mixed ensemble."""


@dataclass(frozen=True)
class Cost:
    """What one voter took: numbers trained, seconds in all, and bytes to keep it."""

    numbers: int
    seconds: float
    size: int


@dataclass(frozen=True)
class Sample:
    """One sample of the labeled rows: a plan whose voters are the variants, and columns of the test rows, int64 [n]."""

    plan: Plan
    jobs: Jobs
    gold: np.ndarray

    def vote(self, spec: VoterSpec) -> tuple[np.ndarray, Cost]:
        """Train a voter; return its raw test scores [n, k] and what it took."""
        training, pool = TrainingSet(np.arange(len(self.plan.data.labeled))), np.empty(0, np.int64)
        started = time.monotonic()
        scores = vote_of(self.jobs, spec, training, pool).test
        seconds = time.monotonic() - started
        folder = self.jobs.runner.store.path(voter_job(self.jobs, spec, training, pool)) / "model"
        whole = folder / "model.safetensors"
        files = [whole] if whole.exists() else [folder / "voter.safetensors"]
        return scores, Cost(sum(map(_numbers, files)), seconds, sum(file.stat().st_size for file in files))

    def accuracy(self, scores: np.ndarray) -> float:
        """Return the share of rows whose highest score is the right label's."""
        return 100 * float((scores.argmax(axis=1) == self.gold).mean())


def _numbers(file: Path) -> int:
    with safe_open(file, "np") as tensors:
        return sum(int(np.prod(tensors.get_slice(name).get_shape())) for name in tensors.keys())  # noqa: SIM118


def table_of(variant: str, patterns: Sequence[str], name: str) -> dict[str, Any]:
    """Read ``lora:learning_rate=2e-3,steps=100`` as a table of voters."""
    preset, _, changes = variant.partition(":")
    table: dict[str, Any] = {"preset": preset, "patterns": list(patterns), "name": re.sub(r"[^\w.-]", "-", name)}
    for change in filter(None, changes.split(",")):
        key, _, value = change.partition("=")
        try:
            table[key] = json.loads(value)
        except json.JSONDecodeError:
            table[key] = value
    return table


def draw(task: str, seed: int, options: argparse.Namespace, scratch: Path) -> Sample:
    """Draw the labeled rows of one sample and plan all voters on them."""
    folder = options.data.absolute() / task
    train, test = folder / "train.jsonl.gz", folder / "test.jsonl.gz"
    if options.dev:
        train, test = development_rows(train, scratch, seed, 10, options.max_test)
    prompts = dict(TASKS[task]["prompts"])
    patterns = prompts["patterns"]
    voters = [table_of(variant, patterns[:1], variant) for variant in options.variants]
    for ensemble in options.ensembles:
        presets = MIXED if ensemble == "mixed" else [ensemble] * len(patterns)
        voters += [table_of(preset, [patterns[i]], f"4-{ensemble}") for i, preset in enumerate(presets)]
    tables = {
        "task": {**TASKS[task].get("task", {}), "labels": labels_of(folder / "train.jsonl.gz")},
        "data": {
            "train": str(train),
            "examples_per_label": 10,
            "unlabeled": str(folder / "unlabeled.jsonl.gz"),
            "test": str(test),
            "max_unlabeled": 300,
            "max_test": options.max_test,
        },
        "prompts": prompts,
        "train": {"voters": voters},
        "run": {"seed": seed, "keep_models": True},
    }
    plan = prepare(pet.RunConfig.from_mapping(tables))
    labels = plan.data.task.labels
    gold = np.asarray([labels.index(str(row.label)) for row in plan.data.test])
    return Sample(plan, jobs_of(plan, scratch / "jobs"), gold)


def measure(sample: Sample, voters: Sequence[VoterSpec], tell: str) -> dict[str, Any]:
    """Return the accuracy of some voters together, and the cost of the first."""
    votes = []
    for spec in voters:
        scores, cost = sample.vote(spec)
        votes.append((scores, cost))
        print(f"  {tell} {spec.name}: {sample.accuracy(scores):.1f}, {cost}", flush=True)
    return {"accuracy": sample.accuracy(np.mean([scores for scores, _ in votes], axis=0)), "cost": asdict(votes[0][1])}


def measure_all(task: str, seed: int, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return what was found of each variant and ensemble on one sample."""
    kept, found = Kept(options.kept), {}
    with tempfile.TemporaryDirectory() as scratch:
        sample = draw(task, seed, options, Path(scratch))
        units: dict[str, list[VoterSpec]] = {}
        for spec in sample.plan.patterns:
            units.setdefault(spec.variant.replace("4-", "ensemble, ", 1), []).append(spec)
        for name, voters in units.items():
            asked = {"variant": name, "max_test": options.max_test, "dev": options.dev, "model": bundled_model()}
            work = partial(measure, sample, voters, f"{task} {seed}")
            found[name] = kept.measured({"task": task, "seed": seed, **asked}, work)
    return found


def show(table: Mapping[str, Sequence[Mapping[str, dict[str, Any]]]]) -> None:
    """Print one line per variant: mean and standard deviation per task, the mean over tasks, and what it costs."""
    print(f"\n{'':<28}" + "".join(f"{task:>14}" for task in table) + f"{'mean':>8}{'numbers':>12}{'s':>8}{'kB':>9}")
    for name in next(iter(table.values()))[0]:
        cells = [[sample[name]["accuracy"] for sample in samples] for samples in table.values()]
        shown = [f"{mean(cell):.1f} ± {stdev(cell) if len(cell) > 1 else 0:.1f}" for cell in cells]
        line = f"{name:<28}" + "".join(f"{cell:>14}" for cell in shown) + f"{mean(map(mean, cells)):>8.1f}"
        if not name.startswith("ensemble"):
            own = [Cost(**sample[name]["cost"]) for samples in table.values() for sample in samples]
            line += f"{own[0].numbers:>12,}{mean(one.seconds for one in own):>8.1f}{own[0].size / 1000:>9.0f}"
        print(line)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--tasks", nargs="+", default=["agnews", "mr", "trec6", "rte"], choices=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), metavar="PRESET[:KEY=VALUE,...]")
    parser.add_argument("--ensembles", nargs="*", default=["pet", "mixed"], metavar="PRESET")
    parser.add_argument("--max-test", type=int, default=600)
    parser.add_argument("--dev", action="store_true")
    parser.add_argument("--kept", type=Path, default=None)
    options = parser.parse_args()
    quiet_transformers()
    show({task: [measure_all(task, seed, options) for seed in options.seeds] for task in options.tasks})


if __name__ == "__main__":
    main()
