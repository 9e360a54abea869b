"""Commands that use what a run has made: predict, evaluate, export, explain."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pet.cli.app import All, BadRow, Columns, Encoding, Input, Model, Only, app, listed
from pet.cli.terminal import counted, note, say, say_json

if TYPE_CHECKING:
    from pet.data.readers import ReadResult
    from pet.using.files import Labeled


@app.command("predict")
def predict_command(
    model: Model,
    source: Input,
    output: Annotated[
        Path,
        typer.Option(
            help="Where the labels go: .csv, .tsv, .jsonl, .json, .parquet or .xlsx, or a folder of Parquet files."
        ),
    ],
    on_bad_row: BadRow = None,
    min_precision: Annotated[
        float | None,
        typer.Option(
            help="Say in a column accept which labels to trust, so that such a share of them is right, such as 0.95."
        ),
    ] = None,
    abstain: Annotated[
        float | None,
        typer.Option(help="Say so of each row by its confidence alone: from this one on, such as 0.7."),
    ] = None,
    columns: Annotated[
        str | None, typer.Option(metavar="A,B", help="Some of the columns, in this order (default: all).")
    ] = None,
    encoding: Encoding = "utf-8",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the same command was interrupted, to the same bytes.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes that do the work side by side.")] = 1,
) -> None:
    """Label new texts: your columns, then label, confidence and prob_LABEL.

    Where the classifier has vectors, and its run had a pool of some hundred rows, a column unfamiliar marks texts that
    are unlike all of them. Millions of rows take no more memory than thousands.

    Example: `pet predict runs/quickstart new.csv --output labeled.csv --min-precision 0.95`
    """
    from pet.using.files import FileOptions, predict_file
    from pet.using.predict import Wish

    options = FileOptions(on_bad_row or "error", encoding, listed(columns), resume, workers, note)
    found = predict_file(model, source, output, options, Wish(min_precision, abstain), _warn)
    _tell_labeled(found, output)


_MANY = 10_000
"""From so many rows on it is told how many were done a second: with fewer, getting ready takes longer."""


def _tell_labeled(found: "Labeled", output: Path) -> None:
    _tell_rejected(found.read)
    rows = len(found.read.examples)
    note(f"{rows} rows labeled in {output}: {counted(found.given)}")
    if rows >= _MANY:
        note(f"{found.rate:,.0f} rows/s")
    if found.renamed:
        pairs = ", ".join(f"{name} is {ours}" for name, ours in found.renamed.items())
        note(f"your columns keep their names; of ours, where yours has the same name, {pairs}")
    if found.accepted is not None:
        note(f"{found.accepted} rows to accept, {rows - found.accepted} to review")
    if found.unfamiliar:
        note(f"{found.unfamiliar} rows are unlike the pool of the run (unfamiliar); `pet watch` says in what")


@app.command("evaluate")
def evaluate_command(
    model: Model,
    source: Input,
    on_bad_row: BadRow = None,
    every: All = False,
    encoding: Encoding = "utf-8",
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """Compare a classifier with the labels of a file: the worst labels, and what is confused with what.

    Example: `pet evaluate runs/quickstart test.jsonl`
    """
    from pet.reports.evaluation import evaluation_lines
    from pet.using.files import evaluate_file

    evaluation, found = evaluate_file(model, source, on_bad_row or "error", _warn, encoding)
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
    to: Annotated[
        str,
        typer.Option(
            metavar="FORMAT|FILE",
            help="The classifier as onnx; the labels for label-studio, doccano, argilla, cleanlab or hub, or as a "
            "table: a FILE that ends in .csv, .tsv, .jsonl, .json, .parquet or .xlsx.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "--output-dir", help="Where it goes (default: into the run, named as the format)."),
    ] = None,
    only: Only = None,
    columns: Columns = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantize it: smaller and faster, the same labels for 99 %.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write it anew where there is one.")] = False,
) -> None:
    """Write the labels for another tool or as a table, or the classifier as ONNX (needs the extra `[onnx]`).

    Example: `pet export runs/quickstart --to label-studio`, `--to labeled.xlsx --only pool` or `--to onnx --int8`
    """
    if to != "onnx":
        from pet.using.formats.export import export_labels

        say(f"{'labels':<17} {export_labels(model, to, output, only, listed(columns), force=force)}")
        return
    from pet.using.export import export_classifier

    exported = export_classifier(model, output, int8=int8)
    note(str(exported))
    say(f"{to:<17} {exported.folder}")


@app.command("import")
def import_command(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="What another tool has exported.")],
    tool: Annotated[str, typer.Option("--from", metavar="label-studio|doccano|argilla|csv", help="The tool.")],
    output: Annotated[Path, typer.Option(help="Where the labels go.")] = Path("review.csv"),
    run: Annotated[
        Path | None, typer.Option(metavar="RUN", help="The run whose rows they are: ids and labels are checked.")
    ] = None,
    unchanged: Annotated[
        bool, typer.Option("--unchanged", help="Of doccano: count labels as pet gave them, if people approved all.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write it anew where there is one.")] = False,
) -> None:
    """Read what people have labeled in another tool, and write it as a review.csv.

    Example: `pet import project-1.json --from label-studio --run runs/quickstart`
    """
    from pet.using.formats.importing import import_reviews

    note(str(import_reviews(source, tool, output, run, unchanged=unchanged, force=force)))
    say(f"{'labels':<17} {output}")


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
