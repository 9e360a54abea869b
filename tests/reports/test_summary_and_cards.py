"""The summary of a run on the screen, as JSON, and in the card of its classifier."""

import io
import json

import numpy as np
from rich.console import Console

from pet.reports.cards import CardFacts, model_card
from pet.reports.summary import Summary, summary_row, summary_table

LABELS = ["no", "yes"]
ENSEMBLE = np.array([0, 1, 1, 1])


def shown(summary: Summary) -> str:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(summary_table(summary))
    return console.export_text()


def with_test() -> Summary:
    gold = np.array([0, 1, 1])
    row = summary_row("t/p+v", np.array([0, 1, 1, 0]), ENSEMBLE, np.array([0, 1, 0]), gold, LABELS)
    best = summary_row("ensemble", ENSEMBLE, ENSEMBLE, gold, gold, LABELS)
    return Summary((row, best), 4)


def test_agreement_is_the_share_of_equal_labels_and_the_test_figures_are_percentages() -> None:
    summary = with_test()
    assert [row.agreement for row in summary.rows] == [0.75, 1.0]
    text = shown(summary)
    # accuracy 2/3; F1: no 2/3, yes 2/3
    assert ["t/p+v", "66.7", "66.7", "75.0"] in [line.split() for line in text.splitlines()]
    assert ["ensemble", "100.0", "100.0", "100.0"] in [line.split() for line in text.splitlines()]
    assert "accuracy" in text and "macro-F1" in text


def test_without_test_rows_there_are_no_such_columns() -> None:
    nothing = np.empty(0, np.int64)
    summary = Summary((summary_row("t/p+v", ENSEMBLE, ENSEMBLE, nothing, nothing, LABELS),), 4)
    assert summary.rows[0].test is None
    assert "accuracy" not in shown(summary)
    assert "100.0" in shown(summary)
    assert json.loads(json.dumps(summary.as_json()))["rows"][0] == {"name": "t/p+v", "agreement": 1.0, "test": None}


def test_the_json_has_every_figure() -> None:
    found = json.loads(json.dumps(with_test().as_json()))
    assert found["agreement_rows"] == 4
    assert found["rows"][0]["test"]["confusion"] == [[1, 0], [1, 1]]


def test_the_card_says_what_the_model_reads_says_and_is_worth() -> None:
    facts = CardFacts("mail", LABELS, ("text",), "pet-mini", 12, 345, {"steps": 7, "temperature": 2.0})
    card = model_card(facts, with_test().test_figures())
    for part in (
        "# mail",
        "`no`, `yes`",
        "`pet-mini`",
        "12 labeled rows",
        "345 rows",
        "steps = 7",
        "temperature = 2.0",
    ):
        assert part in card
    assert "| ensemble | 100.0 | 100.0 |" in card
    assert 'model="path/to/this/folder")("...", truncation=True)' in card
    assert card.startswith("---\n") and card.endswith("\n")


def test_the_card_of_a_task_with_pairs_calls_the_pipeline_with_pairs_and_none_has_figures_without_a_test() -> None:
    facts = CardFacts("nli", LABELS, ("premise", "hypothesis"), "pet-mini", 1, 2, {})
    assert '({"text": "...", "text_pair": "..."}, truncation=True)' in model_card(facts, {})
    assert "accuracy" not in model_card(facts, {})
