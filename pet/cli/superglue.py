"""The commands about SuperGLUE: superglue-rows, superglue-score, superglue-submit."""

from pathlib import Path
from typing import Annotated

import typer

from pet.cli.app import app
from pet.cli.terminal import note, say

TaskName = Annotated[
    str, typer.Argument(metavar="TASK", help="boolq, cb, copa, multirc, record, rte, wic or wsc.", show_default=False)
]
Labeled = Annotated[str, typer.Argument(metavar="LABELED", help="What pet predict has written.", show_default=False)]


@app.command("superglue-rows")
def rows_command(
    task: TaskName,
    source: Annotated[str, typer.Argument(metavar="FILE", help="A file of the benchmark.", show_default=False)],
    output: Annotated[Path, typer.Option(help="Where the rows go.")],
) -> None:
    """Write a file of SuperGLUE as rows for its pipeline.

    Example: `pet superglue-rows boolq BoolQ/train.jsonl --output boolq-train.jsonl`
    """
    from pet.using.superglue.tasks import rows_file

    note(f"{rows_file(task, source, output)} rows in {output}")


@app.command("superglue-score")
def score_command(task: TaskName, labeled: Labeled) -> None:
    """Measure labels as SuperGLUE does: what pet predict has written of rows with a gold label.

    Example: `pet superglue-score boolq labeled.jsonl`
    """
    from pet.using.superglue.tasks import measured

    say(*(f"{name:<10} {100 * value:.1f}" for name, value in measured(task, labeled).items()))


@app.command("superglue-submit")
def submit_command(
    task: TaskName,
    labeled: Labeled,
    output_dir: Annotated[Path, typer.Option(help="The folder of the files to submit.")] = Path("superglue"),
) -> None:
    """Write labels of the test rows as SuperGLUE wants them.

    Example: `pet superglue-submit boolq labeled.jsonl --output-dir submission`
    """
    from pet.using.superglue.tasks import submission

    say(f"{'submit':<10} {submission(task, labeled, output_dir)}")
