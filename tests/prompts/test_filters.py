"""What each filter does to a text, and which spellings are refused."""

import pytest

from pet.errors import PromptError
from pet.prompts.filters import FILTERS, Filter


@pytest.mark.parametrize(
    ("written", "text", "expected"),
    [
        ("no_final_punct", "Is it so ?! ", "Is it so"),
        ("no_final_punct", "wait . . .", "wait"),
        ("no_final_punct", "ist das so？", "ist das so"),
        ("no_final_punct", "up 5%", "up 5%"),
        ("no_final_punct", 'he said "no"', 'he said "no"'),
        ("no_final_punct", "  a. b", "  a. b"),
        ("no_final_punct", "?!", ""),
        ("no_final_punct", "", ""),
        ("lower_first", "The Cat", "the Cat"),
        ("lower_first", "", ""),
        ("lower_first", "5 Cats", "5 Cats"),
        ("strip", " \n a b\t", "a b"),
        ("head=2", "one  two\nthree four", "one two"),
        ("head=2", "这部电影很好看", "这部电影"),
        ("tail=2", "film 这部电影很好看", "影很好看"),
        ("tail=2", "这部 good film", "good film"),
        ("head=9", " one two ", "one two"),
        ("tail=2", "one two\nthree  four ", "three four"),
        ("tail=9", " one two ", "one two"),
        ("tail=1", "", ""),
    ],
)
def test_apply(written: str, text: str, expected: str) -> None:
    assert Filter.parse(written).apply(text) == expected


def test_a_long_run_of_punctuation_is_dropped_in_linear_time() -> None:
    assert Filter("no_final_punct").apply("a" + " ." * 200_000) == "a"


@pytest.mark.parametrize("name", FILTERS)
def test_each_filter_is_read_as_it_is_written(name: str) -> None:
    written = name if name not in ("head", "tail") else f"{name}=7"
    assert Filter.parse(written).template == written


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("no_final_punkt", r"unknown filter 'no_final_punkt'\. Did you mean no_final_punct\?"),
        ("keeep", r"Did you mean keep\?"),
        ("head", r"'head' without a number of words"),
        ("head=", r"'head=', whose number is not a whole one: write head=20"),
        ("head=0", r"'head' without a number of words \(1 or more\)"),
        ("head=-1", r"whose number is not a whole one"),
        ("tail=1.5", r"whose number is not a whole one: write tail=20"),
        ("tail=²", r"whose number is not a whole one"),
        ("strip=3", r"'strip' a number, which it does not take: remove '=3'"),
    ],
)
def test_a_wrong_filter_is_refused(written: str, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        Filter.parse(written)
