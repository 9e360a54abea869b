"""The sections of a report, in their order."""

from collections.abc import Callable

from pet.reports.html.cost import cost
from pet.reports.html.curve import curve
from pet.reports.html.labels import by_label, confidence
from pet.reports.html.map import pool_map
from pet.reports.html.page import Section
from pet.reports.html.report import Report
from pet.reports.html.review import review
from pet.reports.html.rows import data, examples
from pet.reports.html.trust import simpler, trust
from pet.reports.html.voters import generations, voters

SECTIONS: tuple[Callable[[Report], Section | None], ...] = (
    trust,
    data,
    voters,
    generations,
    confidence,
    by_label,
    simpler,
    curve,
    review,
    examples,
    pool_map,
    cost,
)
"""Each finds what it shows; None where the run has nothing of the kind."""


def sections_of(report: Report) -> list[Section]:
    """Return the sections that a run has something to show in."""
    return [section for find in SECTIONS if (section := find(report))]
