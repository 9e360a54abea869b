"""What a run took: time by jobs, memory and disk, against what was predicted."""

import re
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from pet.forecast.outlook import size, span
from pet.reports.html.page import Section
from pet.reports.html.report import Report
from pet.reports.html.show import counted
from pet.runs.directory import RunDirectory

_JOB = re.compile(r"^\S+ job (?P<name>.+) \([0-9a-f]+\) done in (?P<seconds>[\d.]+) s$")
_STARTED = re.compile(r"^(?P<time>\S+) started: ")

SHOWN = 12
"""So many of the longest jobs are shown."""


def cost(report: Report) -> Section:
    """Show what the run took."""
    jobs, first, last = _logged(RunDirectory(report.root).log_path)
    ranked = sorted(jobs.items(), key=lambda pair: -pair[1])
    content = {
        "jobs": [(name, span(seconds), seconds / max(1e-9, ranked[0][1])) for name, seconds in ranked[:SHOWN]],
        "more": len(ranked) - SHOWN,
        "all": span(sum(jobs.values())),
        "from_start": span((last - first).total_seconds()) if first and last else None,
        "work": report.metrics.get("work", {}),
        "precision": report.metrics.get("precision"),
        "forecast": _forecast(report),
    }
    return Section("cost", "Time, memory and work", content)


def _forecast(report: Report) -> list[tuple[str, str, str]]:
    """Return what was predicted, and what it took, line by line."""
    if not report.forecast:
        return []
    predicted, actual = report.forecast["predicted"], report.forecast["actual"]
    lines = [("time", span(predicted["seconds"]), span(actual["seconds"]))]
    for name, key in (("memory at the peak", "memory_bytes"), ("disk", "disk_bytes")):
        if predicted[key] is not None and actual[key] is not None:
            lines.append((name, size(predicted[key]), size(actual[key])))
    for stage in report.forecast["stages"]:
        took = "–" if stage["actual"] is None else span(stage["actual"])
        lines.append((f"{stage['name']}, {counted(stage['jobs'], 'job')}", span(stage["predicted"]), took))
    return lines


def _logged(path: Path) -> tuple[dict[str, float], datetime | None, datetime | None]:
    """Return the seconds of each job that the log tells of, when the run last began, and when its last job ended."""
    jobs: dict[str, float] = {}
    first = last = None
    with suppress(OSError, ValueError):
        for line in path.read_text(encoding="utf-8").splitlines():
            if found := _STARTED.match(line):
                first = datetime.fromisoformat(found["time"])
            if found := _JOB.match(line):
                jobs[found["name"]] = jobs.get(found["name"], 0.0) + float(found["seconds"])
                last = datetime.fromisoformat(line.partition(" ")[0])
    return jobs, first, last if first and last and last >= first else None
