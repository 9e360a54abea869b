"""Verbalizers: their rules, label names as words, and fitting to a task."""

import pickle
import tomllib

import pytest

from pet.errors import PromptError
from pet.prompts.verbalizers import Verbalizer

NLI = Verbalizer("nli/x", {"entailment": ("Yes", "Right"), "neutral": ("Maybe",), "contradiction": ("No",)})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, r"has no labels"),
        ({"a": ()}, r"label 'a': expected at least one word, found none"),
        ({"a": ("x", "")}, r"label 'a': expected a word without white space around it, found ''"),
        ({"a": (" x",)}, r"found ' x'"),
        ({"a": "Yes"}, r"expected a list of words, found 'Yes'"),
        ({"a": (1,)}, r"expected a list of words, found \(1,\)"),
        ({"a": ("x",), "b": ("y", "x")}, r"the word 'x' 2 times, for \['a', 'b'\]"),
        ({"a": ("x", "x")}, r"the word 'x' 2 times, for \['a'\]"),
    ],
)
def test_wrong_words_are_refused(words: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(PromptError, match=rf"^Verbalizer 'mine/bad'.*{message}"):
        Verbalizer("mine/bad", words)


def test_words_that_differ_in_case_are_different() -> None:
    assert Verbalizer("t", {"a": ("yes",), "b": ("Yes",)}).labels == ("a", "b")


def test_the_words_are_a_copy() -> None:
    words = {"a": ["x"], "b": ["y"]}
    verbalizer = Verbalizer("t", words)  # type: ignore[arg-type]
    words["a"].append("z")
    assert verbalizer.words == {"a": ("x",), "b": ("y",)}


def test_it_is_a_value() -> None:
    assert pickle.loads(pickle.dumps(NLI)) == NLI
    assert hash(NLI) == hash(Verbalizer("nli/x", dict(NLI.words)))


def test_label_names_become_words() -> None:
    labels = ["Sci/Tech", "not_entailment", " padded ", "e-mail", "a__b_"]
    verbalizer = Verbalizer.from_labels(labels)
    assert verbalizer.labels == tuple(map(str.strip, labels))
    assert [words[0] for words in verbalizer.words.values()] == [
        "Sci/Tech",
        "not entailment",
        "padded",
        "e-mail",
        "a b",
    ]


@pytest.mark.parametrize("labels", [["a_b", "a b"], ["_", "x"]])
def test_label_names_that_cannot_be_words_are_refused(labels: list[str]) -> None:
    with pytest.raises(PromptError):
        Verbalizer.from_labels(labels)


def test_for_labels_takes_the_order_of_the_task() -> None:
    order = ("contradiction", "entailment", "neutral")
    fitted = NLI.for_labels(order)
    assert fitted.labels == order
    assert fitted.words["entailment"] == ("Yes", "Right")
    assert NLI.labels == ("entailment", "neutral", "contradiction")


def test_a_label_without_words_is_named() -> None:
    with pytest.raises(PromptError, match=r"no words for the label 'Entailment' .*Did you mean entailment\?"):
        NLI.for_labels(("Entailment", "neutral", "contradiction"))


def test_words_for_an_unknown_label_are_named() -> None:
    with pytest.raises(PromptError, match=r"has words for 'neutral', which is no label .*Known: contradiction"):
        NLI.for_labels(("entailment", "contradiction"))


def test_a_label_is_the_same_however_it_is_written() -> None:
    found = Verbalizer("v", {"cafe\u0301": ("a",), "True": ("b",), "1.0": ("c",)})
    assert found.for_labels(["caf\u00e9", "true", "1"]).labels == ("caf\u00e9", "true", "1")
    with pytest.raises(PromptError, match=r"two entries for one label, 'caf\\xe9' and 'cafe\\u0301': join them"):
        Verbalizer("v", {"caf\u00e9": ("a",), "cafe\u0301": ("b",)})


def test_the_line_to_write_for_a_label_is_toml() -> None:
    label = '\U0001f4e6 parcel "x"'
    with pytest.raises(PromptError, match="with a line like") as caught:
        Verbalizer("v", {"a": ("b",)}).for_labels(["a", label])
    line = str(caught.value).partition("with a line like ")[2].partition(" for each")[0]
    assert tomllib.loads(line) == {label: ["WORD"]}


def test_a_verbalizer_with_the_labels_of_the_task_is_offered() -> None:
    other = Verbalizer("nli/two-way", {"entailment": ("Yes",), "not_entailment": ("No",)})
    with pytest.raises(PromptError, match=r'set prompts\.verbalizer = "nli/two-way", which has these labels'):
        NLI.for_labels(("not_entailment", "entailment"), [NLI, other])
