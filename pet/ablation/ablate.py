"""`ablate`: the cells of a grid, each a run, on the same samples of the labeled rows.

The samples follow from `run.seed`: the first is drawn by it, the next by the number after it, and so on. All cells of
a sample share their finished jobs: what the axes do not change is done once.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pet.ablation.grid import Cell, Grid
from pet.ablation.record import Record, open_record
from pet.ablation.result import AblationResult, RunFigures
from pet.data.dataset import data_digest, labeled_draws
from pet.errors import ConfigError
from pet.method.plan.plan import prepare
from pet.method.summary import DISTILLED
from pet.pipeline import run
from pet.runs.directory import RunDirectory
from pet.runs.manifest import Manifest
from pet.runs.shared import SharedJobs, cpu_seconds
from pet.settings.config import RunConfig, checked_config


def ablate(
    config: RunConfig,
    axes: Mapping[str, Sequence[Any]],
    *,
    samples: int = 5,
    output_dir: str | Path | None = None,
    force: bool = False,
    quiet: bool = False,
) -> AblationResult:
    """Run every combination of settings on the same samples of the labeled rows, and compare each with the first.

    `axes` are values by setting, such as ``{"ensemble.calibration": ["none", "batch"]}``; the first values are those of
    the baseline. All of it lies in `output_dir` (default: ``runs/<task name>-ablation``); one that was interrupted goes
    on where it stopped. `force` deletes another ablation there.

    Raises `PetError` if an axis or an input is wrong, the labeled rows do not give so many samples, no test file is
    named, the directory holds something else, or the work fails.
    """
    config, grid = checked_config(config), Grid.of(axes)
    if samples < 1:
        raise ConfigError(f"--samples {samples}: expected a whole number from 1 on.")
    seeds = tuple(config.run.seed + number for number in range(samples))
    configs = grid.configs(config)
    _check(configs, seeds)
    root = Path(output_dir) if output_dir else Path("runs") / f"{config.task.name}-ablation"
    settings = config.absolute().to_toml()
    with open_record(root, grid, seeds, settings, force=force, quiet=quiet) as record:
        for seed in seeds:
            for cell, own in zip(grid.cells, configs, strict=True):
                _do(own.with_settings({"run": {"seed": seed}}), cell, record, force)
        return record.result


def _check(configs: Sequence[RunConfig], seeds: Sequence[int]) -> None:
    """Refuse cells that cannot be run, and those whose accuracies could not be compared; nothing is trained yet."""
    if configs[0].data.test is None:
        raise ConfigError("An ablation compares accuracy on test rows: name their file in [data] test.")
    found = [_checked(config, seeds) for config in configs]
    for test, labeled in found[1:]:
        if test != found[0][0]:
            raise ConfigError("An --axis changes the test rows: all cells have to be measured on the same.")
        if not (labeled <= found[0][1] or labeled >= found[0][1]):
            raise ConfigError("An --axis changes which labeled rows are drawn: all cells have to learn from the same.")


def _checked(config: RunConfig, seeds: Sequence[int]) -> tuple[str, frozenset[str]]:
    """Prepare the run of a cell on the first sample; return the digests of its test rows and of each labeled one."""
    plan = prepare(config)
    if len(seeds) > 1:
        _check_samples(plan.config, seeds)
    return data_digest(plan.data.test), frozenset(data_digest([row]) for row in plan.data.labeled)


def _check_samples(config: RunConfig, seeds: Sequence[int]) -> None:
    """Refuse samples that are the same."""
    data, wanted = config.data, f"{len(seeds)} samples"
    if data.labeled is None:
        raise ConfigError(f"Without labeled rows there are no {wanted} of them: use --samples 1, or name [data] train.")
    if data.examples_per_label is None:
        raise ConfigError(
            f"A run learns from all labeled rows, so there are no {wanted} of them: set data.examples_per_label to "
            "fewer rows than the labels have, as with --set data.examples_per_label=10, or use --samples 1."
        )
    first: dict[frozenset[str], int] = {}
    for seed, rows in zip(seeds, labeled_draws(config.task, data, seeds), strict=True):
        other = first.setdefault(frozenset(row.id for row in rows), seed)
        if other != seed:
            raise ConfigError(
                f"The labeled rows do not give {wanted} of {data.examples_per_label} per label: seeds {other} and "
                f"{seed} draw the same; lower data.examples_per_label or --samples, or give more labeled rows."
            )


def _do(config: RunConfig, cell: Cell, record: Record, force: bool) -> None:
    """Run a cell on a sample, unless that is done, and write down its figures."""
    seed = config.run.seed
    known = record.runs.get((cell.number, seed))
    if known and known.identity == prepare(config).identity:
        return
    sample = f"sample-{seed}"
    folder, shared = record.root / sample / f"cell-{cell.number}", SharedJobs(record.root / sample / "jobs")
    figures = _figures(config, cell, folder, shared, force)
    record.keep(figures)
    place = f"sample {record.samples.index(seed) + 1} of {len(record.samples)}, cell {cell.number + 1} of "
    seconds = "" if figures.cpu_seconds is None else f", {figures.cpu_seconds:.1f} CPU-seconds"
    record.log.say(
        f"{place}{len(record.grid.cells)} ({cell}): classifier {figures.classifier:.1%}, "
        f"ensemble {figures.ensemble:.1%}{seconds}"
    )


def _figures(config: RunConfig, cell: Cell, place: Path, shared: SharedJobs, force: bool) -> RunFigures:
    before, known = cpu_seconds(), set(shared.costs())
    result = run(config, place, force=force, quiet=True, shared=shared.folder)
    spent, costs = cpu_seconds() - before, shared.costs()
    manifest = Manifest.from_file(RunDirectory(place).manifest_path)
    assert result.summary is not None
    assert manifest is not None
    jobs = {path.name for path in RunDirectory(place).jobs.iterdir()}
    # What was done outside of jobs is done at each start; a job counts wherever and whenever it was done.
    outside = spent - sum(costs.get(key, 0.0) for key in jobs - known)
    seconds = outside + sum(costs[key] for key in jobs) if jobs <= set(costs) else None
    test = result.summary.test_figures()
    return RunFigures(
        cell=cell.number,
        seed=config.run.seed,
        directory=place.relative_to(place.parent.parent).as_posix(),
        identity=dict(manifest.identity),
        classifier=test[DISTILLED].accuracy,
        ensemble=test["ensemble"].accuracy,
        classifier_f1=test[DISTILLED].macro_f1,
        ensemble_f1=test["ensemble"].macro_f1,
        test_rows=test[DISTILLED].n,
        cpu_seconds=None if seconds is None else round(seconds, 1),
    )
