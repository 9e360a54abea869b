"""Where a run's CPU-seconds go, by stage, and what SetFit and classifiers on embeddings take and reach on its rows.

    python tests/benchmarks/time_to_labels.py DATA_DIR [--shapes mr banking77 kinds-of-text rte] [--seeds 0 1 2]
        [--run default] [--run "fast train.preset=fast"] [--run "before @/path/to/another/checkout"]
        [--setfit-python PATH] [--kept FILE] [--json FILE] [--picture FILE.svg]

Each run and each rival is a process of its own with one thread: CPU time, user and system, from the start of Python to
the labels of the pool and a classifier; then the classifier is measured on the test rows, which costs nothing here. A
`--run` has a name, settings, and, for a version of before, the folder of its checkout. Without `--setfit-python` SetFit
is measured where this Python has it, see `rivals.py`. `--kept FILE` has a line per process that is done, and the same
command does the others. The picture needs matplotlib, in whatever Python: `picture.py` makes it of the JSON file.
"""

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

from accuracy import TASKS
from kept import Kept, bundled_model
from own_process import TEST, Measured, measured
from picture import draw_picture
from rivals import RIVALS, Setting, python_with_setfit, rival
from shapes import LONG, SHAPES, Drawn, Sizes, draw

from pet.runs.identity import code_digest


@dataclass(frozen=True)
class OwnRun:
    """A run of ours: its name, settings such as "train.steps=60", and the checkout that makes it (None: this)."""

    name: str
    settings: tuple[str, ...] = ()
    checkout: Path | None = None

    @classmethod
    def of(cls, text: str) -> "OwnRun":
        """Read ``fast train.preset=fast`` or ``before @/path``.

        >>> OwnRun.of("before @/old train.steps=60")
        OwnRun(name='before', settings=('train.steps=60',), checkout=PosixPath('/old'))
        """
        name, *words = text.split()
        folders = [Path(word[1:]) for word in words if word.startswith("@")]
        return cls(name, tuple(word for word in words if not word.startswith("@")), folders[0] if folders else None)


def run_of(own: OwnRun, drawn: Drawn, folder: Path, seed: int, threads: int) -> Measured:
    """Run a pipeline on drawn rows, without test rows, and measure its classifier on these."""
    files = drawn.write(folder)
    tables = {
        **drawn.tables,
        "data": {"train": files["train"], "unlabeled": files["pool"]},
        "run": {"seed": seed, "workers": 1},
    }
    asked = {"tables": tables, "settings": own.settings, "directory": str(folder / "run"), "test": files["test"]}
    return measured(Path(__file__).parent / "pet_run.py", asked, threads=threads, first_path=own.checkout)


def measure(way: str, own: OwnRun | None, drawn: Drawn, setting: Setting) -> dict[str, Any]:
    """Return what a run of ours, or a rival, took and reached."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        found = (
            run_of(own, drawn, folder, setting.seed, setting.threads)
            if own
            else rival(way, drawn.write(folder), drawn.fields, setting)
        )
    return {**asdict(found), "cpu_seconds": found.cpu_seconds}


def measure_shape(shape: str, seed: int, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return what all ways to label took and reached on one sample of a shape."""
    sizes = Sizes(options.per_label, options.unlabeled, options.max_test)
    drawn, kept, found = draw(shape, options.data, seed, sizes), Kept(options.kept), {}
    print(f"\n{shape}, sample {seed}: {drawn.about}", flush=True)
    setting = Setting(options.setfit_python, seed=seed, threads=options.threads)
    rivals = [name for name in setting.installed if name in options.rivals]
    ways: dict[str, OwnRun | None] = {own.name: own for own in options.run} | dict.fromkeys(rivals)
    for way, own in ways.items():
        asked = {"shape": shape, "seed": seed, "sizes": asdict(sizes), "threads": options.threads, "way": way}
        asked |= {"model": bundled_model(), "run": [*own.settings, str(own.checkout or code_digest())] if own else None}
        found[way] = kept.measured(asked, partial(measure, way, own, drawn, setting))
        one = found[way]
        print(f"  {way}: {one['cpu_seconds']:.1f} CPU-seconds, {one['seconds']:.1f} s, {one['found']}", flush=True)
    return found


def stage_table(ways: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Return the lines of a table: CPU-seconds by stage, means over samples, with peak memory and accuracy."""
    totals: dict[str, dict[str, float]] = defaultdict(dict)
    for way, samples in ways.items():
        for stage in {name: None for one in samples for name in one["stages"]}:
            totals[stage][way] = mean(one["stages"].get(stage, 0.0) for one in samples)
    lines = [f"{'CPU-seconds':<24}" + "".join(f"{way:>22}" for way in ways)]
    shown = (stage for stage, found in totals.items() if stage != TEST and max(found.values()) >= 0.05)
    for stage in sorted(shown, key=lambda stage: -max(totals[stage].values())):
        cells = (totals[stage].get(way) for way in ways)
        lines.append(f"{stage:<24}" + "".join(f"{'' if cell is None else f'{cell:.1f}':>22}" for cell in cells))
    for name, show in {
        "all": lambda one: one["cpu_seconds"],
        "GB at the peak": lambda one: one["peak"] / 1e9,
        "accuracy": lambda one: 100 * one["found"]["accuracy"],
    }.items():
        lines.append(f"{name:<24}" + "".join(f"{mean(map(show, samples)):>22.1f}" for samples in ways.values()))
    return lines


def main() -> None:
    """Measure, print a table per shape, and write the files that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=[LONG, *TASKS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--per-label", type=int, default=8)
    parser.add_argument("--unlabeled", type=int, default=2000)
    parser.add_argument("--max-test", type=int, default=500)
    parser.add_argument("--run", action="append", type=OwnRun.of, metavar="'NAME [@CHECKOUT] [SETTING ...]'")
    parser.add_argument("--rivals", nargs="*", default=list(RIVALS), choices=RIVALS)
    parser.add_argument("--setfit-python", default=python_with_setfit())
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kept", type=Path, default=None)
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--picture", type=Path, default=None)
    options = parser.parse_args()
    options.run = options.run or [OwnRun("default")]
    samples = {shape: [measure_shape(shape, seed, options) for seed in options.seeds] for shape in options.shapes}
    table = {shape: {way: [one[way] for one in found] for way in found[0]} for shape, found in samples.items()}
    for shape, ways in table.items():
        print(f"\n{shape} ({SHAPES.get(shape, 'a data set')})", *stage_table(ways), sep="\n")
    if options.json:
        options.json.write_text(json.dumps(table, indent=2), encoding="utf-8")
    if options.picture:
        draw_picture(table, options.picture)


if __name__ == "__main__":
    main()
