"""Text to token ids, in pieces that are spliced later, and the layout of a tokenizer's special tokens.

Two decisions are made here. Text of rows and templates is always plain characters: `[MASK]` or `</s>` inside it never
becomes the special token (``split_special_tokens=True``). And a piece is tokenized as it would be inside a sentence:
`spaced` after a blank or at the start of a segment, glued to what stands before it otherwise. WordPiece does not care,
byte-level BPE writes the blank into the token, SentencePiece writes it in front of every string it is given.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tokenizers import Regex, pre_tokenizers

from pet.errors import ModelError
from pet.learners.models.token_files import FEWEST_TEXTS, TokenFiles, tokenizer_digest

ModelKind = Literal["masked", "causal", "seq2seq"]
"""How a model says a word: at a mask, after all that it has read, or from a decoder that fills a sentinel."""

SENTINEL = "<extra_id_0>"
"""What stands in a text for a decoder to fill (T5)."""

_ANCHOR = "("  # glued text is tokenized behind it; an opening bracket merges with nothing but other punctuation


def keep_specials_apart(tokenizer: Any) -> None:
    """Change a tokenizer so that no text can spell a special token.

    ``split_special_tokens=True`` alone does not see to it: the vocabulary of a SentencePiece model has ``</s>`` or
    ``[MASK]`` as a piece like any other, and its best split of such text is that piece. So the text is cut behind the
    first character of every such word; all other text is split as before.
    """
    tokens = sorted({token for token in tokenizer.all_special_tokens if len(token) > 1})
    spelled = tokenizer(tokens, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    if special.isdisjoint(token for ids in spelled for token in ids):
        return
    pattern = "|".join(f"{re.escape(token[0])}(?={re.escape(token[1:])})" for token in tokens)
    cut = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    backend = tokenizer.backend_tokenizer
    steps = [backend.pre_tokenizer, cut] if backend.pre_tokenizer else [cut]
    backend.pre_tokenizer = pre_tokenizers.Sequence(steps)


@dataclass(frozen=True)
class Layout:
    """The special tokens around one segment, or around and between two.

    Each part is a tuple of token ids; `segments` are the token types of (prefix, first, middle, second, suffix).
    """

    prefix: tuple[int, ...]
    middle: tuple[int, ...]
    suffix: tuple[int, ...]
    segments: tuple[int, int, int, int, int]

    @property
    def size(self) -> int:
        """The number of special tokens."""
        return len(self.prefix) + len(self.middle) + len(self.suffix)

    @classmethod
    def of(cls, tokenizer: Any, pair: bool, open_ends: bool = False) -> "Layout":
        """Read the layout off a tokenized letter (or pair of them); with `open_ends` special tokens may lack there.

        Raises `ModelError` if the special tokens do not surround the text, as in no known masked language
        model.
        """
        texts = ("a", "a") if pair else ("a",)
        encoding = tokenizer(*texts, return_special_tokens_mask=True, return_token_type_ids=True)
        ids, special, types = (encoding[name] for name in ("input_ids", "special_tokens_mask", "token_type_ids"))
        # The ids of each run of special or other tokens, and the type of its first.
        runs = [list(run) for _, run in groupby(zip(special, ids, types, strict=True), key=itemgetter(0))]
        if open_ends:
            nothing = [(1, -1, 0)]
            runs = [*([] if runs[0][0][0] else [nothing]), *runs, *([] if runs[-1][0][0] else [nothing])]
        if [run[0][0] for run in runs] != ([1, 0, 1, 0, 1] if pair else [1, 0, 1]):
            raise ModelError(
                f"The tokenizer of {tokenizer.name_or_path} puts its special tokens at {special}, expected them around "
                "each segment: choose another masked language model."
            )
        parts = [tuple(token for _, token, _ in run if token >= 0) for run in runs]
        kinds = [int(run[0][2]) for run in runs]
        if pair:
            return cls(parts[0], parts[2], parts[4], (kinds[0], kinds[1], kinds[2], kinds[3], kinds[4]))
        return cls(parts[0], (), parts[2], (kinds[0], kinds[1], kinds[1], kinds[1], kinds[2]))


class PieceTokenizer:
    """Tokenizes pieces of text, each text once, and keeps the ids, but for those of a `temporary_cache`.

    `kind` is that of the model which reads them.
    """

    def __init__(self, tokenizer: Any, kind: ModelKind = "masked") -> None:
        self.tokenizer, self.kind = tokenizer, kind
        self._known: dict[tuple[str, bool], np.ndarray] = {}
        self._layouts: dict[bool, Layout] = {}
        self._files: TokenFiles | None = None
        plain = self._tokenize(["x"])[0]
        # Byte-level BPE: " x" and "x" are different tokens, and a spaced piece needs its blank.
        self._needs_blank = self._tokenize([" x"])[0] != plain
        # SentencePiece: "x" alone carries a blank, so a glued piece must be cut out from behind an anchor.
        self._needs_anchor = self._tokenize([f"{_ANCHOR}x"])[0] != self._tokenize([_ANCHOR])[0] + plain

    def layout(self, pair: bool) -> Layout:
        """Return the layout of the special tokens around one segment or a pair of them."""
        if pair not in self._layouts:
            # A causal model has no second segment.
            two = pair and self.kind != "causal"
            self._layouts[pair] = Layout.of(self.tokenizer, two, self.kind != "masked")
        return self._layouts[pair]

    @property
    def slot_id(self) -> int | None:
        """The token where a word is to be said (None: the tokenizer has none); a causal model does not read it."""
        found: int | None = self.tokenizer.mask_token_id if self.kind == "masked" else self.tokenizer.pad_token_id
        sentinel: int | None = self.tokenizer.get_vocab().get(SENTINEL) if self.kind == "seq2seq" else None
        return sentinel if self.kind == "seq2seq" else found

    def slots(self, count: int) -> np.ndarray:
        """Return the tokens in the place of a word of `count` tokens, int32 [p]: one sentinel stands for any number."""
        return np.full(1 if self.kind == "seq2seq" else count, self.slot_id, np.int32)

    @property
    def line_break(self) -> np.ndarray:
        """The tokens between a text and the next for a causal model, which has no separator: int32 [t]."""
        return np.asarray(self._tokenize(["\n"])[0], np.int32)

    @contextmanager
    def temporary_cache(self) -> Iterator[None]:
        """Drop at the end the ids that were added meanwhile, so that memory does not grow with the rows of a pool."""
        kept = len(self._known)
        try:
            yield
        finally:
            while len(self._known) > kept:
                self._known.popitem()  # the latest

    def tokenize(self, pieces: Iterable[tuple[str, bool]]) -> None:
        """Tokenize all (text, spaced) pieces that are not known yet, in one call of the tokenizer."""
        new = [key for key in dict.fromkeys(map(self._key, pieces)) if key not in self._known]
        kept = self._files.find(new) if self._files and len(new) >= FEWEST_TEXTS else None
        if kept is not None:
            self._known.update(zip(new, kept, strict=True))
            return
        for spaced in (True, False):
            texts = [text for text, is_spaced in new if is_spaced == spaced]
            found = self._tokenize_spaced(texts) if spaced else self._tokenize_glued(texts)
            for text, ids in zip(texts, found, strict=True):
                self._known[text, spaced] = np.asarray(ids, dtype=np.int32)
        if self._files and len(new) >= FEWEST_TEXTS:
            self._files.keep(new, [self._known[key] for key in new])

    def keep_in(self, folder: Path) -> None:
        """Keep the ids of long lists of texts in files of a folder from now on, and look for them there first."""
        self._files = TokenFiles(folder, tokenizer_digest(self.tokenizer))

    def ids(self, text: str, spaced: bool = True) -> np.ndarray:
        """Return the int32 [t] ids of a piece as it stands inside a sentence.

        Blanks around the text are dropped: the template says where they are.
        """
        key = self._key((text, spaced))
        if key not in self._known:
            self.tokenize([key])
        return self._known[key]

    def _key(self, piece: tuple[str, bool]) -> tuple[str, bool]:
        text, spaced = piece
        # Where glued and spaced text have the same ids, one entry serves both.
        return text.strip(), spaced or not (self._needs_blank or self._needs_anchor)

    def _encoding(self, texts: list[str], **options: Any) -> Any:
        return self.tokenizer(texts, add_special_tokens=False, split_special_tokens=True, verbose=False, **options)

    def _tokenize(self, texts: list[str]) -> list[list[int]]:
        ids: list[list[int]] = self._encoding(texts)["input_ids"] if texts else []
        return ids

    def _tokenize_spaced(self, texts: list[str]) -> list[list[int]]:
        return self._tokenize([f" {text}" if text else "" for text in texts] if self._needs_blank else texts)

    def _tokenize_glued(self, texts: list[str]) -> list[list[int]]:
        if not self._needs_anchor or not texts:
            return self._tokenize(texts)
        encoding = self._encoding([_ANCHOR + text for text in texts], return_offsets_mapping=True)
        found = []
        for text, ids, offsets in zip(texts, encoding["input_ids"], encoding["offset_mapping"], strict=True):
            merged = any(start < 1 < end for start, end in offsets)
            kept = [token for token, (start, end) in zip(ids, offsets, strict=True) if start >= 1 and end > start]
            found.append(self._tokenize([text])[0] if merged else kept)
        return found
