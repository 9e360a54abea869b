"""Commands about runs that are there: runs, compare, clean."""

from pathlib import Path
from typing import Annotated

import typer

from pet.cli.app import app
from pet.cli.terminal import note, print_table, say, say_json

Folder = Annotated[Path, typer.Argument(metavar="[FOLDER]", help="A folder with runs, at any depth, or a run.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]
RUNS = Path("runs")


@app.command("runs")
def runs_command(folder: Folder = RUNS, as_json: AsJson = False) -> None:
    """List runs, the newest first: what has become of each, its data, how good it is, its age and size.

    Example: `pet runs`
    """
    from pet.reports.runs import list_runs, runs_table

    found = list_runs(folder)
    if as_json:
        say_json([line.as_json() for line in found])
    elif found:
        print_table(runs_table(found, folder))
    else:
        note(f"no run in {folder}")


@app.command("compare")
def compare_command(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    second: Annotated[Path, typer.Argument(metavar="RUN", help="Another one.")],
    as_json: AsJson = False,
) -> None:
    """Say how two runs differ: in settings, and in results on the test rows that both have measured.

    Example: `pet compare runs/first runs/second`
    """
    from pet.reports.comparison import compare_runs, comparison_lines, comparison_table

    found = compare_runs(first, second)
    if as_json:
        say_json(found.as_json())
        return
    say(*comparison_lines(found), "")
    if found.lines:
        print_table(comparison_table(found))


@app.command("clean")
def clean_command(
    folder: Folder = RUNS,
    jobs: Annotated[
        bool, typer.Option("--jobs", help="Also the finished jobs, which a rerun would have to do again.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without, nothing is changed.")] = False,
) -> None:
    """Say what can go from runs: drafts of killed ones, jobs that were replaced; labels and classifiers always stay.

    Example: `pet clean runs --jobs`
    """
    from pet.errors import ConfigError
    from pet.reports.runs import told_size
    from pet.runs.cleaning import removable, remove
    from pet.runs.state import run_directories

    if not folder.is_dir():
        raise ConfigError(f"There is no folder {folder}: give one with runs.")
    freed = kept = 0
    for directory in run_directories(folder):
        found = removable(directory)
        going = [one for one in found if jobs or not one.needed_again]
        sizes: dict[str, int] = {}
        for one in going:
            sizes[one.why] = sizes.get(one.why, 0) + one.size
        say(*(f"{directory.root}: {told_size(size)}, {why}" for why, size in sizes.items()))
        freed += remove(directory, going) if yes and going else sum(one.size for one in going)
        kept += sum(one.size for one in found) - sum(one.size for one in going)
    if kept:
        note(f"--jobs would free {told_size(kept)} more: finished jobs, which a rerun would have to do again")
    outcome = "freed" if yes else "can go: add --yes to remove it"
    note(f"{told_size(freed)} {outcome}" if freed else "nothing else can go" if kept else "nothing can go")
