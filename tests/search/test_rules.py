"""Patterns by rules: every family, fields kept, the labels named where there are few."""

import pytest

from pet.errors import PromptError
from pet.search.rules import MOST_NAMED, plain_patterns, rule_patterns

FAMILIES = ("null", "punctuation", "tag", "question", "sentence", "instruction")


@pytest.mark.parametrize("fields", [["text"], ["premise", "hypothesis"]])
def test_every_family_keeps_all_fields_and_is_there_once(fields: list[str]) -> None:
    found = rule_patterns(fields, "topic", ["World", "Sci/Tech"])
    assert {one.name.partition("/")[2].partition("-")[0] for one in found} == set(FAMILIES)
    assert all(one.fields == tuple(fields) for one in found)
    assert len({one.template for one in found}) == len(found)


def test_an_instruction_names_the_labels_where_there_are_few() -> None:
    few = [one.template for one in rule_patterns(["text"], "topic", ["World", "lost_{card}"])]
    assert "{text} || Is the topic World or lost card? It is {mask}." in few
    many = [one.name for one in rule_patterns(["text"], "topic", [f"l{i}" for i in range(MOST_NAMED + 1)])]
    assert not any("instruction" in name for name in many)


def test_plain_patterns_have_no_words() -> None:
    assert not any(
        sign.isalpha()
        for one in plain_patterns(["x"])
        for sign in one.template.replace("{x}", "").replace("{mask}", "")
    )


def test_three_texts_are_too_many() -> None:
    with pytest.raises(PromptError, match="a row has 3"):
        rule_patterns(["a", "b", "c"], "topic", ["x", "y"])
