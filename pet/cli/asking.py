"""The command that writes prompts for a language model, and reads its answers: prompt."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pet.cli.app import BadRow, Config, Registry, Settings, app
from pet.cli.terminal import load_config, note, say


@app.command("prompt")
def prompt_command(
    config: Config,
    output: Annotated[
        Path | None, typer.Option(help="Where it goes (default: prompts.jsonl; with --answers votes.csv).")
    ] = None,
    rows: Annotated[Literal["pool", "gold", "both"], typer.Option(help="Which rows are asked about.")] = "both",
    most: Annotated[
        int | None, typer.Option("-n", metavar="N", help="So many rows of the pool (default: all).")
    ] = None,
    answers: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read answers, with an id each, and write a file of votes.")
    ] = None,
    settings: Settings = None,
    registry: Registry = None,
    on_bad_row: BadRow = None,
) -> None:
    """Write a prompt per row for a language model of your choice, or read its answers as votes. Nobody is asked.

    Example: `pet prompt my.toml -n 500`, then `pet prompt my.toml --answers answers.jsonl --output llm.csv`
    """
    loaded = load_config(config, settings, registry, on_bad_row)
    from pet.using.asking import read_answers, write_prompts

    if answers is None:
        place = output or Path("prompts.jsonl")
        note(f"{write_prompts(loaded, place, rows, most)} prompts; answer each with its id, and give them to --answers")
        say(f"{'prompts':<17} {place}")
        return
    place = output or Path("votes.csv")
    note(str(read_answers(loaded, answers, place)))
    say(f"{'votes':<17} {place}", f'{"use them":<17} [[votes]] file = "{place}"')
