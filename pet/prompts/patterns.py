"""Patterns: named templates, rendered for each row into parts.

    template   "[ Category: {mask} ] {text}"
    segments   Literal("[ Category: "), Mask(), Literal(" ] "), Field("text")         what the template says
    parts      "[ Category:" spaced, mask spaced, "]" spaced, "..." spaced            what an encoder splices

The text of a row is inert: nothing that it says is read as a template or as a special token.
"""

import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pet.data.examples import Example
from pet.errors import PromptError, near_matches
from pet.prompts.templates import (
    Break,
    Field,
    Instruction,
    Literal,
    Mask,
    Segment,
    Soft,
    Tune,
    read_segments,
    with_shared,
    written,
)
from pet.settings.variants import MOST_VIRTUAL_TOKENS


@dataclass(frozen=True)
class Part:
    """One stretch of a rendered row, as an encoder needs it.

    text      the characters to tokenize: never empty for a literal or tuned words, "" for the mask, and for a
              field exactly the filtered text of the row (it may be empty, or begin with white space of its own);
              for virtual tokens the words that they start from, which stand nowhere in the row
    kind      "literal", "field", "mask", "tune" (words with vectors of their own) or "soft" (free vectors)
    shorten   True when the encoder may cut this part: a field without `keep`, and nothing else
    segment   0, or 1 after the `||`
    spaced    True when white space stands before the part in the template, or the part starts a segment;
              False when it is glued to the part before it. Byte-level and sentence-piece tokenizers have
              different tokens for a word with and without a space before it, so this decides token ids: in
              `({mask}), {text}` the mask is glued to "(", ")," is glued to the mask, and the text is spaced.
    key       of "tune" and "soft" the name of their vectors: the id, or one that no other part has
    size      of "soft" the number of vectors; tuned words have one for each of their pieces
    init      how the vectors start: "words" for tuned words, for "soft" as in the template ("": left open)

    All but the text of the fields is the same for every row of a pattern.
    """

    text: str
    kind: typing.Literal["literal", "field", "mask", "soft", "tune"]
    shorten: bool
    segment: typing.Literal[0, 1]
    spaced: bool
    key: str = ""
    size: int = 0
    init: str = ""

    def shown(self, mask: str) -> str:
        """Return the part as a person reads it: `mask` for the mask, `[soft:3]` for virtual tokens, else the text."""
        return {"mask": mask, "soft": f"[soft:{self.size}]"}.get(self.kind, self.text)


