"""Words that are found against those made by hand: zero-shot, and in a run, on train rows that were not drawn.

    python tests/benchmarks/search.py DATA_DIR [--tasks agnews mr trec6 banking77] [--seeds 0 1 2] [--pet mr agnews]

DATA_DIR is that of `accuracy.py`, from which the patterns and the words made by hand are. Of each sample 50 rows are
labeled, the labels evenly; of banking77 none, and its words are found by names alone. `--pet` names the tasks on which
voters are trained too, with a small pool. Each line is printed as it is found.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from accuracy import TASKS, development_rows, labels_of

import pet
from pet.data.examples import Example
from pet.labeling.ranking import ensemble_scores
from pet.learners.models.sources import quiet_transformers
from pet.learners.voters.spec import distinct_pvps
from pet.method.metrics import gold_columns
from pet.method.plan.plan import Plan, prepare
from pet.prompts.verbalizers import Verbalizer
from pet.search.place import open_search
from pet.search.rows import SearchRows
from pet.search.words import METHODS, WordSearch

LABELED, MEASURED = 50, 250


def planned(task: str, options: argparse.Namespace, seed: int, scratch: Path) -> tuple[Plan, dict[str, Any]]:
    """Return the plan of a sample, and its tables: the pool are train rows that were not drawn."""
    file = options.data / task / "train.jsonl.gz"
    labels = labels_of(file)
    per_label = 0 if task == "banking77" else max(2, LABELED // len(labels))
    train, dev = development_rows(file, scratch, seed, per_label, MEASURED)
    files = {"unlabeled": str(dev)} | ({"train": str(train)} if per_label else {})
    tables = {**TASKS[task], "task": {"labels": labels}, "data": files, "run": {"seed": seed}}
    return prepare(pet.RunConfig.from_mapping(tables), words=False), tables


def found_words(plan: Plan, scratch: Path) -> tuple[dict[str, Mapping[str, Sequence[str]]], float]:
    """Return the words by hand, those ranked first, and those by names, with the seconds that the search took."""
    began, pvps = time.monotonic(), distinct_pvps(plan.patterns)
    present = pvps[0].verbalizer
    with open_search(scratch / "search", replace(plan.model, kinds=()), plan.seed) as place:
        rows, patterns = SearchRows.of(plan.data, plan.seed), [pvp.pattern for pvp in pvps]
        found = WordSearch.of(plan.data, rows, patterns, present, place).found(METHODS, 10)
    words = {one.method: one.words for one in found if one.method != "present"}
    auto = {} if len(words) == 1 else {"auto": next(iter(words.values()))}
    return {"by hand": present.words, **auto, "names": words["names"]}, time.monotonic() - began


def zero_shot(plan: Plan, words: Mapping[str, Sequence[str]], rows: Sequence[Example], gold: np.ndarray) -> float:
    """Return the accuracy of the untrained patterns with some words, calibrated on the rows themselves."""
    verbalizer = Verbalizer("found", {label: tuple(own) for label, own in words.items()})
    model = replace(plan.model, kinds=())
    pvps = [replace(pvp, verbalizer=verbalizer) for pvp in distinct_pvps(plan.patterns)]
    scores = [model.voter(pvp).scores(rows) for pvp in pvps]
    return float((ensemble_scores(scores, scores).argmax(axis=1) == gold).mean())


def trained(
    tables: Mapping[str, Any], steps: int, words: Mapping[str, Sequence[str]], place: Path, gold: np.ndarray
) -> float:
    """Return the accuracy of the labels of a run whose voters are trained on some words, by patterns alone."""
    prompts = {"patterns": tables["prompts"]["patterns"], "words": {label: list(own) for label, own in words.items()}}
    config = pet.RunConfig.from_mapping(
        {**tables, "prompts": prompts, "encoder": {"name": "none"}, "train": {"steps": steps}}
    )
    return float((pet.label(config, place, quiet=True).soft_labels.hard() == gold).mean())


def main() -> None:
    """Print a line per sample and way, then the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument(
        "--tasks", nargs="+", default=["agnews", "mr", "trec6", "mpqa", "banking77"], choices=list(TASKS)
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--pet", nargs="*", default=[])
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    quiet_transformers()
    means = defaultdict[tuple[str, str], list[float]](list)
    for task in options.tasks:
        for seed in options.seeds:
            with tempfile.TemporaryDirectory() as folder:
                plan, tables = planned(task, options, seed, Path(folder))
                gold = development_gold(plan, options.data / task / "train.jsonl.gz")
                ways, seconds = found_words(plan, Path(folder))
                rows = list(plan.data.unlabeled)
                for way, words in ways.items():
                    means[task, f"{way}, zero-shot"].append(zero_shot(plan, words, rows, gold))
                    if task in options.pet and way in ("by hand", "auto"):
                        run = Path(folder) / way.replace(" ", "-")
                        means[task, f"{way}, voters"].append(trained(tables, options.steps, words, run, gold))
                print(f"{task} {seed}: searched in {seconds:.0f} s", flush=True)
        for (name, way), values in means.items():
            if name == task:
                print(f"{task:<12}{way:<24}{100 * mean(values):>6.1f}", flush=True)


def development_gold(plan: Plan, file: Path) -> np.ndarray:
    """Return the columns of the pool's rows, int64 [n], as the train file has them."""
    import gzip
    import json

    with gzip.open(file, "rt", encoding="utf-8") as lines:
        known = {row["text"]: row["label"] for row in map(json.loads, lines)}
    rows = [Example(row.id, row.fields, known[row.fields["text"]]) for row in plan.data.unlabeled]
    return gold_columns(rows, plan.data.task.labels)


if __name__ == "__main__":
    main()
