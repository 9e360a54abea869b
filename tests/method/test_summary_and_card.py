"""The summary of a run on the screen, as JSON, and in the card of its classifier."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from pet.method.card import CardFacts, model_card
from pet.method.metrics import evaluate
from pet.method.summary import Summary, SummaryRow, simpler_flags, summary_table, verdict, weak_classifier

LABELS = ["no", "yes"]


def shown(summary: Summary) -> str:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(summary_table(summary))
    return console.export_text()


def with_test() -> Summary:
    gold = np.array([0, 1, 1])
    row = SummaryRow("t/p+v", 0.75, evaluate(np.array([0, 1, 0]), gold, LABELS))
    return Summary((row, SummaryRow("ensemble", 1.0, evaluate(gold, gold, LABELS))), 4)


def measured(**accuracies: float) -> Summary:
    """A summary of lines with so many of 100 test rows right."""
    gold = np.zeros(100, np.int64)
    rows = [
        SummaryRow(name.replace("_", " "), None, evaluate(np.arange(100) >= 100 * share, gold, LABELS))
        for name, share in accuracies.items()
    ]
    return Summary(tuple(rows), 4)


def held_out(**accuracies: float) -> Summary:
    """A summary of lines with accuracies on 10 gold rows held out."""
    rows = [SummaryRow(name.replace("_", " "), 1.0, None, share) for name, share in accuracies.items()]
    return Summary(tuple(rows), 4, held_out=10)


def test_the_figures_are_percentages() -> None:
    summary = with_test()
    assert [row.agreement for row in summary.rows] == [0.75, 1.0]
    text = shown(summary)
    # accuracy 2/3; F1: no 2/3, yes 2/3
    assert ["t/p+v", "66.7", "66.7", "75.0"] in [line.split() for line in text.splitlines()]
    assert ["ensemble", "100.0", "100.0", "100.0"] in [line.split() for line in text.splitlines()]
    assert "accuracy" in text and "macro-F1" in text


def test_without_test_rows_there_are_no_such_columns() -> None:
    summary = Summary((SummaryRow("t/p+v", 1.0, None),), 4)
    assert "accuracy" not in shown(summary) and "held-out" not in shown(summary)
    assert ["t/p+v", "100.0"] in [line.split() for line in shown(summary).splitlines()]
    row = {"name": "t/p+v", "agreement": 1.0, "held_out_accuracy": None, "test": None}
    assert json.loads(json.dumps(summary.as_json())) == {"agreement_rows": 4, "held_out_rows": 0, "rows": [row]}


def test_the_accuracy_on_gold_rows_held_out_has_a_column_where_there_is_one() -> None:
    lines = [line.split() for line in shown(held_out(ensemble=0.9, supervised_baseline=0.8)).splitlines()]
    assert lines[0] == ["held-out", "gold", "agrees", "with", "ensemble"]
    assert lines[1:3] == [["ensemble", "90.0", "100.0"], ["supervised", "baseline", "80.0", "100.0"]]
    without = Summary((SummaryRow("zero-shot", 0.5, None), SummaryRow("ensemble", 1.0, None, 0.9)), 4, 10)
    assert ["zero-shot", "50.0"] in [line.split() for line in shown(without).splitlines()]
    assert without.as_json()["held_out_rows"] == 10


NOT_MEASURED = (
    "whether something simpler would have done better is not measured: give data.test, or 8 labeled rows of each label "
    "and ipet.held_out = true"
)


@pytest.mark.parametrize(
    ("summary", "sentence"),
    [
        (
            measured(ensemble=0.99, distilled_classifier=0.9, supervised_baseline=0.8, generation_0=0.85),
            "nothing simpler would have done better: distilled classifier 90.0%, generation 0 85.0% on 100 test rows",
        ),
        (
            # The interval of the difference: 1.96 * sqrt((0.8 * 0.2 + 0.9 * 0.1) / 100) = 0.098
            measured(distilled_classifier=0.8, **{"embeddings_+_self-training": 0.9, "supervised_baseline": 0.2}),
            "something simpler would have done better: "
            "distilled classifier 80.0%, embeddings + self-training 90.0% on 100 test rows",
        ),
        (
            measured(distilled_classifier=0.8, **{"embeddings_+_self-training": 0.89, "supervised_baseline": 0.2}),
            "something simpler would have done better: distilled classifier 80.0%, "
            "embeddings + self-training 89.0% on 100 test rows, a difference that chance explains",
        ),
        (  # equally good is not better
            measured(distilled_classifier=0.9, **{"embeddings_+_logistic_regression": 0.9}),
            "nothing simpler would have done better: "
            "distilled classifier 90.0%, embeddings + logistic regression 90.0% on 100 test rows",
        ),
        (
            held_out(ensemble=0.5, supervised_baseline=0.6, distilled_classifier=0.7),
            "something simpler would have done better: "
            "ensemble 50.0%, supervised baseline 60.0% on 10 gold rows held out, a difference that chance explains",
        ),
        (
            held_out(ensemble=0.6, supervised_baseline=0.6),
            "nothing simpler would have done better: "
            "ensemble 60.0%, supervised baseline 60.0% on 10 gold rows held out",
        ),
        (measured(ensemble=0.1, distilled_classifier=0.9), None),  # nothing simpler was tried
        (measured(distilled_classifier=0.5, **{"generation_1": 0.9, "zero-shot_(calibrated)": 0.9}), None),
        (held_out(ensemble=0.1, distilled_classifier=0.9), None),
        (Summary((SummaryRow("ensemble", 1.0, None),), 4), None),  # with test rows, too, there would be nothing
        (Summary((SummaryRow("ensemble", 1.0, None), SummaryRow("supervised baseline", 0.9, None)), 4), NOT_MEASURED),
    ],
)
def test_one_sentence_says_whether_something_simpler_would_have_done_better(
    summary: Summary, sentence: str | None
) -> None:
    assert verdict(summary) == sentence


def test_a_run_without_patterns_is_not_told_to_do_without_patterns() -> None:
    better = measured(distilled_classifier=0.5, **{"embeddings_+_self-training": 0.9})
    assert simpler_flags(better) == "--fast"
    assert simpler_flags(better, fast=True) is None
    once = measured(distilled_classifier=0.5, generation_0=0.9)
    assert simpler_flags(once, fast=True) == "--set ipet.generations=1"


def test_test_rows_decide_where_there_are_both() -> None:
    rows = measured(ensemble=0.5, distilled_classifier=0.9, supervised_baseline=0.8).rows
    both = tuple(replace(row, held_out=share) for row, share in zip(rows, (0.0, 0.0, 1.0), strict=True))
    found = verdict(Summary(both, 4, 10))
    assert found is not None and found.startswith("nothing simpler") and found.endswith("on 100 test rows")


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


def test_a_classifier_under_its_ensemble_is_told_of() -> None:
    said = str(weak_classifier(measured(ensemble=0.65, distilled_classifier=0.4)))
    assert said.startswith("the classifier is right on 40.0% of the test rows, the ensemble that taught it on 65.0%")
    assert weak_classifier(measured(ensemble=0.65, distilled_classifier=0.64)) is None
    assert weak_classifier(measured(ensemble=0.65, distilled_classifier=0.9)) is None
    assert weak_classifier(held_out(ensemble=0.65)) is None


def test_a_classifier_that_says_other_things_than_its_ensemble_is_told_of() -> None:
    def said(agreement: float) -> str | None:
        return weak_classifier(Summary((SummaryRow("distilled classifier", agreement, None),), 4))

    assert str(said(0.0)).startswith("the classifier agrees with the ensemble that taught it on 0.0% of the pool")
    assert said(0.9) is None
