"""Commands about a classifier in use: what it is, and whether texts have changed since: info, watch."""

from typing import Annotated

import typer

from pet.cli.app import BadRow, Encoding, Input, Model, app
from pet.cli.terminal import note, say, say_json

Json = Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")]


@app.command("watch")
def watch_command(
    model: Model,
    source: Input,
    on_bad_row: BadRow = None,
    encoding: Encoding = "utf-8",
    as_json: Json = False,
) -> None:
    """Say whether new texts are like those of the pool: labels, confidence, length, unknown tokens, distance.

    The exit code is 0 where they are, 1 where they have drifted, and 2 where that cannot be told.

    Example: `pet watch runs/quickstart new.csv`
    """
    from pet.using.drift import watch, watch_lines

    drift, read = watch(model, source, on_bad_row or "error", encoding)
    for row in read.rejected:
        note(f"! warning: left out {row.file}, line {row.line}: {row.reason}")
    if as_json:
        say_json(drift.as_json())
    else:
        say(*watch_lines(drift))
    raise typer.Exit(1 if drift.drifted else 0)


@app.command("info")
def info_command(model: Model, as_json: Json = False) -> None:
    """Say what a classifier is: labels, examples, data, settings, versions, calibration, thresholds, licence.

    Example: `pet info runs/quickstart`
    """
    from pet.using.info import info, info_lines

    found = info(model)
    if as_json:
        say_json(found.as_json())
    else:
        say(*info_lines(found))
