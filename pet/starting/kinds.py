"""Which kind of task it is, by the names of its labels, and with it the patterns and the words of the labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pet.errors import ConfigError, shown
from pet.prompts.descriptions import name_as_words
from pet.prompts.registry import Registry
from pet.prompts.verbalizers import NAME_WORDS, Verbalizer

KINDS = ("sentiment", "topic", "intent", "question-type", "spam", "nli", "paraphrase", "stance")
"""The kinds of tasks that have patterns."""

FIELDS: Mapping[str, tuple[str, ...]] = {
    "nli": ("premise", "hypothesis"),
    "paraphrase": ("text_a", "text_b"),
    "stance": ("target", "text"),
}
"""The fields of the patterns about two texts; all others have one, `text`."""

Words = Mapping[str, tuple[str, ...]]

_YES, _NO, _MAYBE = ("Yes",), ("No",), ("Maybe",)
_GOOD, _BAD, _OKAY = ("good", "great", "excellent"), ("bad", "terrible", "poor"), ("okay",)
_FAKE, _NORMAL = ("commercial", "fake"), ("personal", "normal")
_PERSON, _PLACE, _THING, _NUMBER, _LETTER, _REASON = (
    *(("person",), ("place",), ("thing",), ("number",), ("letter",)),
    ("reason", "definition"),
)

MEANINGS: Mapping[str, Words] = {
    "nli": {"entailment": _YES, "entails": _YES, "not entailment": _NO, "contradiction": _NO, "neutral": _MAYBE},
    "paraphrase": {
        **dict.fromkeys(("same", "paraphrase", "duplicate", "equivalent", "yes", "true"), _YES),
        **dict.fromkeys(("different", "not paraphrase", "not duplicate", "not equivalent", "no", "false"), _NO),
    },
    "stance": {
        **dict.fromkeys(("favor", "favour", "for", "pro", "support"), _YES),
        **dict.fromkeys(("against", "con", "anti", "oppose"), _NO),
        **dict.fromkeys(("none", "neutral", "neither"), _MAYBE),
    },
    "sentiment": {
        **dict.fromkeys(("positive", "pos", "good", "positiv", "positivo"), _GOOD),
        **dict.fromkeys(("negative", "neg", "bad", "negativ", "negativo"), _BAD),
        **dict.fromkeys(("neutral", "neu", "neutro"), _OKAY),
        "mixed": ("mixed",),
    },
    "spam": {
        "spam": _FAKE,
        **dict.fromkeys(("ham", "not spam", "no spam", "legitimate", "legit", "normal"), _NORMAL),
    },
    "question-type": {
        **{"abbreviation": _LETTER, "abbr": _LETTER, "description": _REASON, "desc": _REASON, "entity": _THING},
        **{"enty": _THING, "human": _PERSON, "hum": _PERSON, "location": _PLACE, "loc": _PLACE},
        **{"number": _NUMBER, "numeric": _NUMBER, "num": _NUMBER},
    },
}
"""For each kind, what names of labels mean there, as words that fit its patterns."""

_INTENTS = frozenset(
    {
        *(
            "account",
            "billing",
            "cancel",
            "cancellation",
            "card",
            "charge",
            "complaint",
            "delivery",
        ),
        *(
            "order",
            "password",
            "payment",
            "refund",
            "return",
            "transfer",
            "support",
            "shipping",
        ),
        *(
            "help",
            "request",
            "book",
            "play",
            "greeting",
            "question",
            "defect",
        ),
    }
)
_TOPICS = frozenset(
    {
        *(
            "arts",
            "business",
            "culture",
            "economy",
            "education",
            "entertainment",
            "environment",
            "finance",
        ),
        *(
            "food",
            "health",
            "international",
            "music",
            "opinion",
            "politics",
            "religion",
            "science",
        ),
        *(
            "sci",
            "sport",
            "sports",
            "tech",
            "technology",
            "travel",
            "weather",
            "world",
        ),
    }
)
_SCALES: Mapping[int, tuple[tuple[str, ...], ...]] = {
    2: (_BAD, _GOOD),
    3: (_BAD, _OKAY, _GOOD),
    5: (("terrible",), ("bad",), ("okay",), ("good",), ("great",)),
}


_NUMBERS = (
    f"the labels are numbers, which say nothing to a pattern: {NAME_WORDS}; or begin again with such as --labels "
    "0=bad,1=good"
)


@dataclass(frozen=True)
class Kind:
    """A kind of task: patterns, a built-in `verbalizer` or `words` where the label names will not do, and why.

    `doubt` says what a person has to look at (empty: nothing).
    """

    name: str
    patterns: str
    why: str
    verbalizer: str = ""
    words: Words = field(default_factory=dict)
    doubt: str = ""

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of its patterns."""
        return FIELDS.get(self.name, ("text",))


