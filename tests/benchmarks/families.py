"""What every family of masked language models in transformers can do here, on tiny random models: a page of the docs.

    cd tests && python -m benchmarks.families [FAMILY ...] > ../docs/families.md

The families are those that transformers knows, built by rules (see `tests/tiny_families.py`). A family is opened,
looked at by `pet check`, and scores rows alone and in a batch; each preset is trained for one step, or refused before
that; and one step is made on a machine with bfloat16. The program ends with 1 if anything fails in another way.
"""

import argparse
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from mistakes import command
from tiny_families import MODEL_TYPES, save_family
from toy import LABELS, rows_of, write_task
from voters import settings_of, voter_of

from pet.data.examples import Example
from pet.errors import ModelError
from pet.learners.models.backbone import Backbone
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource, first_line, quiet_transformers
from pet.learners.voters.pvp import PvpVoter
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.verbalizers import Verbalizer
from pet.settings.variants import PRESETS

WORKS, REFUSED, FAILS = "yes", "–", "FAILS"

CPU = torch.device("cpu")
ROWS = [Example(row["id"], {"text": row["text"]}, row["label"]) for row in rows_of("train", 4)]
TASK = PVP(
    Pattern("toy/colon", "{mask}: {text}"), Verbalizer("toy/words", {label: (label.lower(),) for label in LABELS})
)

ABOUT = """\
# Families of masked language models

Every family of masked language models that transformers has, as a tiny random model of it does here. The table is what
`make families` prints, and is made anew by it.

| column | what it says |
| --- | --- |
| padding | ignored; or read, and then only rows of one length are scored and trained together |
| bfloat16 | computed in it; or in float32 instead, where the family's code fails in bfloat16 |
| alone | a row scores the same alone and in a batch |
| check | `pet check` goes through; –: it refuses the family, which has no final classifier |
| a preset | yes: it trains; –: it is refused in a sentence before anything is trained, by `pet check` too |
"""


@dataclass(frozen=True)
class Family:
    """What was found: a word for each column, or `reason` where the family cannot be used at all."""

    name: str
    found: dict[str, str] = field(default_factory=dict)
    reason: str = ""

    @property
    def fails(self) -> bool:
        """Whether anything was neither done nor refused."""
        return FAILS in self.found.values()

    def line(self) -> str:
        """Return its line of the table."""
        return f"| {self.name} | {' | '.join(self.found.get(column, '') for column in columns())} |"


def columns() -> tuple[str, ...]:
    """Return the columns of the table, in order."""
    return ("padding", "bfloat16", "alone", "check", *PRESETS)


def tried(name: str, folder: Path, presets: Sequence[str] = tuple(PRESETS)) -> Family:
    """Build a family in a folder, and try all of it."""
    try:
        save_family(name, folder / "model")
    except Exception as error:
        return Family(name, reason=f"{name} cannot be built so small ({first_line(error)})")
    try:
        backbone = Backbone.masked_lm(ModelSource(name, folder / "model"), CPU)
    except ModelError as error:
        return Family(name, reason=str(error).rstrip("."))
    found = {
        "padding": "ignored" if backbone.abilities.ignores_padding else "read",
        "bfloat16": _outcome(lambda: _bfloat16(backbone)),
        "alone": _outcome(lambda: _alone(backbone)),
        "check": _outcome(lambda: _checked(folder)),
    }
    for preset in presets:
        found[preset] = _outcome(partial(_trained, backbone, preset, Machine(CPU, "fp32")))
    return Family(name, found)


def _outcome(work: Callable[[], str]) -> str:
    try:
        return work()
    except ModelError:
        return REFUSED
    except Exception as error:
        print(f"{type(error).__name__}: {first_line(error)}", file=sys.stderr)
        return FAILS


def _voter(backbone: Backbone, preset: str, machine: Machine) -> PvpVoter:
    return voter_of(backbone, TASK, machine, settings_of(preset, steps=1, batch_size=4))


def _trained(backbone: Backbone, preset: str, machine: Machine) -> str:
    """Train a preset for one step, if the check lets it."""
    backbone.reset()
    _voter(backbone, preset, machine).check()
    backbone.reset()
    voter = _voter(backbone, preset, machine)
    voter.train(ROWS, settings_of(preset, steps=1, batch_size=4), np.random.default_rng(0), ROWS)
    scores = voter.scores(ROWS)
    backbone.reset()
    return WORKS if np.isfinite(scores).all() else FAILS


def _bfloat16(backbone: Backbone) -> str:
    """Train for one step where the hardware has bfloat16."""
    done = _trained(backbone, "pet", Machine(CPU, "bf16"))
    return "float32 instead" if done == WORKS and not backbone.abilities.bfloat16 else done


def _alone(backbone: Backbone) -> str:
    """Compare the scores of rows alone with those of a batch, by what the texts change."""
    backbone.reset()
    voter = _voter(backbone, "pet", Machine(CPU, "fp32"))
    together, alone = voter.scores(ROWS), np.concatenate([voter.scores([row]) for row in ROWS])
    rounding = 8 * np.finfo(np.float32).eps * np.abs(alone).max()
    return WORKS if np.abs(together - alone).max() <= 1e-3 * np.ptp(together, axis=0).max() + rounding else FAILS


def _checked(folder: Path) -> str:
    result = command("check", write_task(folder / "task", folder / "model"))
    return {0: WORKS, 2: REFUSED}.get(result.exit_code, FAILS)


def page(families: Sequence[Family]) -> str:
    """Return the page of the docs."""
    head = ["family", *columns()]
    lines = [ABOUT, f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    lines += [family.line() for family in families if not family.reason]
    left_out = [f"- {family.name}: {family.reason}." for family in families if family.reason]
    return "\n".join(
        [*lines, *(["", "Not to be used, each refused when it is opened:", "", *left_out] if left_out else [])]
    )


def main() -> int:
    """Try the families that are named, or all; print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", choices=[*MODEL_TYPES, []], default=[])
    names = parser.parse_args().families or MODEL_TYPES
    warnings.filterwarnings("ignore")
    quiet_transformers()
    found = []
    for name in names:
        with tempfile.TemporaryDirectory() as scratch:
            found.append(tried(name, Path(scratch)))
        print(name, found[-1].reason or found[-1].line(), file=sys.stderr)
    print(page(found))
    return int(any(family.fails for family in found))


if __name__ == "__main__":
    sys.exit(main())
