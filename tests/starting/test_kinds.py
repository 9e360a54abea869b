"""Which kind of task it is, and which patterns and words go with it."""

import pytest

from pet.errors import ConfigError
from pet.prompts.registry import load_patterns, load_verbalizers
from pet.starting.kinds import FIELDS, KINDS, MEANINGS, Kind, kind_of

BUILT_IN = load_verbalizers()
PAIR = ("text_a", "text_b")


def found(*labels: str, columns: tuple[str, ...] = ("text",), label: str = "label", wanted: str = "") -> Kind:
    return kind_of(labels, columns, label, BUILT_IN, wanted)


@pytest.mark.parametrize(
    ("labels", "patterns", "verbalizer"),
    [
        (("negative", "positive"), "sentiment/*", "sentiment/polarity"),
        (("neg", "pos", "neutral"), "sentiment/*", ""),
        (("ham", "spam"), "spam/*", "spam/words"),
        (("Spam", "Not spam"), "spam/*", ""),
        (("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"), "question-type/*", ""),
        (("World", "Sports", "Business", "Sci/Tech"), "agnews/*", "agnews/words"),
        (("politics", "sports"), "topic/*", ""),
        (("card_arrival", "lost_card", "exchange_rate"), "intent/*", ""),
        (("billing", "delivery"), "intent/*", ""),
        (("red", "green"), "topic/*", ""),
    ],
)
def test_the_kind_is_told_by_the_labels(labels: tuple[str, ...], patterns: str, verbalizer: str) -> None:
    kind = found(*labels)
    assert (kind.patterns, kind.verbalizer, kind.doubt) == (patterns, verbalizer, "")
    assert kind.why


@pytest.mark.parametrize(
    ("labels", "columns", "patterns"),
    [
        (("entailment", "not_entailment"), PAIR, "nli/*"),
        (("entailment", "neutral", "contradiction"), PAIR, "nli/*"),
        (("same", "different"), PAIR, "paraphrase/*"),
        (("0", "1"), ("question1", "question2"), "paraphrase/*"),
        (("0", "1"), ("premise", "hypothesis"), "nli/*"),
        (("FAVOR", "AGAINST"), ("target", "text"), "stance/*"),
    ],
)
def test_pairs_have_patterns_of_their_own(labels: tuple[str, ...], columns: tuple[str, ...], patterns: str) -> None:
    kind = found(*labels, columns=columns)
    assert kind.patterns == patterns and len(kind.fields) == 2
    assert bool(kind.doubt) == labels[0].isdecimal()


def test_numbers_have_words_where_a_column_tells_what_they_mean() -> None:
    stars = found("1", "2", "3", "4", "5", label="stars")
    assert (stars.name, stars.words["1"], stars.words["5"]) == ("sentiment", ("terrible",), ("great",))
    assert "the other way round" in stars.doubt
    plain = found("0", "1")
    assert plain.words == {} and "numbers" in plain.doubt and "--labels 0=bad,1=good" in plain.doubt


def test_names_that_are_not_written_as_words_get_words() -> None:
    assert found("orderStatus", "FAQ-old").words == {"orderStatus": ("order status",), "FAQ-old": ("FAQ old",)}
    assert found("order_status", "lost card").words == {}  # as the label names are read anyway


def test_a_kind_that_is_wanted_is_taken() -> None:
    assert found("negative", "positive", wanted="topic").patterns == "topic/*"
    assert found("0", "1", wanted="sentiment").words == {
        "0": ("bad", "terrible", "poor"),
        "1": ("good", "great", "excellent"),
    }
    with pytest.raises(
        ConfigError, match=r"--kind nli reads premise and hypothesis, and what was chosen is text: .* --text"
    ):
        found("a", "b", wanted="nli")


def test_pairs_of_unknown_labels_are_asked_for() -> None:
    with pytest.raises(
        ConfigError, match=r"no patterns about two texts .* 'x', 'y': read one of them with --text COLUMN"
    ):
        found("x", "y", columns=PAIR)


def test_every_kind_has_patterns_and_its_fields_are_theirs() -> None:
    patterns = load_patterns()
    for name in KINDS:
        fields = FIELDS.get(name, ("text",))
        assert all(set(pattern.fields) == set(fields) for pattern in patterns.select([f"{name}/*"]))
    assert set(MEANINGS) <= set(KINDS)
