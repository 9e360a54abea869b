"""Commands that use what a run has made: predict, evaluate, export, explain."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pet.cli.app import All, BadRow, Input, Model, app
from pet.cli.terminal import counted, note, say, say_json

if TYPE_CHECKING:
    from pet.data.readers import ReadResult


@app.command("predict")
def predict_command(
    model: Model,
    source: Input,
    output: Annotated[Path, typer.Option(help="Where the labels go: .csv, .tsv, .jsonl or .parquet.")],
    on_bad_row: BadRow = None,
    min_precision: Annotated[
        float | None,
        typer.Option(
            help="Say in a column accept which labels to trust, so that such a share of them is right (0.95)."
        ),
    ] = None,
    abstain: Annotated[
        float | None, typer.Option(help="Say so of each row by its confidence alone: accept from this one on (0.7).")
    ] = None,
) -> None:
    """Label new texts: your columns, then label, confidence and prob_LABEL.

    Example: `pet predict runs/quickstart new.csv --output labeled.csv --min-precision 0.95`
    """
    from pet.using.predict import Wish, predict_file

    found = predict_file(model, source, output, on_bad_row or "error", Wish(min_precision, abstain), _warn)
    _tell_rejected(found.read)
    rows = len(found.read.examples)
    note(f"{rows} rows labeled in {output}: {counted(found.given)}")
    if found.accepted is not None:
        note(f"{found.accepted} rows to accept, {rows - found.accepted} to review")


@app.command("evaluate")
def evaluate_command(
    model: Model,
    source: Input,
    on_bad_row: BadRow = None,
    every: All = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """Compare a classifier with the labels of a file: the worst labels, and what is confused with what.

    Example: `pet evaluate runs/quickstart test.jsonl`
    """
    from pet.reports.evaluation import evaluation_lines
    from pet.using.predict import evaluate_file

    evaluation, found = evaluate_file(model, source, on_bad_row or "error", _warn)
    _tell_rejected(found)
    if as_json:
        say_json(evaluation.as_json())
    else:
        say(*evaluation_lines(evaluation, every))


def _warn(line: str) -> None:
    note(f"! warning: {line}")


def _tell_rejected(found: "ReadResult") -> None:
    for row in found.rejected:
        _warn(f"left out {row.file}, line {row.line}: {row.reason}")


@app.command("export")
def export_command(
    model: Model,
    to: Annotated[Literal["onnx"], typer.Option(help="The format.")],
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantize it: smaller and faster, the same labels for 99 %.")
    ] = False,
    output_dir: Annotated[
        Path | None,
        typer.Option(help="Where it goes (default: onnx or onnx-int8 in the run; of a model folder alone, NAME-onnx)."),
    ] = None,
) -> None:
    """Write the classifier in another format; `pet predict` reads it as any other. Needs the extra `[onnx]`.

    Example: `pet export runs/quickstart --to onnx --int8`
    """
    from pet.using.export import export_classifier

    exported = export_classifier(model, output_dir, int8=int8)
    note(str(exported))
    say(f"{to:<17} {exported.folder}")


@app.command("explain")
def explain_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run directory.")],
    row_id: Annotated[str, typer.Argument(metavar="ROW_ID", help="The id of a row in its pseudo_labels.parquet.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON, no text shortened.")] = False,
) -> None:
    """Say why a row has its label: who voted for what, who was trained on it, and what the voters read.

    Example: `pet explain runs/quickstart unlabeled-17`
    """
    from pet.reports.explain import explain
    from pet.reports.explain_lines import explanation_lines

    found = explain(run, row_id)
    if as_json:
        say_json(found.as_json())
    else:
        say(*explanation_lines(found))
