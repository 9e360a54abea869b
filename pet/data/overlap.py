"""Texts that stand in two of the sets: they would make a measurement look better than it is."""

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pet.data.examples import Example

__all__ = ["Overlap", "Overlaps", "find_overlaps", "normalise", "remove_overlaps"]

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
    """The texts that two sets share, and the unlabeled rows that repeat an earlier unlabeled row."""

    train_unlabeled: Overlap
    train_test: Overlap
    test_unlabeled: Overlap
    unlabeled_duplicates: int


def find_overlaps(train: Sequence[Example], unlabeled: Sequence[Example], test: Sequence[Example]) -> Overlaps:
    """Compare three sets by `normalise`; nothing is removed."""
    in_train, in_test = _first_ids(train), _first_ids(test)
    return Overlaps(
        train_unlabeled=_compare(in_train, unlabeled),
        train_test=_compare(in_train, test),
        test_unlabeled=_compare(in_test, unlabeled),
        unlabeled_duplicates=len(unlabeled) - len(_first_ids(unlabeled)),
    )


def remove_overlaps(
    unlabeled: Sequence[Example], train: Sequence[Example], test: Sequence[Example]
) -> tuple[Example, ...]:
    """Return the unlabeled rows, in order, whose text stands neither in `train` nor in `test`."""
    known = _first_ids(train).keys() | _first_ids(test).keys()
    return tuple(example for example in unlabeled if _key(example) not in known)


def _key(example: Example) -> bytes:
    """Return a short stand-in for the normalised text, so that a large set costs little memory."""
    return hashlib.blake2b(normalise(example).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _first_ids(examples: Iterable[Example]) -> dict[bytes, str]:
    first: dict[bytes, str] = {}
    for example in examples:
        first.setdefault(_key(example), example.id)
    return first


def _compare(first: dict[bytes, str], second: Iterable[Example]) -> Overlap:
    pairs = [(first[key], example.id) for example in second if (key := _key(example)) in first]
    return Overlap(len(pairs), tuple(pairs[:_SHOWN_IDS]))
