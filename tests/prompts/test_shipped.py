"""The patterns and verbalizers that ship: that they load, fit each other, and are one token each."""

import subprocess
import sys

import pytest

from pet.data.examples import Task
from pet.library import BUNDLED_MODELS
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.registry import load_patterns, load_verbalizers
from pet.prompts.templates import Field, Mask
from pet.prompts.verbalizers import Verbalizer

PATTERNS = load_patterns().select(["*"])
VERBALIZERS = load_verbalizers().select(["*"])
FIELDS = {
    "agnews": ("text",),
    "intent": ("text",),
    "nli": ("premise", "hypothesis"),
    "paraphrase": ("text_a", "text_b"),
    "question-type": ("text",),
    "sentiment": ("text",),
    "soft": ("text",),
    "spam": ("text",),
    "stance": ("target", "text"),
    "topic": ("text",),
    "yahoo": ("text",),
    "yelp": ("text",),
    "paraphrase-zh": ("text_a", "text_b"),
    "sentiment-de": ("text",),
    "sentiment-fr": ("text",),
    "sentiment-zh": ("text",),
    "stance-de": ("target", "text"),
    "stance-fr": ("target", "text"),
}
LANGUAGES = {"de": "German", "fr": "French", "zh": "Chinese"}
ENGLISH = [one for one in VERBALIZERS if one.name.partition("/")[0].rpartition("-")[2] not in LANGUAGES]
TOKENIZER = BUNDLED_MODELS / "pet-mini" / "tokenizer.json"


def family(named: Pattern | Verbalizer) -> str:
    return named.name.partition("/")[0]


def name(named: Pattern | Verbalizer) -> str:
    return named.name


@pytest.mark.parametrize("pattern", PATTERNS, ids=name)
def test_each_pattern_reads_back_the_same_and_is_described(pattern: Pattern) -> None:
    assert Pattern(pattern.name, pattern.template) == pattern
    assert pattern.description.endswith(".")
    assert set(pattern.fields) == set(FIELDS[family(pattern)])
    assert pattern.language == LANGUAGES.get(family(pattern).rpartition("-")[2], "")


def test_each_family_has_patterns_and_a_verbalizer() -> None:
    assert {family(pattern) for pattern in PATTERNS} == set(FIELDS)
    # The templates without words of their own go with the words of any family.
    assert {family(verbalizer) for verbalizer in VERBALIZERS} == set(FIELDS) - {"soft"}


def test_only_one_family_has_virtual_tokens() -> None:
    assert {family(pattern) for pattern in PATTERNS if pattern.virtual_parts} == {"soft"}


@pytest.mark.parametrize("one", sorted(FIELDS))
def test_a_family_is_diverse(one: str) -> None:
    patterns = [pattern for pattern in PATTERNS if family(pattern) == one]
    assert len({pattern.template for pattern in patterns}) == len(patterns) >= 4
    # In some the slot has text before it and in others behind it: the model reads in both directions.
    cuts = [(pattern.segments, pattern.segments.index(Mask())) for pattern in patterns]
    assert any(isinstance(item, Field) for segments, mask in cuts for item in segments[:mask])
    assert any(isinstance(item, Field) for segments, mask in cuts for item in segments[mask:])


@pytest.mark.parametrize("verbalizer", VERBALIZERS, ids=name)
def test_each_verbalizer_fits_the_patterns_of_its_family(verbalizer: Verbalizer) -> None:
    one = family(verbalizer)
    for pattern in PATTERNS:
        if family(pattern) == one:
            PVP(pattern, verbalizer).check(Task(one, verbalizer.labels, FIELDS[one]))


@pytest.mark.parametrize("verbalizer", VERBALIZERS, ids=name)
def test_words_differ_in_more_than_case(verbalizer: Verbalizer) -> None:
    # Many tokenizers lower-case.
    words = [word.lower() for words in verbalizer.words.values() for word in words]
    assert len(set(words)) == len(words)


@pytest.mark.skipif(not TOKENIZER.is_file(), reason="the bundled model is not in this checkout")
@pytest.mark.parametrize("verbalizer", ENGLISH, ids=name)
def test_each_word_is_one_token_of_the_bundled_model(verbalizer: Verbalizer) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_file(str(TOKENIZER))
    for words in verbalizer.words.values():
        for word in words:
            tokens = tokenizer.encode(word, add_special_tokens=False).tokens
            assert len(tokens) == 1, (word, tokens)
            assert tokens != ["[UNK]"], word


def test_prompts_load_no_tensor_library() -> None:
    code = "import sys, pet.prompts; sys.exit(str({'torch', 'transformers'} & set(sys.modules) or '') or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
