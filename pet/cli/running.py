"""Commands that train: run, label, distill, ablate; and job, which does one job of a run."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pet.cli.app import (
    FAST_RUN,
    AcceptAll,
    BadRow,
    Columns,
    Config,
    Fast,
    Force,
    KeepModels,
    Only,
    OutputDir,
    Registry,
    Reviewed,
    Settings,
    app,
    listed,
)
from pet.cli.several import run_several_command
from pet.cli.terminal import aligned, load_config, print_table, run_place, say

if TYPE_CHECKING:
    from pet.method.place import RunResult


def _changed(accept_all: bool, keep_models: bool, fast: bool) -> dict[str, bool]:
    """Return what the flags change, and whether each is given."""
    return {"ipet.accept_all=true": accept_all, "run.keep_models=true": keep_models, FAST_RUN: fast}


def verdict_lines(verdict: str, simpler: str | None, config: str) -> list[str]:
    """Return what is said of simpler ways: with a mark where one is better, and the command that takes it.

    >>> verdict_lines("something simpler would have done better: ...", "--fast", "my.toml")[1]
    '  this does it: pet run my.toml --fast --output-dir runs/my-simpler'
    """
    mark = "! verdict:" if verdict.startswith("something") else "verdict:"
    place = shlex.quote(str(run_place(f"{Path(config).stem}-simpler", None)))
    way = [f"  this does it: pet run {shlex.quote(config)} {simpler} --output-dir {place}"] if simpler else []
    return [f"{mark} {verdict}", *way]


def _explain(run: Path, row_id: str) -> str:
    """Return the command that explains a row."""
    return f"pet explain {shlex.quote(str(run))} {shlex.quote(row_id)}"


Executor = Annotated[
    Literal["auto", "here", "processes", "ray", "slurm", "debug"] | None,
    typer.Option(help="Where voters are done: run.executor (default: here or in processes, whichever is faster)."),
]
Address = Annotated[
    str | None, typer.Option(metavar="auto|local|HOST:PORT", help="The Ray cluster: run.address (default: auto).")
]
Workers = Annotated[str | None, typer.Option(metavar="N", help="How many voters are done at a time: run.workers.")]
Gpus = Annotated[float | None, typer.Option("--gpus-per-voter", metavar="SHARE", help="Such as 0.25: four on one GPU.")]


def _elsewhere(executor: str | None, address: str | None, workers: str | None, gpus: float | None) -> list[str]:
    """Return the settings of where voters are done."""
    given = {"executor": executor, "address": address, "workers": workers, "gpus_per_voter": gpus}
    return [f"run.{name}={_as_toml(value)}" for name, value in given.items() if value is not None]


def _as_toml(value: object) -> str:
    """Return a value as TOML has it: a number as it is, all else as a text."""
    return str(value) if str(value).replace(".", "", 1).isdigit() else json.dumps(str(value), ensure_ascii=False)


def _reviewed(files: list[Path] | None) -> list[str]:
    """Return the setting of the files that people have labeled rows in."""
    return [f"data.reviewed={json.dumps([str(file) for file in files])}"] if files else []


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
    fast: Fast = False,
    reviewed: Reviewed = None,
    executor: Executor = None,
    address: Address = None,
    workers: Workers = None,
    gpus: Gpus = None,
) -> None:
    """Label the pool, distill a classifier, and compare it with what else could have been done.

    Example: `pet run my.toml --set train.steps=60 --output-dir runs/first`
    """
    # A slip in it is told before torch is loaded.
    changes = [*(settings or []), *_reviewed(reviewed), *_elsewhere(executor, address, workers, gpus)]
    loaded = load_config(config, changes, registry, on_bad_row, _changed(accept_all, keep_models, fast))
    if loaded.task.multi_label:
        run_several_command(loaded, run_place(config, output_dir), force=force)
        return
    from pet.pipeline import run

    _tell(run(loaded, run_place(config, output_dir), force=force), config)


def _tell(result: "RunResult", config: str) -> None:
    """Print what came of a run, and where it lies."""
    from pet.method.card import python_call
    from pet.method.labels import pool_id, sample_lines
    from pet.method.summary import summary_table

    if result.summary is not None:
        print_table(summary_table(result.summary))
    more = result.curve.sentence if result.curve else None
    if result.verdict is not None:
        say(*verdict_lines(result.verdict, result.simpler, config))
    said = (result.reviewed, more, result.work, result.forecast)
    say(*(line for line in said if line is not None))
    sample = sample_lines(result.pseudo_labels, result.columns)
    say("", "label, confidence, agreement, text (a sample of the pool)", *sample)
    size = result.choice.chosen.size if result.choice else "same"
    page = result.directory / "report.html"
    places = {
        **({"report": str(page)} if page.is_file() else {}),
        "labeled data set": str(result.pseudo_labels),
        "figures": str(result.directory / "metrics.json"),
        "classifier": str(result.model),
        "label new texts": f"pet predict {shlex.quote(str(result.directory))} INPUT --output FILE",
        "or from Python": python_call(str(result.model), tuple(result.columns), size),
        "why a row has its label": _explain(result.directory, pool_id(result.pseudo_labels)),
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
    fast: Fast = False,
    reviewed: Reviewed = None,
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the rows to a table too: .csv, .tsv, .jsonl, .json, .parquet or .xlsx."
        ),
    ] = None,
    only: Only = None,
    columns: Columns = None,
    executor: Executor = None,
    address: Address = None,
    workers: Workers = None,
    gpus: Gpus = None,
) -> None:
    """Label the pool and stop at pseudo_labels.parquet.

    Example: `pet label my.toml --to labeled.xlsx --only pool --columns id,text,label,confidence`
    """
    changes = [*(settings or []), *_reviewed(reviewed), *_elsewhere(executor, address, workers, gpus)]
    loaded = load_config(config, changes, registry, on_bad_row, _changed(accept_all, keep_models, fast))
    from pet.data.writers import check_output
    from pet.method.labels import pool_id
    from pet.pipeline import label
    from pet.using.formats.export import export_table

    if to is not None:
        check_output(to, *loaded.data.sources())
    result = label(loaded, run_place(config, output_dir), force=force)
    if to is not None:
        export_table(result.directory, to, only, listed(columns), force=True)
    places = {
        "labeled data set": str(result.pseudo_labels),
        **({"as a table": str(to)} if to else {}),
        "a classifier of it": f"pet distill {shlex.quote(str(result.directory))}",
        "why a row has its label": _explain(result.directory, pool_id(result.pseudo_labels)),
    }
    say(*filter(None, (result.reviewed, result.forecast)), *aligned(places.items()))


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

    changes = [*(settings or []), *([f"distill.model={json.dumps(model, ensure_ascii=False)}"] if model else [])]
    say(f"classifier        {distill(run, changes, output_dir)}")


@app.command("ablate")
def ablate_command(
    config: Config,
    axis: Annotated[
        list[str],
        typer.Option(
            metavar="SECTION.KEY=VALUE,VALUE",
            help="A setting and its values, the one to compare with first; TOML, or plain words; repeatable.",
        ),
    ],
    samples: Annotated[int, typer.Option(metavar="N", help="Samples of the labeled rows, drawn by run.seed.")] = 5,
    output_dir: Annotated[
        Path | None, typer.Option(help="Where all runs lie (default: runs/NAME-ablation, NAME being the pipeline's).")
    ] = None,
    settings: Settings = None,
    registry: Registry = None,
    on_bad_row: BadRow = None,
    force: Annotated[bool, typer.Option("--force", help="Delete another ablation in that directory.")] = False,
) -> None:
    """Say what settings are worth: every combination of their values on the same samples of the labeled rows.

    Example: `pet ablate my.toml --axis ensemble.calibration=none,batch --axis adapt.method=none,mlm --samples 5`
    """
    from pet.ablation.grid import Grid, axes_of

    axes = axes_of(axis)
    loaded = load_config(config, settings, registry, on_bad_row)
    Grid.of(axes).configs(loaded)  # a slip in a value is told before torch is loaded, too
    from pet.ablation.ablate import ablate
    from pet.ablation.table import ablation_notes, ablation_table

    place = output_dir or run_place(f"{Path(config).stem}-ablation", None)
    result = ablate(loaded, axes, samples=samples, output_dir=place, force=force)
    print_table(ablation_table(result))
    places = {"every figure": str(result.path), "the table as Markdown": str(result.table_path)}
    say("", *ablation_notes(result), "", *aligned(places.items()))


@app.command("job")
def job_command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder below RUN/tasks, which a run has made.")],
) -> None:
    """Do one job that a run waits for, on any machine that sees the folder of the run under the same path.

    Example: `pet job runs/first/tasks/0a1b2c3d/4e5f60718293a4b5`
    """
    from pet.runs.executors.base import limit_threads, read_task

    limit_threads(read_task(folder)["threads"])  # before torch is loaded
    from pet.method.plan.doing import do_voter

    do_voter(str(folder))
