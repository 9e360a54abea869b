"""The final classifier in its sizes and formats: accuracy, agreement with its teacher, rows per second, bytes.

    python tests/benchmarks/students.py RUN [--sizes same small static] [--test FILE] [--json FILE]

RUN is a directory that `pet label` or `pet run` has made; it is only read. A fifth of its pool is kept from the
students, and what they say of it is compared with the ensemble's labels. Accuracy is that on the test rows of the run,
or of `--test`, as for choosing settings. All of them label the same rows in turn; medians are compared.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from pet.data.dataset import load_test_rows
from pet.data.examples import Example
from pet.data.readers import ReadOptions, read_examples
from pet.data.source import parse_source
from pet.learners.models.machine import Machine
from pet.learners.students.base import Classifier
from pet.method.labels import LabeledRows, read_labeled_rows
from pet.pipeline import distill
from pet.settings.config import RunConfig
from pet.using.export import export_classifier
from pet.using.predict import load_classifier

HELD_OUT = 0.2


@dataclass(frozen=True)
class Found:
    """What was found of one classifier; `speed` is its rows per second as a multiple of the first one's."""

    name: str
    accuracy: float
    agreement: float
    speed: float
    rows_per_second: float
    megabytes: float
    seconds_to_make: float


def without_some(run: Path, work: Path) -> LabeledRows:
    """Make a run directory without a fifth of the pool; return the rows left out, as the ensemble labels them."""
    config = RunConfig.from_toml(run / "config.toml")
    table = pq.read_table(run / "pseudo_labels.parquet")
    drawn = np.random.default_rng(0).random(len(table)) < HELD_OUT
    pool = pc.equal(table["source"], "pseudo").to_numpy(zero_copy_only=False)
    work.mkdir(parents=True)
    for name in ("config.toml", "manifest.json"):
        shutil.copyfile(run / name, work / name)
    pq.write_table(table.filter(~(drawn & pool)), work / "pseudo_labels.parquet")
    pq.write_table(table.filter(drawn & pool), work.parent / "held_out.parquet")
    return read_labeled_rows(work.parent / "held_out.parquet", config.task.fields, config.task.labels)


def made(work: Path, sizes: Sequence[str], settings: Sequence[str], onnx: bool) -> dict[str, tuple[Path, float]]:
    """Distill each size and export what can be; return the folder of each, and the seconds that it took."""
    found: dict[str, tuple[Path, float]] = {}
    for size in sizes:
        copy = Path(shutil.copytree(work, work.parent / size))
        began = time.monotonic()
        found[size] = distill(copy, [f"distill.size={size}", *settings], quiet=True), time.monotonic() - began
        for int8 in (False, True) if onnx and size != "static" else ():
            began = time.monotonic()
            exported = export_classifier(copy, int8=int8)
            name = f"{size}, onnx" + (" int8" if int8 else "")
            print(f"{name}: {exported}", flush=True)
            found[name] = exported.folder, time.monotonic() - began
    return found


def seconds(classifiers: dict[str, Classifier], rows: Sequence[Example], rounds: int) -> dict[str, float]:
    """Let each label the rows, in turn; return the median of its times."""
    times: dict[str, list[float]] = {name: [] for name in classifiers}
    for _ in range(rounds):
        for name, classifier in classifiers.items():
            began = time.monotonic()
            classifier.probabilities(rows)
            times[name].append(time.monotonic() - began)
    return {name: median(of_one) for name, of_one in times.items()}


def main() -> None:
    """Measure, and print one line per classifier."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--sizes", nargs="+", default=["same", "small", "static"])
    parser.add_argument("--no-onnx", dest="onnx", action="store_false")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--test", default=None)
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    config = RunConfig.from_toml(options.run / "config.toml")
    task = config.task
    read = ReadOptions("test", task.fields, task.label_column, task.id_column, task.labels)
    test = (
        read_examples(parse_source(options.test), read).examples
        if options.test
        else load_test_rows(task, config.data, 0)
    )
    with tempfile.TemporaryDirectory() as scratch:
        held_out = without_some(options.run, Path(scratch) / "run")
        folders = made(Path(scratch) / "run", options.sizes, options.settings, options.onnx)
        classifiers = {name: load_classifier(folder) for name, (folder, _) in folders.items()}
        times = seconds(classifiers, test[: options.rows], options.rounds)
        found = []
        for name, classifier in classifiers.items():
            right = [task.labels[k] for k in classifier.probabilities(test).argmax(axis=1)]
            same = classifier.probabilities(held_out.examples).argmax(axis=1) == held_out.probs.argmax(axis=1)
            found.append(
                Found(
                    name,
                    accuracy=float(np.mean([label == row.label for label, row in zip(right, test, strict=True)])),
                    agreement=float(same.mean()),
                    speed=times[options.sizes[0]] / times[name],
                    rows_per_second=len(test[: options.rows]) / times[name],
                    megabytes=sum(path.stat().st_size for path in folders[name][0].iterdir()) / 1e6,
                    seconds_to_make=folders[name][1],
                )
            )
    machine = Machine.pick(config.run)
    print(f"{machine.device.type}, {machine.precision} but for ONNX; {torch.get_num_threads()} threads")
    print(f"{len(test)} test rows, {len(held_out.examples)} rows of the pool that no student has learned from")
    print(f"{'':<20} accuracy  agrees with teacher  speed  rows/s      MB  made in")
    for one in found:
        print(
            f"{one.name:<20} {one.accuracy:8.1%} {one.agreement:20.1%} {one.speed:5.1f}x {one.rows_per_second:7,.0f} "
            f"{one.megabytes:7.1f} {one.seconds_to_make:6.0f} s"
        )
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in found], indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
