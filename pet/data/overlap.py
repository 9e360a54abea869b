"""Texts that stand in two of the sets: they would make a measurement look better than it is."""

import unicodedata
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pet.data.examples import Example
from pet.data.keys import key_of, repeats

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
    the unlabeled rows whose text stands in no other set, `ids` those that one of these shares with a labeled row.
    """

    train_unlabeled: Overlap
    train_test: Overlap
    test_unlabeled: Overlap
    contradictions: Overlap
    unlabeled_duplicates: int
    kept: np.ndarray
    ids: frozenset[str] = frozenset()


def find_overlaps(train: Sequence[Example], unlabeled: Sequence[Example], test: Sequence[Example]) -> Overlaps:
    """Compare three sets by `normalise`; the unlabeled rows, of which there may be very many, are read once."""
    of_train, of_test, ids = _first_ids(train), _first_ids(test), {example.id for example in train}
    keys, in_train, in_test, shared = bytearray(), array("q"), array("q"), set[str]()
    for place, example in enumerate(unlabeled):
        key = _key(example)
        keys += key
        for first, places in ((of_train, in_train), (of_test, in_test)):
            if key in first:
                places.append(place)
        if example.id in ids and key not in of_train and key not in of_test:
            shared.add(example.id)
    return Overlaps(
        train_unlabeled=_overlap(of_train, unlabeled, in_train),
        train_test=_overlap(of_train, test, [i for i, example in enumerate(test) if _key(example) in of_train]),
        test_unlabeled=_overlap(of_test, unlabeled, in_test),
        contradictions=_contradictions(train),
        unlabeled_duplicates=len(repeats(keys)),
        kept=np.delete(np.arange(len(unlabeled)), np.concatenate([in_train, in_test])),
        ids=frozenset(shared),
    )


def _first_ids(examples: Iterable[Example]) -> dict[bytes, str]:
    """Return the id of the first row with each text."""
    first: dict[bytes, str] = {}
    for example in examples:
        first.setdefault(_key(example), example.id)
    return first


def _overlap(first: Mapping[bytes, str], rows: Sequence[Example], places: Sequence[int]) -> Overlap:
    """Return how many rows have one of the texts, and the first of them; they stand at `places`."""
    some = [rows[place] for place in places[:_SHOWN_IDS]]
    return Overlap(len(places), tuple((first[_key(example)], example.id) for example in some))


def _contradictions(train: Iterable[Example]) -> Overlap:
    first: dict[bytes, Example] = {}
    pairs = [(first.setdefault(_key(example), example), example) for example in train]
    found = [
        (f"{earlier.id} ({earlier.label})", f"{later.id} ({later.label})")
        for earlier, later in pairs
        if earlier.label != later.label
    ]
    return Overlap(len(found), tuple(found[:_SHOWN_IDS]))


def _key(example: Example) -> bytes:
    return key_of(normalise(example))
