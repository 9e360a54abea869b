"""The template language: segments, and how a template is read into them.

    {field}            the text of a field; the encoder shortens it when the input is too long
    {field:a,b}        with filters, from left to right (see `pet.prompts.filters`)
    {field:a,keep}     the same, and never shortened
    {mask}             the slot of the label word: exactly one
    ||                 starts the second segment: at most one, with something on either side
    {{ and }}          literal braces; a literal || cannot be written
    anything else      stands as it is

A template is data, never evaluated. Errors raised here lack their subject: `Pattern` puts its name in front.
"""

import re
from dataclasses import dataclass
from typing import ClassVar

from pet.errors import PromptError
from pet.prompts.filters import Filter

__all__ = ["RESERVED", "Break", "Field", "Literal", "Mask", "Segment", "read_segments"]

RESERVED = frozenset({"demos", "mask", "options", "soft", "task", "tune"})
"""Names that no field can have."""

_TOKEN = re.compile(r"\{\{|\}\}|\{[^{}]*\}|\|{2,}|[{}|]|[^{}|]+")
_FIELD_NAME = re.compile(r"[^\W\d][\w.-]*")


@dataclass(frozen=True)
class Literal:
    """Words of the template itself, white space at the borders included."""

    text: str

    @property
    def template(self) -> str:
        """The text with its braces doubled."""
        return self.text.replace("{", "{{").replace("}", "}}")


@dataclass(frozen=True)
class Field:
    """The text of one field, filtered from left to right; `keep` says that it is never shortened."""

    name: str
    filters: tuple[Filter, ...] = ()
    keep: bool = False

    @property
    def template(self) -> str:
        """The field in braces, `keep` last."""
        options = [item.template for item in self.filters] + ["keep"] * self.keep
        return "{" + ":".join([self.name, *([",".join(options)] if options else [])]) + "}"

    def read(self, text: str) -> str:
        """Return the text with every filter applied.

        >>> Field("text", (Filter("strip"), Filter("head", 2))).read(" one two three")
        'one two'
        """
        for item in self.filters:
            text = item.apply(text)
        return text


@dataclass(frozen=True)
class Mask:
    """The slot of the label word."""

    template: ClassVar[str] = "{mask}"


@dataclass(frozen=True)
class Break:
    """The border between the first and the second segment."""

    template: ClassVar[str] = "||"


Segment = Literal | Field | Mask | Break


def read_segments(template: str) -> tuple[Segment, ...]:
    """Cut a template into segments; neighboring characters are one literal.

    >>> read_segments("{text:keep} ({mask})")
    (Field(name='text', filters=(), keep=True), Literal(text=' ('), Mask(), Literal(text=')'))

    Raises
    ------
    PromptError
        If braces do not pair, or a name, filter or run of bars is not of the language.
    """
    segments: list[Segment] = []
    for token in _TOKEN.findall(template):
        item = _read_token(token)
        if isinstance(item, Literal) and segments and isinstance(segments[-1], Literal):
            item = Literal(segments.pop().text + item.text)  # type: ignore[union-attr]
        segments.append(item)
    return tuple(segments)


def _read_token(token: str) -> Segment:
    if token in ("{{", "}}"):
        return Literal(token[0])
    if token == "||":
        return Break()
    if token.startswith("||"):
        raise PromptError(f"has {token!r}, where '||' starts the second segment: write exactly two bars.")
    if token in ("{", "}"):
        fault = "opens a brace never closed" if token == "{" else "closes a brace never opened"
        raise PromptError(f"{fault}: pair it, or write {token * 2!r} for a literal {token!r}.")
    return _read_slot(token[1:-1]) if token[0] == "{" else Literal(token)


def _read_slot(inside: str) -> Mask | Field:
    """Read what stands between two braces."""
    name, colon, options = inside.partition(":")
    name = name.strip()
    if name in ("soft", "tune"):
        raise PromptError(f'uses {{{inside}}}, but soft prompts are not supported by preset "pet": write plain words.')
    if name == "mask" and not colon:
        return Mask()
    if name == "mask":
        raise PromptError(f"uses {{{inside}}}, but the mask takes no filter: write {{mask}}.")
    if name in RESERVED:
        raise PromptError(f"uses the reserved name {name!r} as a field: choose another name in [task.fields].")
    if not _FIELD_NAME.fullmatch(name):
        raise PromptError(
            f"uses {{{inside}}}, which is no field name (a letter or _, then letters, digits, _, -, .): "
            "name a field, or write {{ and }} for literal braces."
        )
    return _read_field(name, options) if colon else Field(name)


def _read_field(name: str, options: str) -> Field:
    words = [word.strip() for word in options.split(",")]
    if not all(words):
        raise PromptError(f"uses {{{name}:{options}}} with an empty filter: name it, or remove the colon or comma.")
    if words.count("keep") > 1:
        raise PromptError(f"uses {{{name}:{options}}}, which says 'keep' twice: say it once.")
    filters = tuple(Filter.parse(word) for word in words if word != "keep")
    return Field(name, filters, keep="keep" in words)
