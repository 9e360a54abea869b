"""Rows to label next as lines for a terminal, and the questions that ask for their labels, one row after another."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pet.data.review import LONGEST_TEXT, Review
from pet.errors import DataError, shown
from pet.reports.html.show import shortened
from pet.reports.review import ReviewRow, ToReview
from pet.settings.task import label_word

_TEXT = 160

_KEYS = "1 to {last} or the label, s skip, u undo, d no label fits, q quit"


def review_lines(found: ToReview) -> list[str]:
    """Return the rows as lines: rank, id, label and reason, and below them the text and the votes."""
    lines = list(found.notes)
    for rank, row in enumerate(found.rows, 1):
        lines += [f"{rank:>3}  {shortened(row.id, 60)}  {row.label}  ({row.reason})", *_about(row, _TEXT)]
    return lines


def _about(row: ReviewRow, most: int) -> list[str]:
    votes = Counter(row.votes.values()).most_common()
    said = ", ".join(f"{label} {count}" if len(row.votes) > 1 else label for label, count in votes)
    return [f"     {shortened(' | '.join(row.fields.values()), most)}", *([f"     votes: {said}"] if said else [])]


@dataclass
class Questions:
    """Asks for labels on a terminal: `show` prints lines, `hear` returns what a person types (EOFError: no more).

    What is said is told to `keep` at once, all of it each time: `said` maps ids to labels, None where no label fits.
    """

    found: ToReview
    hear: Callable[[], str]
    show: Callable[[str], None]
    keep: Callable[[Mapping[str, str | None]], None]
    said: dict[str, str | None] = field(default_factory=dict)

    def ask(self) -> None:
        """Ask for the label of each row, until there are no more, or the person leaves."""
        self.show(_menu(self.found.labels))
        place, rows = 0, self.found.rows
        while 0 <= place < len(rows):
            row = rows[place]
            self.show(f"{place + 1} of {len(rows)}: {shortened(row.id, 60)}  {row.label}  ({row.reason})")
            self.show("\n".join(_about(row, LONGEST_TEXT)))
            answer = self._answer()
            if answer == "q":
                return
            if answer == "u":
                place = self._undone(place)
                continue
            if answer != "s":
                self._say(row.id, None if answer == "d" else meant(answer, self.found.labels))
            place += 1

    def _answer(self) -> str:
        """Hear until it is an answer: a key, or what means a label."""
        while True:
            try:
                answer = self.hear().strip()
            except EOFError:
                return "q"
            if answer in ("q", "s", "u", "d"):
                return answer
            try:
                meant(answer, self.found.labels)
            except DataError as error:
                self.show(str(error))
                continue
            return answer

    def _say(self, name: str, label: str | None) -> None:
        self.said.pop(name, None)  # the last that was said stands last
        self.said[name] = label
        self.keep(self.said)

    def _undone(self, place: int) -> int:
        """Take back what was said last, and return the place of its row; without anything, the row before."""
        if not self.said:
            return max(0, place - 1)
        name, _ = self.said.popitem()
        self.keep(self.said)
        return next(i for i, row in enumerate(self.found.rows) if row.id == name)


def meant(answer: str, labels: Sequence[str]) -> str:
    """Return the label that an answer means: its number from 1, its name, or how only one of them begins.

    Raises `DataError` if it means none.

    >>> meant("2", ["World", "Sports"]), meant("wo", ["World", "Sports"])
    ('Sports', 'World')
    """
    if (word := label_word(answer)) in labels:
        return word
    if answer.isdecimal() and 1 <= int(answer) <= len(labels):
        return labels[int(answer) - 1]
    begun = [label for label in labels if answer and label.casefold().startswith(answer.casefold())]
    if len(begun) == 1:
        return begun[0]
    raise DataError(f"{shown(answer)} is none of them: {_KEYS.format(last=len(labels))}")


def _menu(labels: Sequence[str]) -> str:
    numbered = "  ".join(f"{number} {label}" for number, label in enumerate(labels, 1))
    return f"{numbered}\n{_KEYS.format(last=len(labels))}"


def merged(before: Sequence[Review], said: Mapping[str, str | None], found: ToReview, reviewer: str) -> list[Review]:
    """Return the reviews of a file with what a reviewer has said since; of one row the last word counts."""
    new = {row.id: Review(row.id, None, reviewer, found.run, row.fields) for row in found.rows}
    kept = [one for one in before if not (one.id in said and one.reviewer == reviewer)]
    return [*kept, *(replace(new[name], label=label) for name, label in said.items())]


def check_same_run(reviews: Sequence[Review], found: ToReview, place: str) -> None:
    """Raise a `DataError` if a file has labels of another run."""
    if other := next((one for one in reviews if one.run not in ("", found.run)), None):
        raise DataError(
            f"{place} has labels of another run (the row {shown(other.id)}, of {other.run}): move it to another place."
        )
