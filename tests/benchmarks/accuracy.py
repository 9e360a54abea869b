"""Accuracy with few labels: every line of the summary, mean and standard deviation over samples of the labeled rows.

    python tests/benchmarks/accuracy.py DATA_DIR [--tasks agnews mr] [--seeds 0 1 2] [--set train.steps=60] [--dev]
    python tests/benchmarks/accuracy.py DATA_DIR --tasks mr --ipet [--per-label 0] [--unlabeled 5000] [--kept FILE]
    python tests/benchmarks/accuracy.py DATA_DIR --tasks mr --setfit-python PATH

DATA_DIR has one folder per task with train, unlabeled and test .jsonl.gz files. All lines of one sample share its
labeled rows. `--dev` measures on rows of the train file that were not drawn, which is where settings are chosen;
without it the test file is measured, once. `--ipet` adds a run with generations on the same rows; `--per-label 0`
starts without labels. Rivals learn from the labeled rows of a sample too: logistic regression and self-training on
vectors of the run's encoder in the run itself, SetFit where a Python has it (see `rivals.py`). `--kept FILE` has a line
per run that is done, and the same command does the others; `results/accuracy.jsonl` is such a file.
"""

import argparse
import gzip
import json
import random
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from kept import Kept, bundled_model
from rivals import SETFIT, Setting, python_with_setfit, rival
from safetensors.numpy import load_file

import pet
from pet.data.examples import Example
from pet.method.metrics import gold_columns
from pet.method.plan.plan import prepare


def _four(family: str, names: str, verbalizer: str = "") -> dict[str, object]:
    words = {"verbalizer": verbalizer} if verbalizer else {}
    return {"patterns": [f"{family}/{name}" for name in names.split()], **words}


# Patterns of different form, not chosen by results; columns where they are called otherwise.
TASKS: dict[str, dict[str, Any]] = {
    "agnews": {"prompts": _four("agnews", "colon parenthesis-end news category", "agnews/words")},
    "mr": {"prompts": _four("sentiment", "it-was in-summary question all-in-all", "sentiment/polarity")},
    "imdb": {"prompts": _four("sentiment", "it-was in-summary question all-in-all", "sentiment/polarity")},
    "mpqa": {"prompts": _four("sentiment", "it-was in-summary question all-in-all", "sentiment/polarity")},
    "trec6": {"prompts": _four("question-type", "question asks-for which type", "question-type/trec")},
    "banking77": {"prompts": _four("intent", "question concerns about subject") | {"multi_token": True}},
    "newsgroups20": {"prompts": {"patterns": ["topic/*"], "multi_token": True}},
    "eprstmt": {"prompts": _four("sentiment", "it-was in-summary question all-in-all", "sentiment/polarity")},
    "rte": {
        "prompts": _four("nli", "quoted plain swapped question", "nli/two-way"),
        "task": {"fields": {"premise": "text_a", "hypothesis": "text_b"}},
    },
}
ERROR = "calibration error of it"
GROUPS = (
    "zero-shot (calibrated)",
    "single PVP (mean)",
    "embedding+e5-small",
    "ensemble",
    "distilled classifier",
    ERROR,
    "supervised baseline",
    "embeddings + logistic regression",
    "embeddings + self-training",
    SETFIT,
    "iPET generation 0",
    "iPET ensemble",
    "iPET distilled classifier",
)


def labels_of(train: Path) -> list[str]:
    """Return the labels of a file, in alphabetical order."""
    with gzip.open(train, "rt", encoding="utf-8") as file:
        return sorted({str(json.loads(line)["label"]) for line in file})


