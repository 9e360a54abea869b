"""The command that says which rows to label next, and asks for their labels."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from pet.cli.app import app
from pet.cli.terminal import note, say, say_json


@app.command("next")
def next_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory with pseudo_labels.parquet.")],
    count: Annotated[int, typer.Option("-n", "--count", metavar="N", help="So many rows of the pool.")] = 20,
    label: Annotated[bool, typer.Option("--label", help="Ask for their labels, and keep them in review.csv.")] = False,
    reviewer: Annotated[str, typer.Option(metavar="NAME", help="Who labels, where there are several.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON, no text shortened.")] = False,
) -> None:
    """Say which rows to label next, and ask for their labels.

    Example: `pet next runs/quickstart -n 20 --label`
    """
    from pet.data.review import read_reviews, write_reviews
    from pet.reports.review import to_review
    from pet.reports.review_lines import Questions, check_same_run, merged, review_lines
    from pet.runs.directory import RunDirectory

    path = RunDirectory(run).review_path
    before = read_reviews(path, some=False) if path.is_file() else []
    found = to_review(run, count, frozenset(review.id for review in before if review.reviewer == reviewer))
    check_same_run(before, found, str(path))
    if as_json:
        say_json(found.as_json())
    elif not label:
        say(*review_lines(found))
    else:

        def keep(said: Mapping[str, str | None]) -> None:
            write_reviews(path, merged(before, said, found, reviewer))

        for line in found.notes:
            note(line)
        questions = Questions(found, input, say, keep)
        questions.ask()
        place, rows = shlex.quote(str(run)), len(questions.said)
        say(
            f"{'1 row' if rows == 1 else f'{rows} rows'} labeled in {path}; count them as gold rows by",
            f"pet run {place}/config.toml --output-dir {place} --reviewed {shlex.quote(str(path))}",
        )
