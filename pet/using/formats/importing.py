"""What people have labeled in another tool, as `review.csv`."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pet.data.cells import is_given
from pet.data.formats import scan_file
from pet.data.review import Review, read_reviews, write_reviews
from pet.data.scanned import Malformed
from pet.data.source import File
from pet.data.writers import check_output
from pet.errors import ConfigError, DataError, close_match, shown
from pet.settings.task import label_word, number_as_word
from pet.using.formats.argilla import said_in_record
from pet.using.formats.doccano import said_in_line
from pet.using.formats.label_studio import said_in_task
from pet.using.formats.rows import LabeledSet
from pet.using.formats.said import Said

_READERS: Mapping[str, Callable[[Mapping[str, Any]], Said]] = {
    "label-studio": said_in_task,
    "doccano": said_in_line,
    "argilla": said_in_record,
}
TOOLS = (*_READERS, "csv")
"""Where labels may come from; "csv" is any table with an id and a label."""


@dataclass(frozen=True)
class Imported:
    """The labels of people; so many rows `without` one, and the ids of those on whose label people `differ`.

    So many rows are `unchanged`: nothing tells whether a person has looked at the label that they were given with.
    """

    reviews: tuple[Review, ...]
    without: int = 0
    unchanged: int = 0
    differ: tuple[str, ...] = field(default_factory=tuple)

    def __str__(self) -> str:
        counts = Counter(str(review.label) for review in self.reviews)
        said = f"{len(self.reviews)} rows with a label: " + ", ".join(
            f"{name} {n}" for name, n in counts.most_common(10)
        )
        said += f"; {self.without} rows without one" if self.without else ""
        if self.unchanged:
            said += f"; {self.unchanged} rows are left out, for they have the label that pet gave them (--unchanged)"
        some = ", ".join(self.differ[:5]) + (" and others" if len(self.differ) > 5 else "")
        return said + (f"; left out, since no label has a majority: {some}" if self.differ else "")


def import_reviews(
    file: Path,
    tool: str,
    output: Path,
    run: str | Path | None = None,
    *,
    unchanged: bool = False,
    force: bool = False,
) -> Imported:
    """Read what people have labeled in a tool, and write it as a `review.csv`; with a `run` it is checked against it.

    Of several annotations of a row the majority counts; those that were cancelled, and suggestions of a model, do not.
    Where a tool does not tell these from what a person says, a label counts that is another one than the row came with,
    or each, if those that are `unchanged` were looked at.

    Raises `ConfigError` if there is no such tool, or the output exists and `force` is not given. Raises `DataError` if
    the file cannot be read, is of another form, or has no label; and with a `run` if an id or a label is not of it.
    """
    if tool not in TOOLS:
        raise ConfigError(f"There is no format {tool!r}: expected {', '.join(TOOLS)}.{close_match(tool, TOOLS)}")
    check_output(output, file)
    if os.path.lexists(output) and not force:
        raise ConfigError(f"{output} exists already: give another --output, or add --force to write it anew.")
    found = Imported(tuple(read_reviews(file))) if tool == "csv" else _read(file, tool, unchanged)
    if not found.reviews:
        raise DataError(
            f"{file} has no row with a label of a person ({found.without} rows without one, {found.unchanged} with the "
            f"label that pet gave them, {len(found.differ)} on which people differ): label some, and export again."
        )
    if run is not None:
        _check(found.reviews, LabeledSet.of(run), file)
    write_reviews(output, found.reviews)
    return found


def _read(file: Path, tool: str, count_unchanged: bool) -> Imported:
    reviews, without, differ, unchanged = dict[str, Review](), 0, list[str](), 0
    for place, row in _rows(file):
        try:
            said = _READERS[tool](row)
        except (AttributeError, KeyError, TypeError):
            raise DataError(
                f"{place}: no {tool} row, found {shown(row, 100)}: export again as JSON from there."
            ) from None
        name = _id(place, said.data, tool)
        label = said.label
        if label is None:
            without, differ = without + (not said.labels), [*differ, *([name] if said.labels else [])]
        elif label == said.before and not count_unchanged:
            unchanged += 1
        elif name in reviews:
            raise DataError(f"{place}: the row {shown(name)} stands in {file} twice: keep one of them.")
        else:
            texts = {key: text for key, text in _texts(row).items() if isinstance(text, str)}
            reviews[name] = Review(name, label_word(label), said.reviewer, str(said.data.get("pet_run") or ""), texts)
    return Imported(tuple(reviews.values()), without, unchanged, tuple(differ))


def _rows(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    source = File.at(file)
    for number, row in scan_file(source):
        place = f"{file}, {source.unit} {number}"
        if isinstance(row, Malformed):
            raise DataError(f"{place}: {row.reason}.")
        yield place, row


def _id(place: str, data: Mapping[str, Any], tool: str) -> str:
    """Return the id of a row, which an export of ours gives the tool under a name that it does not use itself."""
    value = data.get("pet_id")
    if not is_given(value):
        raise DataError(
            f"{place}: no pet_id, by which the row of the run is known: import what `pet export RUN --to {tool}` has "
            "written, label it there, and export it again; or give a table of ids and labels with --from csv."
        )
    return number_as_word(value) if isinstance(value, int | float) else str(value)


def _texts(row: Mapping[str, Any]) -> Mapping[str, Any]:
    found = row.get("data") or row.get("fields") or {"text": row.get("text")}
    return {name: text for name, text in found.items() if name not in ("pet_id", "pet_run")}


def _check(reviews: Iterable[Review], labeled: LabeledSet, file: Path) -> None:
    known = {row.id for row in labeled.rows()}
    for review in reviews:
        if review.run not in ("", labeled.run):
            raise DataError(f"{file} is of another run than {labeled.root}: the row {shown(review.id)} says so.")
        if review.id not in known:
            raise DataError(
                f"{file}: the id {shown(review.id)} is of no row in {labeled.path}: is it of another run?"
                f"{close_match(review.id, known)}"
            )
        if review.label is not None and review.label not in labeled.labels:
            raise DataError(
                f"{file}: the label {shown(review.label)} of the row {shown(review.id)} is none of "
                f"{', '.join(map(shown, labeled.labels[:12]))}.{close_match(review.label, labeled.labels)}"
            )
