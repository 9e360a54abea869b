"""Writing the report: beside the other results of a run, or to another place."""

from pathlib import Path

from pet.errors import DataError
from pet.reports.html.page import draw
from pet.reports.html.report import Report, read_report
from pet.reports.html.sections import sections_of
from pet.reports.html.show import counted
from pet.runs.atomic import write_text
from pet.runs.directory import RunDirectory
from pet.runs.log import RunLog


def write_report(run: str | Path, output: Path | None = None) -> Path:
    """Write the report of a finished run to `output`, by default beside its other results; return where.

    Raises `ConfigError` if `run` is no run directory. Raises `DataError` if the run is not finished, a file of it is
    damaged, or there is no folder for `output`. Raises `RunError` if the disk is full or may not be written.
    """
    report = read_report(run)
    target = output or RunDirectory(report.root).report_path
    if not target.absolute().parent.is_dir() or target.is_dir():
        raise DataError(f"{target} cannot be written: give a file in a folder that is there.")
    write_text(target, draw(report.task, _lead(report), sections_of(report)))
    return target


def _lead(report: Report) -> str:
    rows, labels = report.metrics["rows"], len(report.labels)
    learned = f"from {counted(rows['labeled'], 'labeled row')}" if rows["labeled"] else "from no labeled row"
    voters = counted(len(report.rows.voters), "voter")
    return f"{counted(rows['unlabeled'], 'row')} labeled with {labels} labels, {learned}, by {voters}."


def draw_report(root: Path, log: RunLog) -> None:
    """Write the report of a run that has just ended; where that fails, the run is as good as without."""
    try:
        write_report(root)
    except Exception as error:  # a picture is not worth a run, whatever goes wrong in drawing it
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        log.warn(f"report.html could not be drawn ({reason}); all else is finished")
