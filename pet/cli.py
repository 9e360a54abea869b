"""The command: parse, call one function, print. Data goes to stdout, messages to stderr.

Nothing heavy is imported before a command needs it, so that ``pet --help`` answers at once.
"""

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from pet.errors import PetError

if TYPE_CHECKING:
    from pet.config import RunConfig

__all__ = ["app"]


class _Group(TyperGroup):
    """Turns errors into one line and an exit code: 0 done, 1 failed, 2 wrong use, 130 interrupted."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take --debug from anywhere on the line."""
        ctx.obj = "--debug" in args
        rest: list[str] = super().parse_args(ctx, [argument for argument in args if argument != "--debug"])
        return rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            resumes = ctx.invoked_subcommand in ("run", "label", "distill")
            typer.echo(f"interrupted{': the same command goes on where it stopped' if resumes else ''}", err=True)
            raise typer.Exit(130) from None
        except BrokenPipeError:  # as of `pet patterns | head -1`; nor shall what is left be written at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(141) from None
        except Exception as error:
            if ctx.obj or isinstance(error, typer.Exit | typer.Abort | typer.TyperException):
                raise
            typer.echo(f"error: {_one_line(error)}", err=True)
            raise typer.Exit(error.exit_code if isinstance(error, PetError) else 1) from None


def _one_line(error: Exception) -> str:
    if isinstance(error, PetError):
        return " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return "The memory is full: lower data.max_unlabeled or model.max_length."
    return f"{type(error).__name__}: {' '.join(str(error).split())} (unexpected; --debug shows where)"


app = typer.Typer(
    name="pet",
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="A few labeled texts and a pile of unlabeled ones in; a labeled data set and a classifier out.",
    epilog="Start with `pet run quickstart`, then `pet pipelines quickstart` to see the file behind it.",
)

Config = Annotated[str, typer.Argument(metavar="CONFIG", help="A pipeline file, or a name listed by `pet pipelines`.")]
OutputDir = Annotated[Path | None, typer.Option(help="Where the run lies (default: runs/<name of the pipeline>).")]
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
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A run directory, or its model folder.")]
Input = Annotated[str, typer.Argument(metavar="INPUT", help="CSV, TSV, JSONL, JSON, Parquet or text; also .gz.")]
Name = Annotated[str | None, typer.Argument(help="Show this one.")]


