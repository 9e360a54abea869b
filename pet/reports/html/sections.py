"""The sections of a report, in their order."""

from collections.abc import Callable

from pet.reports.html.page import Section
from pet.reports.html.report import Report

SECTIONS: tuple[Callable[[Report], Section | None], ...] = ()
"""Each finds what it shows; None where the run has nothing of the kind."""


def sections_of(report: Report) -> list[Section]:
    """Return the sections that a run has something to show in."""
    return [section for find in SECTIONS if (section := find(report))]