def kind_of(
    labels: Sequence[str], columns: Sequence[str], label_column: str, built_in: Registry[Verbalizer], wanted: str = ""
) -> Kind:
    """Return the kind of a task by its labels, the columns of its texts and that of its labels; or the one `wanted`.

    Raises `ConfigError` if it has two texts, and no patterns about two texts have words for its labels.
    """
    pair = len(columns) == 2
    if wanted and (pair != (wanted in FIELDS)):
        raise ConfigError(
            f"--kind {wanted} reads {' and '.join(FIELDS.get(wanted, ('text',)))}, and what was chosen is "
            f"{' and '.join(columns)}: name the columns of the texts with --text."
        )
    tried = (wanted,) if wanted else tuple(name for name in MEANINGS if pair == (name in FIELDS))
    found = _numbered(labels, columns, label_column, tried) if _are_numbers(labels) else _named(labels, tried)
    if found is None and pair:
        raise ConfigError(
            f"Two texts, {' and '.join(columns)}, and no patterns about two texts have words for the labels "
            f"{', '.join(map(shown, labels[:6]))}: read one of them with --text COLUMN, or name --kind nli (or "
            "paraphrase, stance) and a word for each label, --labels LABEL=Yes,LABEL=No."
        )
    found = found or _plain(labels, label_column, wanted)
    return _with_built_in(found, labels, built_in)


def _named(labels: Sequence[str], tried: Sequence[str]) -> Kind | None:
    """Return the first kind of those tried in which every label means something."""
    for name in tried:
        meanings = MEANINGS.get(name, {})
        words = {label: meanings.get(name_as_words(label).casefold(), ()) for label in labels}
        if labels and all(words.values()) and len(set(words.values())) == len(labels):
            return Kind(name, f"{name}/*", "by the names of the labels", words=words)
    return None


def _numbered(labels: Sequence[str], columns: Sequence[str], label_column: str, tried: Sequence[str]) -> Kind | None:
    """Return the kind of a task whose labels are numbers, where the columns tell what these mean."""
    names, column, ordered = [name.casefold() for name in columns], label_column.casefold(), sorted(labels, key=float)
    words: Words
    doubt = "the labels are numbers, and these words are a guess: see that none is the other way round"
    if "nli" in tried and ("premise" in names or tried == ("nli",)) and len(labels) in (2, 3):
        words = dict(zip(ordered, (_YES, _NO) if len(labels) == 2 else (_YES, _MAYBE, _NO), strict=True))
        return Kind("nli", "nli/*", "by the names of the columns", words=words, doubt=doubt)
    if "paraphrase" in tried and len(labels) == 2:
        words = dict(zip(ordered, (_NO, _YES), strict=True))
        return Kind("paraphrase", "paraphrase/*", "two texts and the labels 0 and 1", words=words, doubt=doubt)
    rated = column in ("rating", "stars", "sentiment", "polarity", "score") or tried == ("sentiment",)
    if rated and len(columns) == 1 and len(labels) in _SCALES:
        words = dict(zip(ordered, _SCALES[len(labels)], strict=True))
        return Kind("sentiment", "sentiment/*", f"by the column {label_column}", words=words, doubt=doubt)
    return None


def _plain(labels: Sequence[str], label_column: str, wanted: str) -> Kind:
    """Return intents or topics, of which the label names are the words."""
    names = [name_as_words(label).casefold().split() for label in labels]
    doubt = _NUMBERS if _are_numbers(labels) else ""
    if wanted:
        return Kind(wanted, f"{wanted}/*", "as you said", doubt=doubt)
    if label_column.casefold() in ("intent", "intents"):
        return Kind("intent", "intent/*", f"by the column {label_column}", doubt=doubt)
    words = [word.strip("s") for name in names for word in name]
    wishes, subjects = (
        sum(any(word in known or f"{word}s" in known for word in words) for words in names)
        for known in (_INTENTS, _TOPICS)
    )
    if wishes > subjects or (not subjects and len(words) >= 2 * len(names) and not _are_numbers(labels)):
        return Kind("intent", "intent/*", "the labels read like what a message is for", doubt=doubt)
    why = "by the names of the labels" if subjects else "nothing in the labels says what else"
    return Kind("topic", "topic/*", why, doubt=doubt)


def _with_built_in(kind: Kind, labels: Sequence[str], built_in: Registry[Verbalizer]) -> Kind:
    """Return a kind with the built-in words for exactly these labels, if there are any."""
    families = {"topic": ("topic", "agnews", "yahoo")}.get(kind.name, (kind.name,))
    for family in families:
        for verbalizer in built_in.select([f"{family}/*"]):
            if set(verbalizer.labels) == set(labels):
                return Kind(kind.name, f"{family}/*", kind.why, verbalizer.name, doubt=kind.doubt)
    if kind.words or all(name_as_words(label) == " ".join(label.replace("_", " ").split()) for label in labels):
        return kind
    words = {label: (_as_word(label),) for label in labels}
    return Kind(kind.name, kind.patterns, kind.why, words=words, doubt=kind.doubt)


def _as_word(label: str) -> str:
    """Return a label name as words; the capitals of one such as orderStatus only tell where the next word begins."""
    name = name_as_words(label)
    return name.lower() if label[:1].islower() else name


def _are_numbers(labels: Sequence[str]) -> bool:
    return bool(labels) and all(label.lstrip("-").replace(".", "", 1).isdecimal() for label in labels)
