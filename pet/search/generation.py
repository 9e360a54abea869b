"""Patterns that a T5 writes: it fills the gaps between the text and the label's word (LM-BFF, 2012.15723, section 5.2).

    of one text     TEXT <0> WORD <1>      and      <0> WORD <1> TEXT
    of two texts    TEXT <0> WORD <1> TEXT

<0> and <1> are its sentinels. One pattern is written for all labeled rows: the beam is over the sum of their
log-probabilities.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from transformers import AutoModelForSeq2SeqLM
from transformers.modeling_outputs import BaseModelOutput

from pet.data.examples import Example
from pet.errors import ModelError, PromptError
from pet.learners.models.backbone import load_weights
from pet.learners.models.sources import ModelSource, find_model, stock_tokenizer
from pet.prompts.patterns import Pattern
from pet.prompts.templates import Field, Literal, Mask, Segment, written
from pet.prompts.verbalizers import Verbalizer

ROWS_PER_LABEL = 8
"""The patterns are written for so many rows of each label, fewer where there are many labels."""

MOST_ROWS, MOST_TOKENS, TEXT_TOKENS, BEAMS = 32, 20, 128, 20
"""Rows in all, tokens of what is written, tokens of a text that is read, and hypotheses that are kept at each step."""

_Hypothesis = tuple[tuple[int, ...], float]
_SENTINELS = tuple(f"<extra_id_{number}>" for number in range(3))


@dataclass(frozen=True)
class Generated:
    """The patterns that were written, most probable first, and how many lost the mask or could be no pattern."""

    patterns: tuple[Pattern, ...]
    dropped: int


@dataclass(frozen=True)
class Writer:
    """A T5 with its tokenizer; `sentinels` are the ids of the first three."""

    model: Any
    tokenizer: Any
    sentinels: tuple[int, ...]

    @classmethod
    def load(cls, folder: str) -> "Writer":
        """Read a T5.

        Raises `ModelError` if it is none, or has no sentinels.
        """
        source: ModelSource = find_model(folder)
        if "t5" not in str(source.config.model_type):
            raise ModelError(
                f"{folder} is a {source.config.model_type!r} model, expected a T5, which fills gaps: give its folder."
            )
        tokenizer = stock_tokenizer(source.folder)
        vocabulary = tokenizer.get_vocab()
        if missing := [name for name in _SENTINELS if name not in vocabulary]:
            raise ModelError(
                f"The tokenizer of {folder} has no {missing[0]}: patterns are written by a T5 with sentinels, as "
                "it was pretrained."
            )
        model, _ = load_weights(AutoModelForSeq2SeqLM, source)
        return cls(model, tokenizer, tuple(vocabulary[name] for name in _SENTINELS))

    def patterns(
        self, fields: Sequence[str], words: Verbalizer, rows: Sequence[Example], beams: int = BEAMS
    ) -> Generated:
        """Return the patterns that are written for labeled rows of one text or two, each once.

        Raises `PromptError` if a row has more texts.
        """
        if len(fields) > 2:
            raise PromptError(
                f"A T5 writes patterns of one text or two, and a row has {len(fields)}: leave --model out."
            )
        few = list(_some(rows, words))
        layouts = ("between",) if len(fields) == 2 else ("behind", "before")
        written_ = [(layout, ids) for layout in layouts for ids in self._filled(layout, fields, words, few, beams)]
        found: dict[str, Pattern] = {}
        dropped = 0
        for layout, ids in written_:
            try:
                template = self.template(layout, fields, ids)
                found.setdefault(template, Pattern(f"generated/{len(found) + 1}", template, "Written by a T5."))
            except PromptError:
                dropped += 1
        return Generated(tuple(found.values()), dropped)

    def _filled(
        self, layout: str, fields: Sequence[str], words: Verbalizer, rows: Sequence[Example], beams: int
    ) -> list[list[int]]:
        inputs = [
            self._input(layout, [row.fields[name] for name in fields], words.words[str(row.label)][0]) for row in rows
        ]
        return beam_search(self.model, inputs, beams, self.sentinels[2])

    def _input(self, layout: str, texts: Sequence[str], word: str) -> list[int]:
        # No text of a row can spell a sentinel.
        own = [
            self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
            for text in (*texts, word)
        ]
        *read, label = own
        read = [ids[:TEXT_TOKENS] for ids in read]
        gap = [self.sentinels[0], *label, self.sentinels[1]]
        parts = {"behind": [read[0], gap], "before": [gap, read[0]], "between": [read[0], gap, read[-1]]}[layout]
        return [*chain(*parts), self.tokenizer.eos_token_id]

    def template(self, layout: str, fields: Sequence[str], ids: Sequence[int]) -> str:
        """Return what was written, token ids, as a template of a layout: "behind", "before" or "between" the text.

        Raises `PromptError` if there is no place for the label's word, or the words cannot stand in a template.
        """
        first, second = self.sentinels[:2]
        if ids.count(first) != 1 or ids.count(second) != 1 or ids.index(second) < ids.index(first):
            raise PromptError("has no {mask}: the sentinels are not written in their order.")
        front, back = ids[ids.index(first) + 1 : ids.index(second)], ids[ids.index(second) + 1 :]
        before, after = (self.tokenizer.decode(part, skip_special_tokens=True).strip() for part in (front, back))
        gap: list[Segment] = [*_spaced(before), Mask(), *_spaced(after)]
        named: list[Segment] = [Field(name) for name in fields]
        blank = Literal(" ")
        parts = {
            "behind": [named[0], blank, *gap],
            "before": [*gap, blank, named[0]],
            "between": [named[0], blank, *gap, blank, named[-1]],
        }[layout]
        template = " ".join(written(parts).split())
        if "||" in template:
            raise PromptError("has '||' in its words.")
        return Pattern("generated", template).template


def _spaced(text: str) -> list[Segment]:
    """Return words with the blanks that they need beside a mask: none before a sign that ends something."""
    if not text:
        return []
    return [Literal(f"{'' if text[0] in '.,:;?!)' else ' '}{text} ")]


def _some(rows: Sequence[Example], words: Verbalizer) -> Iterator[Example]:
    count = max(1, min(ROWS_PER_LABEL, MOST_ROWS // len(words.labels)))
    for label in words.labels:
        yield from [row for row in rows if row.label == label][:count]


@torch.inference_mode()
def beam_search(model: Any, inputs: Sequence[Sequence[int]], beams: int, end: int) -> list[list[int]]:
    """Return what a model writes for all inputs together, the most probable first, without the start and the end.

    A hypothesis is worth the sum over inputs of its log-probability; it ends with the token `end` or the model's own
    end. `beams` are kept at each step, and as many are returned at most.
    """
    size, pad = max(map(len, inputs)), int(model.config.pad_token_id or 0)
    ids = torch.tensor([[*row, *[pad] * (size - len(row))] for row in inputs])
    attention = torch.tensor([[1] * len(row) + [0] * (size - len(row)) for row in inputs])
    states = model.get_encoder()(input_ids=ids, attention_mask=attention).last_hidden_state
    start, ends = int(model.config.decoder_start_token_id or 0), {end, int(model.config.eos_token_id or 1)}
    alive: list[_Hypothesis] = [((start,), 0.0)]
    done: list[_Hypothesis] = []
    for _ in range(MOST_TOKENS):
        following: list[_Hypothesis] = []
        for tokens, value in alive:
            decoder = torch.tensor([tokens]).expand(len(inputs), -1)
            encoded = BaseModelOutput(last_hidden_state=states)
            logits = model(encoder_outputs=encoded, attention_mask=attention, decoder_input_ids=decoder).logits[:, -1]
            total = logits.float().log_softmax(-1).sum(0)
            best = total.topk(min(beams, len(total)))
            pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
            following += [((*tokens, token), value + more) for token, more in pairs]
        following.sort(key=lambda one: -one[1])
        done += [one for one in following[:beams] if one[0][-1] in ends]
        alive = [one for one in following[:beams] if one[0][-1] not in ends]
        if not alive:
            break
    done += alive
    done.sort(key=lambda one: -one[1])
    return [[token for token in tokens[1:] if token not in ends] for tokens, _ in done[:beams]]
