"""What a search has found, for a person: the ranking, what to doubt, and how to use the file."""

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pet.labeling.ranking import MOST_FOLDS
from pet.reports.columns import columns
from pet.search.patterns import FoundPatterns
from pet.search.registry import Entry
from pet.search.words import PRESENT, FoundWords

_SHOWN_LABELS = 10
SHOWN = 20
"""So many patterns are shown of those that were tried."""


def words_lines(found: Sequence[FoundWords], rows: int) -> list[str]:
    """Return the words of each method with what was measured on so many labeled rows, the best first."""
    lines = [ranked_line("words", rows)] if rows else ["words by the names and descriptions of the labels alone:"]
    for one in found:
        lines += ["", f"  {_title(one)}"]
        labels = list(one.words.items())
        lines += [f"    {label}: {', '.join(words)}" for label, words in labels[:_SHOWN_LABELS]]
        lines += [f"    and {len(labels) - _SHOWN_LABELS} more labels"] if len(labels) > _SHOWN_LABELS else []
    return [*lines, "", *_doubts(found, rows)]


def patterns_lines(found: FoundPatterns, rows: int) -> list[str]:
    """Return the patterns that were chosen, with the order of all, for a terminal."""
    lines = [f"patterns, the best first, by {rows} labeled rows (untrained; 95 % intervals):"]
    chosen = {one.pattern.name for one in found.chosen}
    cells = [
        (f"  {'*' if one.pattern.name in chosen else ' '} {one.pattern.name}", str(one.measured), one.pattern.template)
        for one in found.ranked
    ]
    lines += columns(cells[:SHOWN], 3)
    lines += [f"    and {len(cells) - SHOWN} more"] if len(cells) > SHOWN else []
    lines += ["", f"* the {len(found.chosen)} chosen together, by rows other than those measured on: {found.together}"]
    lines += [f"  the present patterns together: {found.present}"] if found.present else []
    lines += [f"  {found.dropped} that lost a field or the mask, or left no room for the text, were dropped"] * bool(
        found.dropped
    )
    if found.present and found.present.accuracy >= found.together.accuracy:
        lines.append("  the present patterns do as well or better there: nothing speaks for those that were found")
    return [*lines, ""]


def patterns_entries(found: FoundPatterns, rows: int, seed: int) -> list[Entry]:
    """Return the tables of a registry: the patterns that were chosen, in the order in which each helps most."""
    return [
        Entry(
            one.pattern.name.replace("/", "-"),
            (f"On {rows} labeled rows, untrained: {one.measured}, loss {one.measured.loss:.3f}; seed {seed}.",),
            {"template": one.pattern.template, "description": one.pattern.description or f"As {one.pattern.name}."},
        )
        for one in found.chosen
    ]


def ranked_line(what: str, rows: int) -> str:
    """Say how things were ranked."""
    return (
        f"{what}, the best first, by {rows} labeled rows that they were not chosen by (at most {MOST_FOLDS} folds, "
        "untrained; 95 % intervals):"
    )


def words_entries(found: Sequence[FoundWords], rows: int, seed: int) -> list[Entry]:
    """Return the tables of a registry, one for each method, the best first."""
    return [
        Entry(
            words_name(one),
            (
                f"Method {one.method}{f' under {one.pattern} alone' if one.pattern else ''}, seed {seed}.",
                f"On {rows} labeled rows held out: {one.measured}, loss {one.measured.loss:.3f}."
                if one.measured
                else "Not measured: there are no labeled rows.",
            ),
            one.words,
        )
        for one in found
        if one.method != PRESENT
    ]


def words_name(one: FoundWords) -> str:
    """Return the name of the table with some words."""
    return "-".join(filter(None, (one.method, one.pattern.rpartition("/")[2])))


@dataclass(frozen=True)
class Use:
    """How a pipeline, called by `name` and with these `registries`, comes to read a file: `key` = `value` in [prompts].

    `instead` is what of the pipeline has to go for it (empty: nothing).
    """

    name: str
    registries: Sequence[str]
    key: str
    value: str | Sequence[str]
    instead: str = ""

    def lines(self, path: Path) -> list[str]:
        """Return what to do with the file at `path`."""
        registry = path.parent.parent.absolute()
        known = [Path(name).absolute() for name in self.registries]
        setting = json.dumps(self.value, ensure_ascii=False)
        flags = ["--registry", str(path.parent.parent)] if registry not in known else []
        command = ["pet", "check", self.name, *flags, "--set", f"prompts.{self.key}={setting}"]
        lines = [f"written to {path}"] + ([] if self.instead else [f"  try it:   {shlex.join(command)}"])
        if not Path(self.name).is_file():  # a ready-made pipeline, which is not to be changed
            return lines
        folders = [os.path.relpath(one, Path(self.name).absolute().parent) for one in dict.fromkeys((*known, registry))]
        place = f"in the place of {self.instead} in" if self.instead else "in"
        return [
            *lines,
            f"  keep it:  {place} {self.name}",
            "            [prompts]",
            f"            registry = {json.dumps(folders)}",
            f"            {self.key} = {setting}",
        ]


def _title(one: FoundWords) -> str:
    name = "the present words" if one.method == PRESENT else one.method
    under = f" under {one.pattern}" if one.pattern else ""
    return f"{name}{under}  {one.measured or ''}".rstrip()


def _doubts(found: Sequence[FoundWords], rows: int) -> list[str]:
    """Say whether the words that were found are better than the present ones for sure."""
    present = next((one.measured for one in found if one.method == PRESENT), None)
    best = next((one.measured for one in found if one.method != PRESENT), None)
    if present is None or best is None or any(one.pattern for one in found):
        return []
    gained = round((best.accuracy - present.accuracy) * rows)
    if found[0].method == PRESENT:
        return ["the present words rank first: what was found is written down, and nothing speaks for it", ""]
    if best.accuracy > present.high:
        return []
    told = f"{gained} more" if gained > 0 else f"{-gained} fewer" if gained < 0 else "as many"
    return [
        f"the best words found are right on {told} of the {rows} rows than the present ones, which may be chance",
        "",
    ]