@app.callback()
def _options(
    _debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Label texts with few labels."""


@app.command("run")
def run_command(
    config: Config,
    output_dir: OutputDir = None,
    settings: Settings = None,
    registry: Registry = None,
    on_bad_row: BadRow = None,
    force: Force = False,
) -> None:
    """Label the pool, distill a classifier, and compare it with what else could have been done.

    Example: `pet run my.toml --set train.steps=60 --output-dir runs/first`
    """
    loaded = _load(config, settings, registry, on_bad_row)  # a slip in it is told before torch is loaded
    from pet.pipeline import run
    from pet.reports.cards import stock_call
    from pet.reports.labeled import sample_lines
    from pet.reports.summary import summary_table

    result = run(loaded, _place(config, output_dir), force=force)
    if result.summary is not None:
        _print_table(summary_table(result.summary))
    sample = sample_lines(result.pseudo_labels, result.columns)
    _say("", "label, confidence, agreement, text (a sample of the pool)", *sample)
    _say(
        "",
        f"labeled data set   {result.pseudo_labels}",
        f"figures            {result.directory / 'metrics.json'}",
        f"classifier         {result.model}",
        f"label new texts    pet predict {result.directory} INPUT --output FILE",
        f"or from Python     {stock_call(str(result.model), tuple(result.columns))}",
    )


@app.command("label")
def label_command(
    config: Config,
    output_dir: OutputDir = None,
    settings: Settings = None,
    registry: Registry = None,
    on_bad_row: BadRow = None,
    force: Force = False,
    jsonl: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the rows as JSON lines too.")] = None,
) -> None:
    """Label the pool and stop at pseudo_labels.parquet.

    Example: `pet label my.toml --jsonl labeled.jsonl`
    """
    loaded = _load(config, settings, registry, on_bad_row)
    from pet.data import check_output
    from pet.pipeline import label
    from pet.reports.labeled import export_jsonl

    if jsonl is not None:
        check_output(jsonl, *loaded.data.sources())
    result = label(loaded, _place(config, output_dir), force=force)
    if jsonl is not None:
        export_jsonl(result.pseudo_labels, jsonl)
    _say(f"labeled data set  {jsonl or result.pseudo_labels}")


@app.command("distill")
def distill_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory with pseudo_labels.parquet.")],
    model: Annotated[str | None, typer.Option(help="Start from this model (bundled, folder or hub id).")] = None,
    output_dir: Annotated[Path | None, typer.Option(help="Where the model goes (default: RUN/model).")] = None,
    settings: Settings = None,
) -> None:
    """Train a classifier from the labeled data set of a run, also after you have corrected labels in it.

    Example: `pet distill runs/quickstart --set distill.steps=300`
    """
    from pet.pipeline import distill

    changes = [*(settings or []), *([f"distill.model={json.dumps(model)}"] if model else [])]
    _say(f"classifier        {distill(run, changes, output_dir)}")


@app.command("predict")
def predict_command(
    model: Model,
    source: Input,
    output: Annotated[Path, typer.Option(help="Where the labels go: .csv, .tsv, .jsonl or .parquet.")],
    on_bad_row: BadRow = None,
) -> None:
    """Label new texts: your columns, then label, confidence and prob_LABEL.

    Example: `pet predict runs/quickstart new.csv --output labeled.csv`
    """
    from pet.reports.predictions import predict_file

    found = predict_file(model, source, output, on_bad_row or "error")
    for row in found.rejected:
        typer.echo(f"warning: left out {row.file}, line {row.line}: {row.reason}", err=True)
    typer.echo(f"{len(found.examples)} rows labeled in {output}", err=True)


@app.command("evaluate")
def evaluate_command(model: Model, source: Input, on_bad_row: BadRow = None) -> None:
    """Compare a classifier with the labels of a file; prints JSON.

    Example: `pet evaluate runs/quickstart test.jsonl`
    """
    from pet.reports.predictions import evaluate_file

    _say(json.dumps(evaluate_file(model, source, on_bad_row or "error").as_json(), ensure_ascii=False, indent=2))


@app.command("check")
def check_command(
    config: Config, settings: Settings = None, registry: Registry = None, on_bad_row: BadRow = None
) -> None:
    """Show what the model will read, how it splits the label words, and what to change.

    Example: `pet check my.toml`
    """
    loaded = _load(config, settings, registry, on_bad_row)
    from pet.reports.check import check, report_lines
    from pet.runs.plan import prepare

    _say(*report_lines(check(prepare(loaded))))


@app.command("patterns")
def patterns_command(name: Name = None, registry: Registry = None) -> None:
    """List the patterns, or show one.

    Example: `pet patterns agnews/category`
    """
    from pet.prompts import load_patterns

    patterns = load_patterns(registry or [])
    if name is None:
        _say(*_aligned((pattern.name, pattern.template) for pattern in patterns))
        return
    pattern = patterns.get(name)
    facts = {
        "name": name,
        "template": pattern.template,
        "fields": ", ".join(pattern.fields),
        "about": pattern.description,
        "file": patterns.origin(name),
    }
    _say(*_aligned(facts.items()))


@app.command("verbalizers")
def verbalizers_command(name: Name = None, registry: Registry = None) -> None:
    """List the verbalizers, or show one.

    Example: `pet verbalizers agnews/words`
    """
    from pet.prompts import load_verbalizers

    verbalizers = load_verbalizers(registry or [])
    if name is None:
        words = {one.name: "; ".join(f"{k}: {', '.join(v)}" for k, v in one.words.items()) for one in verbalizers}
        _say(*_aligned(words.items()))
        return
    _say(*_aligned((label, ", ".join(words)) for label, words in verbalizers.get(name).words.items()))


@app.command("pipelines")
def pipelines_command(name: Name = None) -> None:
    """List the ready-made pipelines, or show one: a start for your own file.

    Example: `pet pipelines quickstart > my.toml`
    """
    from pet.library import pipeline_files, pipeline_text

    if name is None:
        heads = {path.stem: path.read_text(encoding="utf-8").splitlines()[0] for path in pipeline_files()}
        _say(*_aligned((stem, head.lstrip("# ")) for stem, head in heads.items()))
        return
    _say(pipeline_text(name).rstrip())


def _load(config: str, settings: list[str] | None, registry: list[Path] | None, on_bad_row: str | None) -> "RunConfig":
    from pet.config import RunConfig
    from pet.library import pipeline_path

    changes = [*(settings or []), *([f'data.on_bad_row="{on_bad_row}"'] if on_bad_row else [])]
    loaded = RunConfig.from_toml(pipeline_path(config), changes)
    return loaded.with_registries(registry or [])


def _place(config: str, output_dir: Path | None) -> Path:
    return output_dir or Path("runs") / Path(config).stem


def _say(*lines: str) -> None:
    for line in lines:
        typer.echo(line)


def _print_table(table: Any) -> None:
    from rich.console import Console

    # A pipe has no width: never fold the table there.
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _aligned(rows: Iterable[tuple[str, str]]) -> list[str]:
    pairs = list(rows)
    width = max((len(name) for name, _ in pairs), default=0)
    return [f"{name:<{width}}  {text}" for name, text in pairs]
