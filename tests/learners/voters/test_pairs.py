"""Rows with labels as questions: each pair in its place, and what is learned of them."""

import numpy as np
import pytest

from pet.data.examples import Example, Task
from pet.errors import PromptError
from pet.learners.voters.pairs import (
    LABEL,
    MOST_NEGATIVES,
    NO,
    YES,
    Pairs,
    check_pair_pattern,
    pair_task,
    training_pairs,
)
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.verbalizers import Verbalizer

ROWS = [Example(str(i), {"text": f"row {i}"}) for i in range(5)]
WORDS = ("a", "b", "c")


def test_pairs_are_row_by_row_and_a_slice_is_the_same() -> None:
    pairs = Pairs(ROWS, WORDS)
    assert len(pairs) == 15
    every = [pairs[i] for i in range(15)]
    assert [(one.id, one.fields[LABEL]) for one in every[2:5]] == [("0", "c"), ("1", "a"), ("1", "b")]
    assert all(list(pairs[start:stop]) == every[start:stop] for start in range(15) for stop in range(start + 1, 16))


def test_all_labels_of_a_row_are_learned_and_some_that_it_lacks() -> None:
    given = np.array([[True, False, False], [True, True, True], [False, False, False]])
    pairs, shift = training_pairs(ROWS[:3], given, WORDS, np.random.default_rng(0))
    yes = [(one.id, one.fields[LABEL]) for one in pairs if one.label == YES]
    no = [(one.id, one.fields[LABEL]) for one in pairs if one.label == NO]
    assert yes == [("0", "a"), ("1", "a"), ("1", "b"), ("1", "c")]
    assert len(no) == 2 + 0 + MOST_NEGATIVES and not set(no) & set(yes)
    assert shift == pytest.approx(np.log(4.5 / 5.5) - np.log(4.5 / 5.5))  # all are learned: yes is as frequent as it is
    many = np.eye(5, 40, dtype=np.bool_)
    _, shift = training_pairs(ROWS, many, [str(k) for k in range(40)], np.random.default_rng(0))
    assert shift > 2.0


def test_a_pattern_has_to_ask_about_the_label() -> None:
    task, words = pair_task(Task("t", ("a", "b"), ("text",))), Verbalizer("yes-no", {YES: ("Yes",), NO: ("No",)})
    good = PVP(Pattern("p/q", "{text} Is it {label:keep}? {mask}"), words)
    good.check(task)
    check_pair_pattern(good)
    with pytest.raises(PromptError, match=r"has no \{label\}"):
        check_pair_pattern(PVP(Pattern("p/r", "{text} {mask}"), words))
