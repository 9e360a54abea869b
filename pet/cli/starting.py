"""`pet init`: a first pipeline from files of rows."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pet.cli.app import app
from pet.cli.terminal import note, say

if TYPE_CHECKING:
    from pet.starting.proposal import Proposal, Wish

KindName = Literal["sentiment", "topic", "intent", "question-type", "spam", "nli", "paraphrase", "stance"]


@app.command("init")
def init_command(
    train: Annotated[str, typer.Argument(metavar="TRAIN", help="Labeled rows, perhaps among others without a label.")],
    unlabeled: Annotated[str, typer.Argument(metavar="[UNLABELED]", help="The rows to label.")] = "",
    test: Annotated[str, typer.Option(metavar="FILE", help="Labeled rows that are only measured on.")] = "",
    labels: Annotated[
        str, typer.Option(metavar="A,B,C", help="The labels; with words of their own, such as 0=bad,1=good.")
    ] = "",
    text: Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="The text, or two of them.")] = None,
    label_column: Annotated[str, typer.Option(metavar="COLUMN", help="The column of the labels.")] = "",
    id_column: Annotated[str, typer.Option(metavar="COLUMN", help="The column of the ids.")] = "",
    kind: Annotated[KindName | None, typer.Option(help="The kind of task, which decides on patterns.")] = None,
    model: Annotated[str, typer.Option(metavar="MODEL", help="The masked LM, which tries the words.")] = "pet-mini",
    output: Annotated[Path | None, typer.Option(help="Where to write the pipeline (default: TRAIN as .toml).")] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Take what is proposed; without a terminal nobody is asked.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a pipeline that is there.")] = False,
) -> None:
    """Look at your files and write a first pipeline, which says what was chosen and why.

    Example: `pet init all.csv --yes`
    """
    from pet.starting.columns import Given
    from pet.starting.proposal import Wish, parse_labels, propose, task_name

    target = output or Path(f"{task_name(train)}.toml")
    _check_target(target, force)
    given = Given(tuple(text or ()), label_column, id_column)
    wish = Wish(train, unlabeled, test, given, parse_labels(labels) if labels else {}, kind or "", model)
    proposal = propose(wish)
    if not yes and sys.stdin.isatty():
        proposal = _asked(wish, proposal)
    _write(proposal, task_name(train), target)


def _check_target(target: Path, force: bool) -> None:
    from pet.errors import ConfigError

    if target.exists() and not force:
        raise ConfigError(f"{target} is there already: choose another with --output, or overwrite it with --force.")
    if not target.parent.is_dir():
        raise ConfigError(f"The folder {target.parent} for {target.name} does not exist: choose another --output.")


def _asked(wish: "Wish", proposal: "Proposal") -> "Proposal":
    """Ask a person about columns and kind, each with what is proposed, until nothing changes."""
    from dataclasses import replace

    from pet.starting.kinds import KINDS
    from pet.starting.proposal import propose

    columns = proposal.columns
    texts = typer.prompt("columns of the text, with commas", ",".join(columns.texts))
    label = typer.prompt("column of the labels", columns.label) if columns.label else ""
    given = replace(wish.columns, texts=tuple(part.strip() for part in texts.split(",")), label=label)
    if given.texts != columns.texts or label != columns.label:
        proposal = propose(replace(wish, columns=given))
    chosen = typer.prompt(f"kind of task ({', '.join(KINDS)})", proposal.kind.name)
    changed = replace(wish, columns=given, kind=chosen if chosen != proposal.kind.name else wish.kind)
    return propose(changed) if changed.kind != wish.kind else proposal


def _write(proposal: "Proposal", name: str, target: Path) -> None:
    """Write the pipeline, unless a run would refuse its files, and say what comes next."""
    import tomllib
    from dataclasses import replace

    from pet.data.dataset import load_task_data
    from pet.prompts.registry import find_verbalizer
    from pet.settings.config import RunConfig
    from pet.settings.toml import absolute
    from pet.starting.pipeline_text import pipeline_text
    from pet.starting.proposal import placed

    proposal = replace(proposal, sources=placed(proposal.sources, target.parent))
    text = pipeline_text(proposal, name, shlex.join(["pet", *sys.argv[1:]]))
    config = RunConfig.from_mapping(absolute(tomllib.loads(text), target.parent), str(target))
    words = find_verbalizer(config.prompts)
    data = load_task_data(config.task, config.data, config.run.seed, words.labels if words else ())
    target.write_text(text, encoding="utf-8")
    say(text.rstrip(), "")
    for message in data.messages:
        note(f"note: {message}")
    for doubt in filter(None, [proposal.kind.doubt, proposal.unread]):
        note(f"note: {doubt}")
    place = shlex.quote(str(target))
    say(
        f"{target} is written. Next:",
        f"  pet run {place} --fast   labels in seconds",
        f"  pet run {place}          labels by patterns, too",
        f"  pet check {place}        what the model reads",
    )
