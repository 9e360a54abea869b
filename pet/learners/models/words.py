"""Words of labels as token ids: checked against the tokenizer, in the form they take at the mask of a pattern."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from pet.data.examples import made_up
from pet.errors import PromptError
from pet.learners.models.tokens import PieceTokenizer
from pet.prompts.pvp import PVP
from pet.prompts.verbalizers import Verbalizer
from pet.settings.task import Decoder, MultiToken


@dataclass(frozen=True)
class LabelWords:
    """Token ids of the words of each label.

    `ids` int64 [k, w, p], -1 where a label has fewer words or a word fewer pieces; `decoder` says in which order the
    tokens of a word of several are asked for. Where they are `per_row`, the candidates of each row are the words, and
    `ids` says nothing. Words that a model generates are scored by the mean of their tokens where they are `averaged`,
    else by the sum.
    """

    labels: tuple[str, ...]
    ids: np.ndarray
    decoder: Decoder = "parallel"
    per_row: bool = False
    averaged: bool = False

    @property
    def slots(self) -> int:
        """The number of mask tokens, p: the pieces of the longest word."""
        return int(self.ids.shape[2])

    @property
    def is_decoded(self) -> bool:
        """Whether the tokens of a word are asked for one after the other."""
        return self.slots > 1 and self.decoder != "parallel"

    @property
    def first(self) -> list[np.ndarray]:
        """The first word of each label: its tokens, int32 [p]."""
        return [word[word >= 0].astype(np.int32) for word in self.ids[:, 0]]

    def drawn(self, column: int, rng: np.random.Generator) -> np.ndarray:
        """Draw one of a label's words, each as likely: its tokens, int64 [p]."""
        spellings = self.ids[column][self.ids[column, :, 0] >= 0]
        word: np.ndarray = spellings[rng.integers(len(spellings))]
        return word[word >= 0]


@dataclass(frozen=True)
class WordReport:
    """How the tokenizer splits one word of one label, and what is wrong with it (empty: nothing)."""

    label: str
    word: str
    pieces: tuple[str, ...]
    ids: tuple[int, ...]
    problem: str
    is_long: bool
    """Whether several tokens are the problem."""


def word_reports(pvp: PVP, pieces: PieceTokenizer, multi_token: MultiToken = False) -> list[WordReport]:
    """Say for each label word how it is split and whether it can be used.

    A word is tokenized as it stands at the mask: with the blank before it, unless the mask is glued to a character.
    Candidates of rows are no label words.
    """
    if pvp.verbalizer.is_of_choices:
        return []
    blank = made_up("", pvp.pattern.fields, "x")
    spaced = next(part.spaced for part in pvp.pattern.render(blank) if part.kind == "mask")
    owners: dict[tuple[int, ...], str] = {}
    reports = []
    for label, words in pvp.verbalizer.words.items():
        for word in words:
            ids = tuple(int(token) for token in pieces.ids(word, spaced))
            split = tuple(pieces.tokenizer.convert_ids_to_tokens(list(ids)))
            owner = owners.setdefault(ids, label)
            problem, is_long = _problem(ids, split, pieces.tokenizer.unk_token_id, multi_token)
            if not problem and owner != label:
                problem = f"the same for this tokenizer as a word of label {owner!r}"
            reports.append(WordReport(label, word, split, ids, problem, is_long))
    return reports


def _problem(ids: Sequence[int], split: Sequence[str], unknown: int | None, several: MultiToken) -> tuple[str, bool]:
    """Return what is wrong with a word (empty: nothing), and whether that is its several tokens."""
    if not ids or (unknown is not None and unknown in ids):
        return "unknown to this tokenizer", False
    if len(ids) > 1 and not several:
        return f"{len(ids)} tokens for this tokenizer ({' '.join(split)})", True
    return "", False


def misspelt(label: str, labels: Iterable[str]) -> str:
    """Return ``" Is 'account' meant?"`` where another label differs by a letter, else nothing.

    A beginning such as "not" or "ir" makes a label of its own, and so does a number.

    >>> misspelt("acount", ["account"]), misspelt("irrelevant", ["relevant"]), misspelt("grade 1", ["grade 2"])
    (" Is 'account' meant?", '', '')
    """
    others = [other for other in labels if not (other.endswith(label) or label.endswith(other))]
    letters = label.translate(_DIGITS)
    near = get_close_matches(label, [other for other in others if other.translate(_DIGITS) != letters], 1, 0.88)
    return f" Is {near[0]!r} meant?" if near else ""


_DIGITS = str.maketrans("", "", "0123456789")


def _complaint(verbalizer: Verbalizer, report: WordReport) -> str:
    """Say what is wrong with a word; without a verbalizer (`Verbalizer.from_labels`) the label names are the words."""
    if verbalizer.name == "labels":
        return (
            f"The label name {report.word!r} cannot stand at the mask itself, it is {report.problem}: name a word that "
            "is one token for each label with [prompts] verbalizer"
        )
    return (
        f"Verbalizer {verbalizer.name!r}: the word {report.word!r} of label {report.label!r} is {report.problem}: "
        "choose a common word that is one token"
    )


def label_words(pvp: PVP, pieces: PieceTokenizer, multi_token: MultiToken = False) -> LabelWords:
    """Return the token ids of all label words of a PVP.

    Candidates of a row are its own words, of any number of tokens: most confident first unless a decoder is named.

    Raises `PromptError` if a word is unknown, is shared by two labels, or has several tokens where `multi_token` is
    off.
    """
    decoder: Decoder = multi_token if isinstance(multi_token, str) else "parallel"
    if pvp.verbalizer.is_of_choices:
        labels = pvp.verbalizer.labels
        decoder = decoder if isinstance(multi_token, str) else "most-confident-first"
        return LabelWords(labels, np.zeros((len(labels), 1, 1), np.int64), decoder, per_row=True)
    reports = word_reports(pvp, pieces, multi_token)
    for report in reports:
        if report.problem:
            way_out = ", or set prompts.multi_token = true" if report.is_long else ""
            hint = misspelt(report.label, pvp.verbalizer.labels)
            raise PromptError(f"{_complaint(pvp.verbalizer, report)} (`pet check` shows the splits){way_out}.{hint}")
    labels = tuple(pvp.verbalizer.words)
    width = max(len(words) for words in pvp.verbalizer.words.values())
    ids = np.full((len(labels), width, max(len(report.ids) for report in reports)), -1, np.int64)
    for k, label in enumerate(labels):
        # "Good" and "good" are one word for a tokenizer that lower-cases, and count once.
        for w, word in enumerate(dict.fromkeys(report.ids for report in reports if report.label == label)):
            ids[k, w, : len(word)] = word
    return LabelWords(labels, ids, decoder)
