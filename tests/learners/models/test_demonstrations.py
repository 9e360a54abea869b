"""Labeled rows stand behind a row: which, in what form, and what is refused."""

import numpy as np
import pytest

from pet.data.examples import Example
from pet.errors import PromptError
from pet.learners.models.encoding import PatternEncoder, ShownRows
from pet.learners.models.tokens import PieceTokenizer
from pet.learners.voters.spec import IN_CONTEXT
from pet.prompts.demonstrations import Demonstrations
from pet.prompts.patterns import Pattern
from pet.settings.task import DemonstrationSettings

ROWS = tuple(
    Example(str(i), {"text": text}) for i, text in enumerate(["good film", "bad film", "fine actor", "awful actor"])
)
COLUMNS = np.array([0, 1, 0, 1])


def shown_words(pieces: PieceTokenizer, demonstrations: Demonstrations, *texts: str, **options: int) -> list[str]:
    """Return the rows as the model reads them."""
    words = [pieces.ids("great"), pieces.ids("terrible")]
    shown = ShownRows(demonstrations, words)
    encoder = PatternEncoder(Pattern("p", "{text} It was {mask}."), pieces, options.get("length", 64), shown=shown)
    rows = encoder.encode([Example(f"x{i}", {"text": text}) for i, text in enumerate(texts)])
    windows = [window for row in rows for window in row.windows]
    return [" ".join(pieces.tokenizer.convert_ids_to_tokens(row.input_ids.tolist())) for row in windows]


def test_the_nearest_row_of_each_label_stands_behind_a_row(pieces: dict[str, PieceTokenizer]) -> None:
    near = np.array([[0.1, 0.2, 0.9, 0.3]])
    shown = Demonstrations(ROWS, COLUMNS, DemonstrationSettings(1), lambda rows: near.repeat(len(rows), 0))
    assert shown_words(pieces["bert"], shown, "boring plot") == [
        "[CLS] boring plot it was [MASK] . [SEP] fine actor it was great . [SEP] awful actor it was terrible . [SEP]"
    ]


def test_several_draws_are_read_one_after_the_other(pieces: dict[str, PieceTokenizer]) -> None:
    near = np.array([[0.1, 0.2, 0.9, 0.3]])
    settings = DemonstrationSettings(1, draws=2)
    shown = Demonstrations(ROWS, COLUMNS, settings, lambda rows: near.repeat(len(rows), 0))
    first, second = shown_words(pieces["bert"], shown, "boring plot")
    assert "fine actor" in first and "awful actor" in first
    assert "good film" in second and "bad film" in second


@pytest.mark.parametrize("choice", ["nearest", "drawn"])
def test_a_row_is_never_its_own_demonstration_nor_is_a_copy(choice: str) -> None:
    settings = DemonstrationSettings(1, choice, draws=3)  # type: ignore[arg-type]
    near = (lambda rows: np.ones((len(rows), 4))) if choice == "nearest" else None
    shown = Demonstrations(ROWS, COLUMNS, settings, near)
    copies = [Example("another id", row.fields) for row in ROWS]
    for draw in range(3):
        found = shown.chosen(copies, draw)
        assert (COLUMNS[found] == [0, 1]).all()
        assert not (found == np.arange(4)[:, None]).any()
    alone = Demonstrations(ROWS[:2], COLUMNS[:2], settings, None)
    assert alone.chosen([ROWS[0], ROWS[3]]).tolist() == [[-1, 1], [0, 1]]


def test_drawn_rows_depend_on_the_row_and_the_seed_alone() -> None:
    rows = [Example(str(i), {"text": f"row {i}"}) for i in range(40)]
    shown = [Demonstrations(ROWS, COLUMNS, DemonstrationSettings(1, "drawn"), seed=seed) for seed in (0, 0, 1)]
    first, again, other = (one.chosen(rows) for one in shown)
    assert (first == again).all() and (first != other).any()
    assert (shown[0].chosen(rows[7:9]) == first[7:9]).all()


def test_row_and_demonstrations_are_shortened_alike(pieces: dict[str, PieceTokenizer]) -> None:
    rows = tuple(Example(row.id, {"text": row.fields["text"] + " it was" * 20}) for row in ROWS)
    shown = Demonstrations(rows, COLUMNS, DemonstrationSettings(1))
    (found,) = shown_words(pieces["bert"], shown, "boring " * 30, length=36)
    row, *demonstrations = found.split("[SEP]")[:3]
    assert len(found.split()) == 36
    assert abs(row.count("boring") - len(demonstrations[0].split()) + 4) <= 2


def test_demonstrations_that_do_not_fit_are_refused(pieces: dict[str, PieceTokenizer]) -> None:
    shown = Demonstrations(ROWS, COLUMNS, DemonstrationSettings(2))
    with pytest.raises(PromptError, match=r"and those of its demonstrations, and 30 at most .* lower prompts\.demon"):
        shown_words(pieces["bert"], shown, "boring plot", length=30)


def test_in_context_as_many_as_fit_stand_in_several_orders(pieces: dict[str, PieceTokenizer]) -> None:
    rows = tuple(Example(str(i), {"text": f"good film {'it ' * (i // 2)}"}) for i in range(12))
    shown = Demonstrations(rows, np.arange(12) % 2, IN_CONTEXT)
    words = [pieces["bert"].ids("great"), pieces["bert"].ids("terrible")]
    encoder = PatternEncoder(Pattern("p", "{text} It was {mask}."), pieces["bert"], 64)
    encoder.shown = ShownRows.fitting(shown, words, encoder)
    assert encoder.shown.demonstrations.settings.count == 2
    (row,) = encoder.encode([Example("x", {"text": "boring plot"})])
    read = [pieces["bert"].tokenizer.decode(window.input_ids) for window in row.windows]
    assert len(read) == IN_CONTEXT.draws and len(set(read)) > 1
    assert all(text.count("great") == text.count("terrible") == 2 and "boring plot" in text for text in read)
    found = encoder.shown.demonstrations.chosen([rows[0], Example("y", {"text": "boring"})])
    assert 0 not in found[0] and (found[1] >= 0).all()
