"""Who votes: what each voter reads and says, how far it speaks, and whom it agrees with; generation by generation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pet.data.examples import Example
from pet.errors import PromptError
from pet.prompts.patterns import Pattern
from pet.reports.html.page import Section
from pet.reports.html.report import Report
from pet.reports.html.show import hues, shortened

MASK = "____"
"""Stands for the mask in what is shown."""

FEW_LABELS = 12
"""Words of more labels are folded."""

_TEXT = 160  # characters of a field in the row that is shown as a voter reads it


@dataclass(frozen=True)
class VoterCard:
    """One voter: its `figures` of `metrics.json`, a row as it reads it, and its words for each label."""

    figures: Mapping[str, Any]
    template: str | None
    read: str | None
    words: Mapping[str, Sequence[str]]


def voters(report: Report) -> Section | None:
    """Show every voter of the last generation that decides, and how often each two say the same."""
    if "voters" not in report.analysis or not report.kept:
        return None
    known = {one["name"]: one for one in report.kept[-1]["voters"]}
    example = _example(report)
    cards = [_card(figures, known.get(figures["name"], {}), example) for figures in report.analysis["voters"]]
    content = {
        "cards": cards,
        "agreement": report.analysis["agreement"],
        "disagreed": report.analysis["disagreed_rows"],
        "rows": report.metrics["rows"]["unlabeled"],
        "few": len(report.labels) <= FEW_LABELS,
        "labels": report.labels,
        "untrained": any(card.figures.get("untrained_gold_accuracy") is not None for card in cards),
        "tested": any(card.figures["test_accuracy"] is not None for card in cards),
        "held_out": any(card.figures["held_out_accuracy"] is not None for card in cards),
    }
    return Section("voters", "The voters", content)


def generations(report: Report) -> Section:
    """Show what each generation learned from, how far it moved, and why one was rejected."""
    found = report.metrics["generations"]
    colours = hues(report.labels, {label: round(1e6 * share) for label, share in found[-1]["shares"].items()})
    content = {
        "rows": found,
        "ratios": [_ratio(one["shares"], colours) for one in found],
        "legend": _legend(colours),
    }
    return Section("generations", "Generations" if len(found) > 1 else "The training", content)


def _ratio(shares: Mapping[str, float], colours: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return the pieces of a bar: a label each, with all that share a colour in one."""
    pieces: dict[int, dict[str, Any]] = {}
    for label, hue in sorted(colours.items(), key=lambda pair: pair[1]):
        piece = pieces.setdefault(hue, {"hue": hue, "share": 0.0, "labels": []})
        piece["share"] += shares.get(label, 0.0)
        piece["labels"].append(label)
    start = 0.0
    for piece in pieces.values():
        piece["start"], start = start, start + piece["share"]
    return list(pieces.values())


def _legend(colours: Mapping[str, int]) -> list[tuple[int, str]]:
    names: dict[int, list[str]] = {}
    for label, hue in colours.items():
        names.setdefault(hue, []).append(label)
    return [(hue, names[hue][0] if len(names[hue]) == 1 else f"{len(names[hue])} others") for hue in sorted(names)]


def _example(report: Report) -> Example | None:
    """Return the first row of the pool, or of all, as one to be read."""
    places = report.rows.pool if len(report.rows.pool) else range(len(report.rows.ids))
    if not len(places):
        return None
    row = report.rows.take([int(places[0])], list(report.rows.fields.values()))[0]
    return Example("", {field: shortened(row[name] or "", _TEXT) for field, name in report.rows.fields.items()})


def _card(figures: Mapping[str, Any], said: Mapping[str, Any], example: Example | None) -> VoterCard:
    template, read = said.get("template"), None
    if template and example:
        try:
            read = Pattern(figures["name"], template).describe(example, MASK)
        except PromptError:  # of a later version, or changed by hand: it is shown as it is written
            read = None
    return VoterCard(figures, template, read, said.get("words", {}))
