"""What labelling and distilling cost as the pool grows, a fresh process per size: time per row and peak memory.

    python tests/benchmarks/pool.py [--sizes 1000 10000 100000 1000000] [--model tiny|pet-mini] [--json FILE]

The rows are made up, of the length of news items (38 words on average). A voter is trained on a few of them and labels
all, and a classifier is distilled. `us/row` is the slope: what the rows beyond those of the smallest pool cost each, so
that starting Python and loading a model do not count; it is compared with that of the second size. Seconds are of CPU
time, since other work on the machine does not count either; the wall's are in the JSON. Memory is the peak of the
process; `allowed` is 1.5 times that of the second size, and the scores of all voters.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))  # for `tiny`, where pytest is not at work

LABELS = ("World", "Sports", "Business", "Tech")
PIPELINE = """
[task]
name = "pool"
labels = ["World", "Sports", "Business", "Tech"]
[data]
train = "train.jsonl"
unlabeled = "unlabeled.jsonl"
[prompts]
patterns = PATTERNS
[model]
name = "MODEL"
max_length = 64
[train]
steps = 10
[distill]
steps = 50
[run]
device = "cpu"
baseline = false
"""


def texts(count: int) -> Iterator[str]:
    """Yield made-up texts of about as many words as news items have."""
    from tiny import WORDS

    rng = random.Random(0)
    for _ in range(count):
        yield " ".join(rng.choices(WORDS, k=min(50, max(8, round(rng.gauss(38, 10))))))


def write_task(folder: Path, rows: int, model: str, patterns: int) -> Path:
    """Write the files of a task with so many rows to label; return its pipeline."""
    from tiny import save_tiny

    for name, count in (("train", 16), ("unlabeled", rows)):
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for i, text in enumerate(texts(count)):
                label = {"label": LABELS[i % 4]} if name == "train" else {}
                file.write(json.dumps({"id": f"{name}-{i}", "text": f"{name} {text}", "shelf": i % 7, **label}) + "\n")
    place = model if model != "tiny" else save_tiny("bert", folder / "model").as_posix()
    templates = [f"{word} : {{mask}} . {{text}}" for word in ("news", "category", "question", "text")[:patterns]]
    pipeline = folder / "pool.toml"
    pipeline.write_text(PIPELINE.replace("MODEL", place).replace("PATTERNS", json.dumps(templates)), encoding="utf-8")
    return pipeline


def measure(pipeline: Path, root: Path) -> dict[str, float]:
    """Label a pool and distill, in this process; return seconds of CPU time and memory peaks in bytes."""
    import pet.pipeline as method
    from pet.forecast.footprint import peak_memory
    from pet.method.plan.plan import prepare
    from pet.settings.config import RunConfig

    found: dict[str, float] = {}
    started = time.perf_counter(), time.process_time()

    def lap(name: str) -> None:
        nonlocal started
        now = time.perf_counter(), time.process_time()
        found[f"{name}_wall"], found[name] = (end - start for start, end in zip(started, now, strict=True))
        found[f"{name}_memory"] = peak_memory() or 0
        started = time.perf_counter(), time.process_time()

    prepare(RunConfig.from_toml(pipeline))
    lap("read")  # done again in `label`
    method.label(RunConfig.from_toml(pipeline), root, quiet=True)
    lap("label")
    method.distill(root, quiet=True)
    lap("distill")
    return found


def fresh(rows: int, options: argparse.Namespace) -> dict[str, Any]:
    """Measure one size in a process of its own."""
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        pipeline = write_task(Path(folder), rows, options.model, options.patterns)
        command = [sys.executable, __file__, "--measure", str(pipeline)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {"rows": rows, "scores": 4 * len(LABELS) * rows * options.patterns, **json.loads(answer)}


def with_ratios(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add to each size its slope, and slope and memory relative to those of the second size."""
    first, base = found[0], found[min(1, len(found) - 1)]
    for one in found:
        more = one["rows"] - first["rows"]
        one["rows_per_second"] = one["rows"] / one["label"]
        one["seconds_per_row"] = (one["label"] - first["label"]) / more if more else None
    for one in found:
        slopes = one["seconds_per_row"], base["seconds_per_row"]
        one["relative_time"] = slopes[0] / slopes[1] if all(slopes) else None
        one["memory"] = one["distill_memory"]
        one["allowed"] = 1.5 * base["distill_memory"] + one["scores"]
    return found


def lines(found: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a table."""
    heads = (
        "rows",
        "rows/s",
        "us/row",
        "relative",
        "read s",
        "label s",
        "distill s",
        "peak MB",
        "scores MB",
        "allowed MB",
    )
    yield " ".join(f"{head:>10}" for head in heads)
    for one in found:
        slope, relative = one["seconds_per_row"], one["relative_time"]
        cells = (
            f"{one['rows']:,}",
            f"{one['rows_per_second']:,.0f}",
            f"{1e6 * slope:.0f}" if slope else "",
            f"{relative:.2f}" if relative else "",
            *(f"{one[name]:.1f}" for name in ("read", "label", "distill")),
            *(f"{one[name] / 1e6:,.0f}" for name in ("memory", "scores", "allowed")),
        )
        yield " ".join(f"{cell:>10}" for cell in cells)


def main() -> None:
    """Measure every size, and print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--model", default="tiny", help="tiny (random), or what [model] name takes")
    parser.add_argument("--patterns", type=int, default=1, choices=range(1, 5))
    parser.add_argument("--folder", type=Path, default=None, help="where the rows and the runs lie meanwhile")
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--measure", type=Path, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.measure.parent / "run")))
        return
    found = with_ratios([fresh(rows, options) for rows in sorted(options.sizes)])
    print("\n".join(lines(found)))
    text = json.dumps(found, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
