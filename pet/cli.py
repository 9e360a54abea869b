"""The command: parse, call one function, print. Data goes to stdout, messages to stderr.

Nothing heavy is imported before a command needs it, so that ``pet --help`` answers at once.
"""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from pet.terminal import CommandGroup, aligned, load_config, print_table, run_place, say

__all__ = ["app"]


app = typer.Typer(
    name="pet",
    cls=CommandGroup,
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
AcceptAll = Annotated[
    bool,
    typer.Option("--accept-all", help="Keep every generation of iPET, also one that the guard rails would reject."),
]
KeepModels = Annotated[bool, typer.Option("--keep-models", help="Keep the weights of every trained voter (large).")]
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
    accept_all: AcceptAll = False,
    keep_models: KeepModels = False,
) -> None:
    """Label the pool, distill a classifier, and compare it with what else could have been done.

    Example: `pet run my.toml --set train.steps=60 --output-dir runs/first`
    """
    # A slip in it is told before torch is loaded.
    loaded = load_config(config, settings, registry, on_bad_row, accept_all, keep_models)
    from pet.pipeline import run
    from pet.reports.cards import stock_call
    from pet.reports.labeled import sample_lines
    from pet.reports.summary import summary_table

    result = run(loaded, run_place(config, output_dir), force=force)
    if result.summary is not None:
        print_table(summary_table(result.summary))
    say(*(line for line in (result.verdict, result.work) if line is not None))
    sample = sample_lines(result.pseudo_labels, result.columns)
    say("", "label, confidence, agreement, text (a sample of the pool)", *sample)
    places = {
        "labeled data set": str(result.pseudo_labels),
        "figures": str(result.directory / "metrics.json"),
        "classifier": str(result.model),
        "label new texts": f"pet predict {result.directory} INPUT --output FILE",
        "or from Python": stock_call(str(result.model), tuple(result.columns)),
        "why a row has its label": f"pet explain {result.directory} ROW_ID",
    }
    say("", *aligned(places.items()))


@app.command("label")
def label_command(
    config: Config,
    output_dir: OutputDir = None,
    settings: Settings = None,
    registry: Registry = None,
    on_bad_row: BadRow = None,
    force: Force = False,
    accept_all: AcceptAll = False,
    keep_models: KeepModels = False,
    jsonl: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the rows as JSON lines too.")] = None,
) -> None:
    """Label the pool and stop at pseudo_labels.parquet.

    Example: `pet label my.toml --jsonl labeled.jsonl`
    """
    loaded = load_config(config, settings, registry, on_bad_row, accept_all, keep_models)
    from pet.data import check_output
    from pet.pipeline import label
    from pet.reports.labeled import export_jsonl

    if jsonl is not None:
        check_output(jsonl, *loaded.data.sources())
    result = label(loaded, run_place(config, output_dir), force=force)
    if jsonl is not None:
        export_jsonl(result.pseudo_labels, jsonl)
    say(f"labeled data set  {jsonl or result.pseudo_labels}")


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
    say(f"classifier        {distill(run, changes, output_dir)}")


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

    say(json.dumps(evaluate_file(model, source, on_bad_row or "error").as_json(), ensure_ascii=False, indent=2))


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
    say(*([json.dumps(found.as_json(), ensure_ascii=False, indent=2)] if as_json else explanation_lines(found)))


@app.command("check")
def check_command(
    config: Config, settings: Settings = None, registry: Registry = None, on_bad_row: BadRow = None
) -> None:
    """Show what the model will read, how it splits the label words, and what to change.

    Example: `pet check my.toml`
    """
    loaded = load_config(config, settings, registry, on_bad_row)
    from pet.reports.check import check, report_lines
    from pet.runs.plan import prepare

    say(*report_lines(check(prepare(loaded))))


@app.command("explain-prompt")
def explain_prompt_command(
    prompt: Annotated[
        str, typer.Argument(metavar="PATTERN", help="Its name, a template with a {mask}, or a saved voter's folder.")
    ],
    row: Annotated[int, typer.Option(metavar="N", help="The row of the pipeline to show, counted from 1.")] = 1,
    config: Annotated[str, typer.Option(metavar="CONFIG", help="The pipeline that the row comes from.")] = "quickstart",
    settings: Settings = None,
    registry: Registry = None,
) -> None:
    """Show a row token by token as the model reads it: text, template, virtual tokens, mask, and what is cut.

    Example: `pet explain-prompt topic/about --row 3 --set train.preset=p-tuning`
    """
    loaded = load_config(config, settings, registry, None)
    from pet.reports.prompt import explain_prompt, prompt_lines

    say(*prompt_lines(explain_prompt(loaded, prompt, row)))


@app.command("patterns")
def patterns_command(name: Name = None, registry: Registry = None) -> None:
    """List the patterns, or show one.

    Example: `pet patterns agnews/category`
    """
    from pet.prompts import load_patterns

    patterns = load_patterns(registry or [])
    if name is None:
        say(*aligned((pattern.name, pattern.template) for pattern in patterns))
        return
    pattern = patterns.get(name)
    facts = {
        "name": name,
        "template": pattern.template,
        "fields": ", ".join(pattern.fields),
        "about": pattern.description,
        "file": patterns.origin(name),
    }
    say(*aligned(facts.items()))


@app.command("verbalizers")
def verbalizers_command(name: Name = None, registry: Registry = None) -> None:
    """List the verbalizers, or show one.

    Example: `pet verbalizers agnews/words`
    """
    from pet.prompts import load_verbalizers

    verbalizers = load_verbalizers(registry or [])
    if name is None:
        words = {one.name: "; ".join(f"{k}: {', '.join(v)}" for k, v in one.words.items()) for one in verbalizers}
        say(*aligned(words.items()))
        return
    say(*aligned((label, ", ".join(words)) for label, words in verbalizers.get(name).words.items()))


@app.command("pipelines")
def pipelines_command(name: Name = None) -> None:
    """List the ready-made pipelines, or show one: a start for your own file.

    Example: `pet pipelines quickstart > my.toml`
    """
    from pet.library import pipeline_files, pipeline_text

    if name is None:
        heads = {path.stem: path.read_text(encoding="utf-8").splitlines()[0] for path in pipeline_files()}
        say(*aligned((stem, head.lstrip("# ")) for stem, head in heads.items()))
        return
    say(pipeline_text(name).rstrip())
