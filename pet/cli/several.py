"""What commands do where rows have several labels each."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from pet.cli.terminal import aligned, counted, note, print_table, say, say_json

if TYPE_CHECKING:
    from pet.settings.config import RunConfig
    from pet.using.files import FileOptions
    from pet.using.predict import Wish


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


def check_several_command(config: "RunConfig", *, every: bool) -> None:
    """Show the rows, the questions, and what each label is asked about by."""
    from pet.method.plan.several import prepare_several
    from pet.reports.several import several_check_lines

    plan = prepare_several(config)
    say(*several_check_lines(plan.data, plan.patterns, plan.words, plan.messages, every))


def predict_several_command(model: Path, source: str, output: Path, options: "FileOptions", wish: "Wish") -> None:
    """Label new texts.

    Raises `UsageError` if something is asked for that is for classifiers of one label.
    """
    from pet.errors import UsageError
    from pet.using.several import predict_several_file

    asked = {
        "--min-precision": wish.min_precision is not None,
        "--abstain": wish.abstain is not None,
        "--columns": bool(options.columns),
        "--resume": options.resume,
        "--workers": options.workers > 1,
    }
    if wrong := [flag for flag, is_set in asked.items() if is_set]:
        raise UsageError(
            f"{wrong[0]} is for classifiers that give a row one label, and this gives several: leave it out."
        )
    found = predict_several_file(
        model, source, output, options.on_bad_row, lambda line: note(f"! warning: {line}"), options.encoding
    )
    for row in found.read.rejected:
        note(f"! warning: left out {row.file}, line {row.line}: {row.reason}")
    note(f"{len(found.read.examples)} rows labeled in {output}: {counted(found.given)}; no label to {found.without}")


def evaluate_several_command(
    model: Path, source: str, on_bad_row: str, encoding: str, *, every: bool, as_json: bool
) -> None:
    """Compare a classifier with the labels of a file."""
    from pet.method.several.figures import evaluation_lines
    from pet.using.several import evaluate_several_file

    evaluation, found = evaluate_several_file(
        model, source, on_bad_row, lambda line: note(f"! warning: {line}"), encoding
    )
    for row in found.rejected:
        note(f"! warning: left out {row.file}, line {row.line}: {row.reason}")
    if as_json:
        say_json(evaluation.as_json())
    else:
        say(*evaluation_lines(evaluation, None if every else 10))


def explain_several_command(run: Path, row_id: str, *, as_json: bool) -> None:
    """Say why a row has its labels."""
    from pet.reports.several import explain_several, several_explanation_lines

    found = explain_several(run, row_id)
    if as_json:
        say_json(found.as_json())
    else:
        say(*several_explanation_lines(found))
