"""Rows to label on a terminal: what is asked, what each answer does, what is kept of it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from pet.data.review import Review
from pet.errors import DataError
from pet.reports.review import ReviewRow, ToReview
from pet.reports.review_lines import Questions, check_same_run, meant, merged, review_lines

LABELS = ("World", "Sports", "d")
ROWS = tuple(
    ReviewRow(name, {"text": f"text {name}\x1b[31m"}, "World", {"World": 0.5, "Sports": 0.4}, votes, "World 0.50")
    for name, votes in (("r1", {"v1": "World", "v2": "Sports"}), ("r2", {"v1": "World"}), ("r3", {}))
)
FOUND = ToReview(Path("run"), "abc", LABELS, ROWS, ("no vectors",))


def asked(*answers: str) -> tuple[dict[str, str | None], list[dict[str, str | None]], str]:
    """Return what was said in the end, what was kept each time, and what was shown."""
    waiting, kept, shown = iter(answers), list[dict[str, str | None]](), list[str]()

    def hear() -> str:
        try:
            return next(waiting)
        except StopIteration:
            raise EOFError from None

    def keep(said: Mapping[str, str | None]) -> None:
        kept.append(dict(said))

    questions = Questions(FOUND, hear, shown.append, keep)
    questions.ask()
    return questions.said, kept, "\n".join(shown)


def test_labels_by_number_name_or_beginning_and_all_is_kept_at_once() -> None:
    said, kept, shown = asked("2", "world", " d ")
    assert said == {"r1": "Sports", "r2": "World", "r3": None}  # the key wins over a label of its name
    assert kept == [{"r1": "Sports"}, {"r1": "Sports", "r2": "World"}, said]
    assert "3 of 3: r3" in shown
    assert "\x1b" not in shown


def test_skip_undo_quit_and_what_is_no_answer() -> None:
    said, kept, shown = asked("s", "1", "zz", "u", "3", "q")
    assert said == {"r2": "d"}
    assert kept == [{"r2": "World"}, {}, {"r2": "d"}]
    assert "'zz' is none of them: 1 to 3 or the label" in shown
    assert asked("u", "s", "u")[0] == {}  # nothing is taken back: the row before is asked again


def test_a_beginning_that_two_labels_have_means_none() -> None:
    assert meant("sp", ["Sports", "Space"][:1]) == "Sports"
    for answer in ("s", "0", "3", ""):
        with pytest.raises(DataError):
            meant(answer, ["Sports", "Space"])


def test_the_last_word_of_a_reviewer_counts_and_others_stay() -> None:
    before = [Review("r1", "World", "ann"), Review("r1", "World", "bob"), Review("r9", None)]
    found = merged(before, {"r1": "Sports", "r2": None}, FOUND, "ann")
    assert [(one.id, one.label, one.reviewer) for one in found] == [
        ("r1", "World", "bob"),
        ("r9", None, ""),
        ("r1", "Sports", "ann"),
        ("r2", None, "ann"),
    ]
    assert (found[-1].run, found[-1].fields) == ("abc", ROWS[1].fields)


def test_a_file_of_another_run_is_not_mixed_in() -> None:
    check_same_run([Review("r1", "World", run="abc"), Review("r2", "World")], FOUND, "review.csv")
    with pytest.raises(DataError, match="has labels of another run"):
        check_same_run([Review("r1", "World", run="xyz")], FOUND, "review.csv")


def test_rows_are_listed_with_their_votes_and_reasons() -> None:
    lines = review_lines(FOUND)
    assert lines[0] == "no vectors"
    assert lines[1] == "  1  r1  World  (World 0.50)"
    assert lines[3] == "     votes: World 1, Sports 1"
    assert not any("\x1b" in line for line in lines)
