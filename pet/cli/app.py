"""The command `pet` itself, and the arguments that its commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pet.cli.terminal import CommandGroup

app = typer.Typer(
    name="pet",
    cls=CommandGroup,
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="A few labeled texts and a pile of unlabeled ones in; a labeled data set and a classifier out.",
    epilog="Start with `pet run quickstart`, then `pet pipelines quickstart` to see the file behind it.",
)

Config = Annotated[str, typer.Argument(metavar="CONFIG", help="A pipeline file, or a name listed by `pet pipelines`.")]
OutputDir = Annotated[
    Path | None, typer.Option(help="Where the run lies (default: runs/NAME, NAME being the pipeline's).")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change one setting; repeatable.")
]
Registry = Annotated[
    list[Path] | None, typer.Option(metavar="DIR", help="A folder with patterns/ or verbalizers/; repeatable.")
]
Force = Annotated[bool, typer.Option("--force", help="Delete the results of another run in that directory.")]
BadRow = Annotated[
    Literal["error", "skip"] | None, typer.Option(help="What to do with a row that cannot be used (default: error).")
]
AcceptAll = Annotated[
    bool,
    typer.Option("--accept-all", help="Keep every generation of iPET, also one that the guard rails would reject."),
]
Only = Annotated[
    Literal["pool", "gold"] | None, typer.Option(help="Some of the rows: those of the pool, or the labeled ones.")
]
Columns = Annotated[
    str | None, typer.Option(metavar="A,B", help="Some of the columns of a table, in this order (default: all).")
]
Reviewed = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="A review.csv: its labels count as gold; repeatable, one for each reviewer."),
]
FAST_RUN = "train.preset=fast"
Fast = Annotated[
    bool, typer.Option("--fast", help="No patterns: voters on the vectors of the encoder alone, labels in seconds.")
]
All = Annotated[bool, typer.Option("--all", help="Show all rows of long tables, not ten.")]
KeepModels = Annotated[bool, typer.Option("--keep-models", help="Keep the weights of every trained voter (large).")]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A run directory, or its model folder.")]
Input = Annotated[
    str,
    typer.Argument(
        metavar="INPUT", help="CSV, TSV, JSONL, JSON, Parquet, .xlsx or text, also .gz; or a folder of them."
    ),
]
Encoding = Annotated[str, typer.Option(help="The encoding of the file, where it is text, such as cp1252.")]
Name = Annotated[str | None, typer.Argument(metavar="NAME", help="Show this one.")]
NameOrGlob = Annotated[str | None, typer.Argument(metavar="NAME", help="Show this one, or list a glob's.")]


def listed(names: str | None) -> list[str]:
    """Return the names of a list with commas."""
    return [name.strip() for name in (names or "").split(",") if name.strip()]


def _show_version(wanted: bool) -> None:
    if wanted:
        from pet import __version__

        typer.echo(f"pet {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    _quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say warnings alone, and show no progress.")] = False,
    _verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say what each job has done.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Label texts with few labels."""
