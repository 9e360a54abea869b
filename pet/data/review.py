"""`review.csv`: labels that people have given to rows of a run, a row of the file for each.

    id          the row, as `pseudo_labels.parquet` has it
    label       what a person says: one of the task's labels, or `NO_LABEL`; empty where nothing was said
    reviewer    who says so (may be empty, or not there)
    run         whose rows these are, so that a file of another run is known (may be empty, or not there)
    ...         the texts, to be read by people alone

As in every table that is written, a cell that a spreadsheet would compute has an apostrophe before it; the file begins
with a byte order mark, by which spreadsheets know UTF-8.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pet.data.cells import is_given
from pet.data.formats import scan_file
from pet.data.output import field_names
from pet.data.scanned import Malformed
from pet.data.source import File
from pet.data.tables import Dialect
from pet.data.writers import write_pieces
from pet.errors import DataError, close_match, shown
from pet.settings.task import label_word, number_as_word

NO_LABEL = "(no label fits)"
"""In the place of a label: none of them is right, so the row is left out of training."""

LONGEST_TEXT = 2000
"""So many characters of a text are written: it is there to be recognised."""

COLUMNS = ("id", "label", "reviewer", "run")
"""The first columns of the file, in their order."""


@dataclass(frozen=True)
class Review:
    """What one person says of one row; `label` None: no label fits. `fields` are its texts, for people."""

    id: str
    label: str | None
    reviewer: str = ""
    run: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


def write_reviews(path: Path, reviews: Sequence[Review]) -> None:
    """Write reviews as a table by the suffix of its name, whole or not at all.

    Raises `DataError` if the place cannot be written, or the suffix is not known.
    """
    fields = dict.fromkeys(name for review in reviews for name in review.fields)
    columns = field_names({name: name for name in fields}, COLUMNS.__contains__)
    spoken = [NO_LABEL if review.label is None else review.label for review in reviews]
    table: dict[str, list[str]] = {
        "id": [review.id for review in reviews],
        "label": spoken,
        "reviewer": [review.reviewer for review in reviews],
        "run": [review.run for review in reviews],
        **{
            column: [recognisable(review.fields.get(name, "")) for review in reviews]
            for name, column in columns.items()
        },
    }
    write_pieces(path, lambda: iter((table,)), Dialect(marked=True))


def read_reviews(path: Path, *, some: bool = True) -> list[Review]:
    """Read the rows of a file that have a label; one who says the same of a row twice is heard once.

    Labels and ids are words, whatever the file has them as. Rows without a reviewer are all of one.

    Raises `DataError` if the file cannot be read, lacks a column, has a label without an id, or, where `some` are
    expected, no label, or if somebody gives a row two labels.
    """
    found: dict[tuple[str, str], Review] = {}
    for number, row in scan_file(File.at(path)):
        place = f"{path}, {File.at(path).unit} {number}"
        if isinstance(row, Malformed):
            raise DataError(f"{place}: {row.reason}.")
        review = _review(path, place, row)
        if review is None:
            continue
        earlier = found.setdefault((review.id, review.reviewer), review)
        if earlier.label != review.label:
            raise DataError(
                f"{place}: the row {shown(review.id)} has {_said(review)} here and {_said(earlier)} before, of one "
                "reviewer: keep one of the two, or name both people in the column reviewer."
            )
    if some and not found:
        raise DataError(f"{path} has no row with a label: write labels into its column label, or give another file.")
    return list(found.values())


def _review(path: Path, place: str, row: Mapping[str, object]) -> Review | None:
    """Return what a row of the file says; None where its label is empty."""
    for name in ("id", "label"):
        if name not in row:
            columns = ", ".join(map(shown, list(row)[:12])) or "none"
            raise DataError(
                f"{path} has no column {name!r}; found {columns}: give a review.csv of the report or of `pet next`."
                f"{close_match(name, row)}"
            )
    cells = {name: _word(value) for name, value in row.items()}
    if not cells["label"]:
        return None
    if not cells["id"]:
        raise DataError(f"{place}: the label {shown(cells['label'])} without an id: write the id of its row.")
    label = None if cells["label"] == NO_LABEL else label_word(cells["label"])
    texts = {name: text for name, text in cells.items() if name not in COLUMNS}
    return Review(cells["id"], label, cells.get("reviewer", ""), cells.get("run", ""), texts)


def _word(value: object) -> str:
    if not is_given(value):
        return ""
    return (number_as_word(value) if isinstance(value, int | float) else str(value)).strip()


def _said(review: Review) -> str:
    return "no label that fits" if review.label is None else f"the label {shown(review.label)}"


def recognisable(text: str) -> str:
    """Return as much of a text as tells people which row it is."""
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"
