"""Texts that stand in two of the sets: they would make a measurement look better than it is."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from pet.data.examples import Example
from pet.data.keys import Keys, key_of

__all__ = ["Overlap", "Overlaps", "find_overlaps", "normalise"]

_SHOWN_IDS = 3


class _Letters(dict[int, int | None]):
    """A `str.translate` table that keeps the letters and digits of every script, filled as it is asked."""

    def __missing__(self, code: int) -> int | None:
        # Marks (M) are vowels in Indic and Thai writing; only variation selectors say nothing about the text.
        selector = 0xFE00 <= code <= 0xFE0F
        kept = not selector and unicodedata.category(chr(code))[0] in "LMN"
        self[code] = code if kept else None
        return self[code]


_LETTERS = _Letters()


def normalise(example: Example) -> str:
    """Return the fields of a row without case, spaces and punctuation: equal for texts that say the same.

    Source: the near-duplicate key of n-gram decontamination, with n the whole text. A row without any letter
    or digit keeps its signs, since "?!" and ":-)" are different texts.

    >>> normalise(Example("1", {"a": "It's  ON!", "b": "\uff11 day"}))
    'itson|1day'
    """
    folded = [unicodedata.normalize("NFKC", text).casefold() for text in example.fields.values()]
    letters = [unicodedata.normalize("NFKC", text).translate(_LETTERS) for text in folded]
    return "|".join(letters if any(letters) else ["".join(text.split()) for text in folded])


@dataclass(frozen=True)
class Overlap:
    """How many rows of the second set have a text of the first, and up to three (first, second) ids."""

    count: int
    ids: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Overlaps:
    """The texts that two sets share, and the unlabeled rows that repeat an earlier unlabeled row.

    `contradictions` are the labeled rows with the text of an earlier one and another label; `kept` int64 the places of
    the unlabeled rows whose text stands in no other set.
    """

    train_unlabeled: Overlap
    train_test: Overlap
    test_unlabeled: Overlap
    contradictions: Overlap
    unlabeled_duplicates: int
    kept: np.ndarray


def find_overlaps(train: Iterable[Example], unlabeled: Iterable[Example], test: Iterable[Example]) -> Overlaps:
    """Compare three sets by `normalise`; the unlabeled rows, of which there may be very many, are read once."""
    train_unlabeled, train_test, test_unlabeled = _Meeting.of(train), _Meeting.of(train), _Meeting.of(test)
    for example in test:
        train_test.meets(_key(example), example.id)
    keys, kept = Keys(), bytearray()
    for example in unlabeled:
        key = _key(example)
        keys.add(key)
        met = [meeting.meets(key, example.id) for meeting in (train_unlabeled, test_unlabeled)]
        kept.append(not any(met))
    return Overlaps(
        train_unlabeled=train_unlabeled.found,
        train_test=train_test.found,
        test_unlabeled=test_unlabeled.found,
        contradictions=_contradictions(train),
        unlabeled_duplicates=len(keys.repeats()),
        kept=np.flatnonzero(np.frombuffer(kept, np.bool_)),
    )


def _contradictions(train: Iterable[Example]) -> Overlap:
    first: dict[bytes, Example] = {}
    pairs = [(first.setdefault(_key(example), example), example) for example in train]
    found = [
        (f"{earlier.id} ({earlier.label})", f"{later.id} ({later.label})")
        for earlier, later in pairs
        if earlier.label != later.label
    ]
    return Overlap(len(found), tuple(found[:_SHOWN_IDS]))


@dataclass
class _Meeting:
    """The first id of each text of one set, and the rows of another that meet one."""

    first: dict[bytes, str]
    count: int = 0
    pairs: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, examples: Iterable[Example]) -> "_Meeting":
        first: dict[bytes, str] = {}
        for example in examples:
            first.setdefault(_key(example), example.id)
        return cls(first)

    def meets(self, key: bytes, name: str) -> bool:
        """Say whether a row of the second set has a text of the first, and count it."""
        if key not in self.first:
            return False
        self.count += 1
        if len(self.pairs) < _SHOWN_IDS:
            self.pairs.append((self.first[key], name))
        return True

    @property
    def found(self) -> Overlap:
        return Overlap(self.count, tuple(self.pairs))


def _key(example: Example) -> bytes:
    return key_of(normalise(example))