@dataclass(frozen=True)
class Pattern:
    """A named template: exactly one mask, at most one break, at least one field.

    `pet.prompts.templates` describes the language; `segments` are what the template says.

    >>> pattern = Pattern("news/category", "[ Category: {mask} ] {text}")
    >>> pattern.fields
    ('text',)
    >>> pattern.describe(Example("1", {"text": "Rates rise."}))
    '[ Category: [MASK] ] Rates rise.'
    """

    name: str
    template: str
    description: str = field(default="", compare=False)
    language: str = field(default="", compare=False)
    segments: tuple[Segment, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the template, and write it anew in one way; raise `PromptError` where it breaks a rule."""
        try:
            segments = read_segments(self.template)
            check_segments(segments)
        except PromptError as error:
            raise PromptError(f"Pattern {self.name!r} {error}") from None
        object.__setattr__(self, "segments", segments)
        object.__setattr__(self, "template", written(segments))

    @property
    def fields(self) -> tuple[str, ...]:
        """The distinct names of the fields, in the order of their first use."""
        return tuple(dict.fromkeys(item.name for item in self.segments if isinstance(item, Field)))

    @property
    def virtual_parts(self) -> tuple[Part, ...]:
        """The parts of kind "tune" and "soft", in order: the same for every row."""
        return tuple(part for part, _ in self._layout if part.key)

    def told(self, texts: Mapping[str, str]) -> "Pattern":
        """Return the pattern with the text of each instruction, by name, in its place.

        Raises `PromptError` if one of them has no text.
        """
        if not any(isinstance(item, Instruction) for item in self.segments):
            return self
        segments = [
            Literal(self._text(item, texts)) if isinstance(item, Instruction) else item for item in self.segments
        ]
        return Pattern(self.name, written(segments), self.description, self.language)

    def _text(self, item: Instruction, texts: Mapping[str, str]) -> str:
        text = " ".join(texts.get(item.name, "").replace("||", "|").split())
        if not text:
            raise PromptError(
                f"Pattern {self.name!r} has {item.template}, and the task says nothing of it: set [task] description, "
                'such as "Which department is the message for?", or take another pattern.'
            )
        return text

    def render(self, example: Example) -> tuple[Part, ...]:
        """Return the parts of one row, in order, one of them the mask.

        White space at the borders of a literal is not in its text: in front it is the literal's own `spaced`,
        at the end that of the next part. A literal of white space alone is no part; white space inside one
        stays. Tuned words are treated like a literal. A field has its part even where its text is empty, so that
        the parts of all rows correspond.

        Raises `PromptError` if the row lacks a field of the pattern.
        """
        return tuple(part if source is None else self._fill(part, source, example) for part, source in self._layout)

    def describe(self, example: Example, mask: str = "[MASK]") -> str:
        """Return what `render` does as a person reads it; `mask` stands for the slot, `||` for the break.

        Virtual tokens are shown as `[soft:3]`, tuned words as themselves.
        """
        sides = ["", ""]
        for part in self.render(example):
            space = " " if part.spaced and sides[part.segment] else ""
            sides[part.segment] += space + part.shown(mask)
        return " || ".join(sides) if Break() in self.segments else sides[0]

    @cached_property
    def _layout(self) -> tuple[tuple[Part, Field | None], ...]:
        """The parts without the texts of a row, each field's part beside the field."""
        layout: list[tuple[Part, Field | None]] = []
        segment: typing.Literal[0, 1] = 0
        spaced = True  # the start of a segment counts as white space
        for place, item in enumerate(with_shared(self.segments)):
            if isinstance(item, Break):
                segment, spaced = 1, True
                continue
            text = item.text if isinstance(item, Literal | Tune) else ""
            text = item.template if isinstance(item, Instruction) else text
            spaced = spaced or text[:1].isspace()
            if isinstance(item, Literal) and not text.strip():
                continue
            source = item if isinstance(item, Field) else None
            layout.append((_part(item, f"#{place}", segment, spaced), source))
            spaced = text[-1:].isspace()
        return tuple(layout)

    def _fill(self, part: Part, source: Field, example: Example) -> Part:
        if source.name not in example.fields:
            raise PromptError(
                f"Pattern {self.name!r} needs the field {source.name!r}, which row {example.id!r} lacks: "
                f"map a column to it in [task.fields].{near_matches(source.name, example.fields)}"
            )
        text = source.read(example.fields[source.name])
        return Part(text, part.kind, part.shorten, part.segment, part.spaced)


def _part(item: Segment, unique: str, segment: typing.Literal[0, 1], spaced: bool) -> Part:
    """Return the part of a segment without the text of a row; `unique` is the key where there is no id."""
    match item:
        case Literal(text):
            return Part(text.strip(), "literal", False, segment, spaced)
        case Tune(text):
            return Part(text.strip(), "tune", False, segment, spaced, unique, init="words")
        case Soft(size, name, init, words):
            return Part(words, "soft", False, segment, spaced, name or unique, size or 0, init)
        case Instruction():
            return Part(item.template, "literal", False, segment, spaced)
        case Field():
            return Part("", "field", not item.keep, segment, spaced)
        case _:
            return Part("", "mask", False, segment, spaced)


def check_segments(segments: Sequence[Segment]) -> None:
    """Raise a PromptError that lacks its subject when a rule about the segments as a whole is broken."""
    masks = sum(isinstance(item, Mask) for item in segments)
    breaks = [place for place, item in enumerate(segments) if isinstance(item, Break)]
    if _blank(segments):
        raise PromptError("is empty: write a template such as '{text} It was {mask}.'.")
    if masks != 1:
        found = f"{masks} times {{mask}}" if masks else "no {mask}"
        raise PromptError(f"has {found}: write it exactly once, where the label word belongs.")
    if not any(isinstance(item, Field) for item in segments):
        raise PromptError("has no field, so every row would look the same: add one such as {text}.")
    if len(breaks) > 1:
        raise PromptError(f"has {len(breaks)} times '||': write it at most once, to start the second segment.")
    if breaks and (_blank(segments[: breaks[0]]) or _blank(segments[breaks[0] + 1 :])):
        raise PromptError("has nothing on one side of '||': write something there, or remove the '||'.")
    virtual = sum(item.size or 0 for item in with_shared(segments) if isinstance(item, Soft))
    if virtual > MOST_VIRTUAL_TOKENS:
        raise PromptError(f"has {virtual} virtual tokens, expected {MOST_VIRTUAL_TOKENS} at most: write fewer.")


def _blank(segments: Sequence[Segment]) -> bool:
    return all(isinstance(item, Literal) and not item.text.strip() for item in segments)