def development_rows(train: Path, folder: Path, seed: int, per_label: int, most: int) -> tuple[Path, Path]:
    """Split a train file: `per_label` rows of each label to train on, up to `most` others to measure on."""
    with gzip.open(train, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    random.Random(seed).shuffle(rows)
    drawn: dict[str, list[dict[str, str]]] = defaultdict(list)
    rest: list[dict[str, str]] = []
    for row in rows:
        (drawn[row["label"]] if len(drawn[row["label"]]) < per_label else rest).append(row)
    paths = folder / "train.jsonl", folder / "dev.jsonl"
    for path, part in zip(paths, ([row for label in drawn.values() for row in label], rest[:most]), strict=True):
        path.write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    return paths


@contextmanager
def pipeline_of(task: str, seed: int, options: argparse.Namespace) -> Iterator[Path]:
    """Write the pipeline of one sample of one task, and yield its file; beside it is room for runs."""
    folder = options.data.absolute() / task  # the pipeline lies elsewhere
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        train, test = folder / "train.jsonl.gz", folder / "test.jsonl.gz"
        if options.dev:
            train, test = development_rows(train, scratch, seed, options.per_label, options.max_test)
        tables = {
            **TASKS[task],
            "data": {
                **({"train": str(train), "examples_per_label": options.per_label} if options.per_label else {}),
                "unlabeled": str(folder / "unlabeled.jsonl.gz"),
                "test": str(test),
                "max_unlabeled": options.unlabeled,
                "max_test": options.max_test,
            },
            "run": {"seed": seed, "workers": 1},  # several samples may be measured side by side
        }
        tables["task"] = {**tables.get("task", {}), "labels": labels_of(folder / "train.jsonl.gz")}
        pipeline = scratch / "pipeline.toml"
        pipeline.write_text(pet.RunConfig.from_mapping(tables).to_toml(), encoding="utf-8")
        yield pipeline


def measure(task: str, seed: int, arm: str, options: argparse.Namespace) -> dict[str, float]:
    """Run one sample of one task, with generations if the arm is "ipet"; return accuracy by line of the summary."""
    changes = ["ipet.generations=auto", "run.baseline=false", *options.set] if arm == "ipet" else options.set
    with pipeline_of(task, seed, options) as pipeline:
        return _figures(pet.RunConfig.from_toml(pipeline, changes), pipeline.parent / arm)


def measure_setfit(task: str, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Let SetFit learn from the rows that a run of the sample learns from; return its test accuracy."""
    with pipeline_of(task, seed, options) as pipeline:
        config = pet.RunConfig.from_toml(pipeline, options.set)
        data, files = prepare(config, words=False).data, {}
        for name, rows in (("train", data.labeled), ("test", data.test), ("pool", data.test)):
            files[name] = str(_written(rows, pipeline.parent / f"{name}.jsonl"))
        setting = Setting(options.setfit_python, config.encoder.name, config.model.max_length, seed)
        return {SETFIT: rival(SETFIT, files, tuple(data.task.fields), setting).found["accuracy"]}


def _written(rows: Sequence[Example], path: Path) -> Path:
    lines = (json.dumps({**row.fields, "label": row.label}) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")
    return path


def sample(task: str, seed: int, options: argparse.Namespace, kept: Kept) -> dict[str, float]:
    """Return accuracy by line of the table: of plain PET, and on the same rows of what else is wanted."""
    asked = {name: getattr(options, name) for name in ("per_label", "unlabeled", "max_test", "set", "dev")}
    found: dict[str, float] = {}
    for arm in ("pet", "ipet") if options.ipet else ("pet",):
        of = {"task": task, "seed": seed, "arm": arm, **asked, "model": bundled_model()}
        figures = kept.measured(of, partial(measure, task, seed, arm, options))
        found |= {name if arm == "pet" else f"iPET {name}": value for name, value in figures.items()}
    if options.setfit_python and options.per_label:
        of = {"task": task, "seed": seed, "arm": SETFIT, **asked}
        found |= kept.measured(of, partial(measure_setfit, task, seed, options))
    return {name: value for name, value in found.items() if name in GROUPS}


def _figures(config: pet.RunConfig, place: Path) -> dict[str, float]:
    """Run a pipeline; return test accuracy by line of the summary."""
    result = pet.run(config, place, quiet=True)
    assert result.summary is not None
    found = {row.name: row.test.accuracy for row in result.summary.rows if row.test is not None}
    print(f"  {config.ipet.generations} generations:", {name: round(100 * value, 1) for name, value in found.items()})
    print(f"  {result.verdict}; {result.work}", flush=True)
    single = [value for name, value in found.items() if "/" in name]
    return {
        **({"single PVP (mean)": mean(single)} if single else {}),
        **found,
        ERROR: _calibration_error(config, place),
    }


def _calibration_error(config: pet.RunConfig, place: Path) -> float:
    """Return the expected calibration error of the classifier on the test rows, in 15 bins (1706.04599, section 2)."""
    (folder,) = {path.parent for path in (place / "jobs").glob("*/choice.json")}
    probs, plan = load_file(folder / "scores.safetensors")["test"], prepare(config, words=False)
    right = probs.argmax(axis=1) == gold_columns(plan.data.test, plan.data.task.labels)
    confidence = probs.max(axis=1)
    bins = np.minimum((confidence * 15).astype(int), 14)
    gaps = [abs(float((right[bins == b] - confidence[bins == b]).sum())) for b in range(15)]
    return sum(gaps) / len(probs)


def main() -> None:
    """Measure, and print one line per task and way to label."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--per-label", type=int, default=8)
    parser.add_argument("--unlabeled", type=int, default=2000)
    parser.add_argument("--max-test", type=int, default=2000)
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--dev", action="store_true")
    parser.add_argument("--ipet", action="store_true")
    parser.add_argument("--setfit-python", default=python_with_setfit())
    parser.add_argument("--kept", type=Path, default=None)
    options = parser.parse_args()
    table: dict[str, dict[str, list[float]]] = {}
    for task in options.tasks:
        found = []
        for seed in options.seeds:
            found.append(sample(task, seed, options, Kept(options.kept)))
            print(task, seed, {name: round(100 * value, 1) for name, value in found[-1].items()}, flush=True)
        table[task] = {name: [100 * row[name] for row in found] for name in GROUPS if name in found[0]}
    print(f"\n{'':<34}" + "".join(f"{task:>16}" for task in table) + f"{'mean':>10}")
    for name in GROUPS:
        cells = [table[task][name] for task in table if name in table[task]]
        if cells:
            shown = [f"{mean(cell):.1f} ± {stdev(cell) if len(cell) > 1 else 0:.1f}" for cell in cells]
            print(f"{name:<34}" + "".join(f"{cell:>16}" for cell in shown) + f"{mean(map(mean, cells)):>10.1f}")


if __name__ == "__main__":
    main()
