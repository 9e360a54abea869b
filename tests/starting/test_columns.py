"""Which columns hold texts, labels and ids."""

from collections.abc import Mapping, Sequence

import pytest

from pet.errors import ColumnError, DataError
from pet.starting.columns import Chosen, Given, choose_columns
from pet.starting.survey import Column

TEXT = [f"some words of row number {n}" for n in range(12)]
UNSPACED = [f"この映画はとても良かったと思います{n}" for n in range(12)]
LABEL = ["x", "y", ""] * 4
SHORT = [f"title {n}" for n in range(12)]
IDS = list(range(12))
LABELED: dict[str, Sequence[object]] = {"text": TEXT, "label": LABEL}


def columns(**cells: Sequence[object]) -> dict[str, Column]:
    found = {}
    for name, values in cells.items():
        found[name] = Column(name)
        for value in values:
            found[name].add(value)
    return found


def chosen(cells: Mapping[str, Sequence[object]], given: Given | None = None, labels: tuple[str, ...] = ()) -> Chosen:
    return choose_columns(columns(**cells), given or Given(), "t.csv", labels)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({"text": TEXT, "label": LABEL}, (("text",), "label", "")),
        ({"Nr": IDS, "Inhalt": TEXT, "Kategorie": LABEL}, (("Inhalt",), "Kategorie", "Nr")),
        ({"ticket_id": IDS, "what": TEXT, "kind": LABEL}, (("what",), "kind", "ticket_id")),
        ({"Unnamed: 0": IDS, "text": TEXT, "label": LABEL}, (("text",), "label", "")),
        ({"title": SHORT, "body": TEXT, "topic": LABEL}, (("body",), "topic", "")),
        ({"headline": TEXT, "story": TEXT, "topic": LABEL}, (("story",), "topic", "")),
        ({"premise": TEXT, "hypothesis": TEXT, "label": LABEL}, (("premise", "hypothesis"), "label", "")),
        ({"Sentence1": TEXT, "Sentence2": TEXT, "gold": LABEL}, (("Sentence1", "Sentence2"), "gold", "")),
        ({"target": LABEL, "text": TEXT}, (("text",), "target", "")),
        ({"target": TEXT, "text": TEXT, "stance": LABEL}, (("target", "text"), "stance", "")),
        ({"text": TEXT, "stars": [1, 2, 3] * 4}, (("text",), "stars", "")),
        ({"text": TEXT, "note": TEXT, "label": LABEL}, (("text",), "label", "")),
        ({"text": SHORT, "label": ["x", "y"] + [""] * 10}, (("text",), "label", "")),
        ({"id": [1, 1] * 6, "text": TEXT, "label": LABEL}, (("text",), "label", "")),
        (
            {"text": ["この映画はとても良かったと思います" + str(n) for n in range(12)], "label": LABEL},
            (("text",), "label", ""),
        ),
    ],
)
def test_columns_are_told_by_name_and_content(
    cells: Mapping[str, Sequence[object]], expected: tuple[tuple[str, ...], str, str]
) -> None:
    found = chosen(cells)
    assert (found.texts, found.label, found.id) == expected
    assert found.why_texts and found.why_label and bool(found.why_id) == bool(found.id)


def test_what_a_person_says_wins() -> None:
    cells: dict[str, Sequence[object]] = {"text": TEXT, "note": SHORT, "label": LABEL, "kind": LABEL, "key": [1] * 12}
    found = chosen(cells, Given(("note",), "kind", "key"))
    assert (found.texts, found.label, found.id) == (("note",), "kind", "key")
    assert {found.why_texts, found.why_label, found.why_id} == {"as you said"}


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"text": TEXT}, ("no column looks like labels", "--label-column", "--labels a,b,c")),
        ({"text": TEXT, "a": LABEL, "b": LABEL}, ("which column holds the labels? 'a', 'b' could", "--label-column")),
        ({"a": TEXT, "b": TEXT, "label": LABEL}, ("which column holds the text? 'a', 'b' could", "--text A --text B")),
        ({"label": LABEL, "n": IDS}, ("which column holds the text? 'n' is all there is", "--text")),
    ],
)
def test_what_cannot_be_told_is_asked_for(cells: Mapping[str, Sequence[object]], words: tuple[str, ...]) -> None:
    with pytest.raises(ColumnError) as caught:
        chosen(cells)
    assert all(word in str(caught.value) for word in words)


def test_a_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(ColumnError, match=r"no column 'lable'; found 'text', 'label'\. Did you mean label\?"):
        chosen(LABELED, Given(label="lable"))


def test_with_labels_a_column_holds_these_or_is_none() -> None:
    assert chosen(LABELED, labels=("x", "y")).label == "label"
    assert chosen({"text": TEXT, "label": [1.0, 0.0, None] * 4}, labels=("1", "0")).label == "label"
    assert chosen(LABELED, labels=("k", "l")).label == ""
    assert chosen({"text": TEXT}, labels=("k", "l")).label == ""
    with pytest.raises(DataError, match=r"labels that --labels does not name, such as 'y'"):
        chosen(LABELED, labels=("x", "z"))
