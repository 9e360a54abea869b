"""The command that sends something to the Hugging Face hub, when a person has said so: push."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pet.cli.app import app
from pet.cli.terminal import note, say


@app.command("push")
def push_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    repo: Annotated[str, typer.Argument(metavar="REPO", help="OWNER/NAME on the Hugging Face hub.")],
    private: Annotated[bool, typer.Option("--private", help="Only you can read it.")] = False,
    dataset: Annotated[
        bool, typer.Option("--dataset", help="Send the labeled data set, with your texts, instead of the classifier.")
    ] = False,
    licence: Annotated[
        str | None, typer.Option("--license", help="What others may do with it, such as apache-2.0: for the card.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Send it without asking.")] = False,
) -> None:
    """Send the classifier of a run to the Hugging Face hub, or with --dataset its labels; says what, and asks first.

    Example: `pet push runs/quickstart ann/support-mails --private`
    """
    from pet.errors import ConfigError
    from pet.using.push import packed, push

    with packed(run, repo, private=private, dataset=dataset, licence=licence) as parcel:
        for line in parcel.lines:
            note(line)
        if licence is None:
            note("its card has no licence (--license): others may look at it, not use it")
        if not yes:
            if not sys.stdin.isatty():
                raise ConfigError("Nothing was sent: add --yes, where nobody can be asked.")
            typer.confirm("send it?", abort=True, err=True)
        say(push(parcel))
