"""What else learns from few labeled rows, on files of them: SetFit, and classifiers on vectors of the same encoder.

    python tests/benchmarks/rivals.py "logistic regression" TRAIN TEST [--pool FILE] [--fields text] [--json FILE]
    python tests/benchmarks/rivals.py SetFit TRAIN TEST --setfit-python PATH

TRAIN and TEST are JSON Lines files whose rows have the fields and a label, the pool (default: the test rows) the fields
alone. Each is a process of its own, whose CPU-seconds by stage are printed. SetFit needs an environment with `setfit`,
which may be another than this one; its body is the bundled encoder in float32, with the pieces of the vocabulary that
the rows and frequent words need (of the others no vector changes, but the optimizer would go through them).
"""

import argparse
import importlib.util
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from own_process import TEST, Measured, measured, rows_of

from pet.learners.models.encoder import find_encoder
from pet.learners.models.trimming import trimmed

SETFIT = "SetFit"
RIVALS = (SETFIT, "logistic regression", "self-training")


@dataclass(frozen=True)
class Setting:
    """How rivals are run; without a Python that has setfit, SetFit is none of them."""

    setfit_python: str | None = None
    encoder: str = "e5-small"
    max_length: int = 256
    seed: int = 0
    threads: int = 1

    @property
    def installed(self) -> tuple[str, ...]:
        """The rivals that can be run."""
        return RIVALS if self.setfit_python else RIVALS[1:]


def python_with_setfit() -> str | None:
    """Return this Python if it has setfit."""
    return sys.executable if importlib.util.find_spec("setfit") else None


def rival(name: str, files: Mapping[str, str], fields: tuple[str, ...], setting: Setting) -> Measured:
    """Run one rival on `train`, `pool` and `test` files; to unpack the encoder is no part of what it takes.

    Raises `RuntimeError` if it fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        texts = (row[field] for path in files.values() for row in rows_of(path) for field in fields)
        folder = trimmed(find_encoder(setting.encoder), texts, Path(scratch) / "encoder").folder
        asked = {**files, "fields": fields, "encoder": str(folder), "max_length": setting.max_length, "way": name}
        asked["seed"] = setting.seed
        here, threads = Path(__file__).parent, setting.threads
        if name == SETFIT:
            return measured(here / "setfit_rival.py", asked, setting.setfit_python or sys.executable, threads)
        return measured(here / "embedding_rival.py", asked, threads=threads)


def stage_lines(found: Measured) -> list[str]:
    """Return a line for each stage, and the sum without the test rows."""
    lines = [f"{name:<24}{seconds:>9.1f}" for name, seconds in found.stages.items() if seconds >= 0.05 and name != TEST]
    return [*lines, f"{'CPU-seconds':<24}{found.cpu_seconds:>9.1f}"]


def main() -> None:
    """Run one rival, and print what it took and how good it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rival", choices=RIVALS)
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--pool", default=None)
    parser.add_argument("--fields", nargs="+", default=["text"])
    parser.add_argument("--setfit-python", default=python_with_setfit())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    if options.rival == SETFIT and not options.setfit_python:
        parser.error("this Python has no setfit: name one that has with --setfit-python.")
    files = {"train": options.train, "pool": options.pool or options.test, "test": options.test}
    setting = Setting(options.setfit_python, seed=options.seed, threads=options.threads)
    found = rival(options.rival, files, tuple(options.fields), setting)
    print(*stage_lines(found), f"{found.peak / 1e9:.1f} GB at the peak", found.found, sep="\n")
    if options.json:
        options.json.write_text(json.dumps(asdict(found), indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
