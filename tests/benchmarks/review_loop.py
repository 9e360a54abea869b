"""Is a label for the rows that the tool asks for worth more than one for rows drawn at random?

    python tests/benchmarks/review_loop.py DATA_DIR [--tasks agnews trec6] [--samples 3] [--rounds 3] [--rows 20]
        [--pool 1000] [--test 500] [--set train.contrastive=auto] [--slow]

DATA_DIR has one folder per task with train and test .jsonl.gz files. Of a sample 8 rows per label of the train file are
labeled, and the others are the pool, whose labels a person would give. Three times 20 rows of it are labeled: those of
`pet next`, or random ones; the same command then counts them (`--reviewed`). Printed is the accuracy on test rows after
each round, and what the tool's rows bring over random ones, in pairs. Without `--slow` the voters on vectors do it, on
the encoder as it is.
"""

import argparse
import gzip
import json
import random
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pet
from pet.data.review import Review, write_reviews
from pet.method.summary import DISTILLED
from pet.reports.review import to_review
from pet.settings.toml import overrides_as_tables

ARMS = ("asked", "random")
FIGURES = ("ensemble", DISTILLED)
Row = dict[str, Any]


def rows_of(path: Path) -> list[Row]:
    """Return the rows of a packed file of JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def split(folder: Path, scratch: Path, seed: int, options: argparse.Namespace) -> dict[str, str]:
    """Write the labeled rows, the pool and the test rows of a sample; return the labels of the pool by id."""
    rows, test = rows_of(folder / "train.jsonl.gz"), rows_of(folder / "test.jsonl.gz")
    random.Random(seed).shuffle(rows)
    random.Random(0).shuffle(test)  # the same for every sample
    drawn, pool = defaultdict(list), list[Row]()
    for number, row in enumerate(rows):
        row["id"] = f"row-{number}"
        (drawn[row["label"]] if len(drawn[row["label"]]) < options.per_label else pool).append(row)
    pool = pool[: options.pool]
    parts = {
        "train": [row for part in drawn.values() for row in part],
        "pool": [{name: value for name, value in row.items() if name != "label"} for row in pool],
        "test": test[: options.test],
    }
    for name, part in parts.items():
        (scratch / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    return {row["id"]: str(row["label"]) for row in pool}


def config_of(
    task: str, scratch: Path, seed: int, options: argparse.Namespace, reviewed: Sequence[Path]
) -> pet.RunConfig:
    """Return the settings of a run of a sample."""
    tables: dict[str, Any] = {
        "task": {"name": task},
        "data": {
            "train": str(scratch / "train.jsonl"),
            "unlabeled": str(scratch / "pool.jsonl"),
            "test": str(scratch / "test.jsonl"),
            "reviewed": [str(path) for path in reviewed],
        },
        "train": {} if options.slow else {"preset": "fast", "contrastive": False},
        "run": {"seed": seed, "workers": 1, "baseline": False},
    }
    return pet.RunConfig.from_mapping(tables).with_settings(options.changes)


def accuracies(config: pet.RunConfig, place: Path) -> list[float]:
    """Do a run, and return its accuracies on the test rows, in points."""
    summary = pet.run(config, place, quiet=True).summary
    assert summary is not None
    found = summary.test_figures()
    return [100 * found[name].accuracy for name in FIGURES]


def rounds(task: str, scratch: Path, seed: int, options: argparse.Namespace) -> Iterator[tuple[str, int, list[float]]]:
    """Yield arm, round and accuracies of one sample; both arms begin with the same run."""
    known = split(options.data / task, scratch, seed, options)
    begun = accuracies(config_of(task, scratch, seed, options, ()), scratch / "begun")
    for arm in ARMS:
        yield arm, 0, begun
        place, said, draw = scratch / arm, dict[str, str](), random.Random(seed)
        shutil.copytree(scratch / "begun", place)
        for number in range(1, options.rounds + 1):
            if arm == "asked":
                found = [row.id for row in to_review(place, options.rows).rows if not row.gold]
            else:
                found = draw.sample(sorted(set(known) - set(said)), options.rows)
            said |= {name: known[name] for name in found}
            write_reviews(place / "review.csv", [Review(name, label) for name, label in said.items()])
            yield arm, number, accuracies(config_of(task, scratch, seed, options, [place / "review.csv"]), place)


def spread(values: Sequence[float]) -> str:
    """Return mean and standard deviation."""
    return f"{mean(values):5.1f} ± {stdev(values) if len(values) > 1 else 0.0:.1f}"


def main() -> None:
    """Measure, and print a table for each task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--tasks", nargs="+", default=["agnews", "trec6"])
    for name, usual in {"samples": 3, "rounds": 3, "rows": 20, "per-label": 8, "pool": 1000, "test": 500}.items():
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--slow", action="store_true", help="with patterns and all else that a run does by default")
    options = parser.parse_args()
    options.changes = overrides_as_tables(options.set)
    for task in options.tasks:
        found: dict[tuple[str, int], list[list[float]]] = defaultdict(list)
        for seed in range(options.samples):
            with tempfile.TemporaryDirectory() as scratch:
                for arm, number, figures in rounds(task, Path(scratch), seed, options):
                    print(f"{task} sample {seed} {arm} round {number}: {figures}", flush=True)
                    found[arm, number].append(figures)
        print(f"\n{task}, {options.samples} samples: accuracy of {' and '.join(FIGURES)}, asked | random | difference")
        for number in range(options.rounds + 1):
            for place, name in enumerate(FIGURES):
                asked, drawn = ([figures[place] for figures in found[arm, number]] for arm in ARMS)
                gains = [a - b for a, b in zip(asked, drawn, strict=True)]
                print(f"round {number}  {name:<22} {spread(asked)} | {spread(drawn)} | {spread(gains)}")


if __name__ == "__main__":
    main()
