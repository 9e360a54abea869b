"""What commands do where rows have several labels each."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from pet.cli.terminal import aligned, counted, print_table, say

if TYPE_CHECKING:
    from pet.settings.config import RunConfig


def run_several_command(config: "RunConfig", place: Path, *, force: bool) -> None:
    """Label the pool and distill a classifier, and print what came of it."""
    from pet.method.card import python_call
    from pet.method.several.figures import sets_table
    from pet.pipeline import run_several

    result = run_several(config, place, force=force)
    if any(line.test or line.held_out for line in result.lines):
        print_table(sets_table(result.lines))
    none, rows = int((~result.soft_labels.chosen().any(axis=1)).sum()), len(result.soft_labels.ids)
    say(f"labels given to {rows} rows: {counted(result.given)}; no label to {none}")
    say("", "labels, text (a sample of the pool)", *result.sample)
    run = shlex.quote(str(result.directory))
    places = {
        "labeled data set": str(result.pseudo_labels),
        "figures": str(result.directory / "metrics.json"),
        "classifier": str(result.model),
        "label new texts": f"pet predict {run} INPUT --output FILE",
        "or from Python": python_call(str(result.model), tuple(result.columns), several=True),
    }
    say("", *aligned(places.items()))
