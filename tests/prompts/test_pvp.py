"""The pair: its name, and whether it fits a task."""

import pytest

from pet.data.examples import Task
from pet.errors import PromptError
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.verbalizers import Verbalizer

PAIR = PVP(
    Pattern("nli/plain", "{premise}? || {mask}, {hypothesis}"),
    Verbalizer("nli/two-way", {"entailment": ("Yes",), "not_entailment": ("No",)}),
)
LABELS = ("not_entailment", "entailment")


def test_name() -> None:
    assert PAIR.name == "nli/plain+two-way"


def test_the_name_of_label_names() -> None:
    assert PVP(PAIR.pattern, Verbalizer.from_labels(LABELS)).name == "nli/plain+labels"


def test_a_task_that_fits() -> None:
    PAIR.check(Task("rte", LABELS, ("hypothesis", "premise", "topic")))


def test_a_field_that_the_task_lacks_is_named() -> None:
    with pytest.raises(
        PromptError,
        match=r"'nli/plain' needs the field 'premise', which task 'rte' lacks.*Did you mean premises\?",
    ):
        PAIR.check(Task("rte", LABELS, ("premises", "hypothesis")))


@pytest.mark.parametrize("labels", [("entailment", "no"), (*LABELS, "neutral")])
def test_labels_that_do_not_fit_are_refused(labels: tuple[str, ...]) -> None:
    with pytest.raises(PromptError, match="'nli/two-way'"):
        PAIR.check(Task("rte", labels, ("premise", "hypothesis")))
