"""The template language: segments, and how a template is read into them.

    {field}            the text of a field; the encoder shortens it when the input is too long
    {field:a,b}        with filters, from left to right (see `pet.prompts.filters`)
    {field:a,keep}     the same, and never shortened
    {choices}          the candidates of the row, "or" between them; {choices:quoted} in quotes
    {mask}             the slot of the label word, or of a candidate: exactly one
    {task}             what is asked of a row: [task] description
    {options}          the words of the labels, with the descriptions of those that have one
    {tune:It was}      words whose vectors are trained at this place only; any characters but braces
    {soft:3}           three virtual tokens: free vectors that are trained
    {soft:2 id=a}      the same, and {soft:id=a} repeats these very vectors
    {soft:2 init=...}  how they start: uniform, normal, vocab, label_words, or as "words in quotes"
    ||                 starts the second segment: at most one, with something on either side
    {{ and }}          literal braces; a literal || cannot be written
    anything else      stands as it is

A template is data, never evaluated. Errors raised here lack their subject: `Pattern` puts its name in front.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from pet.errors import PromptError, near_matches
from pet.prompts.filters import Filter
from pet.settings.task import CHOICES
from pet.settings.variants import MOST_VIRTUAL_TOKENS

RESERVED = frozenset({"demos", "mask", "options", "soft", "task", "tune"})
"""Names that no field can have."""

INITS = ("label_words", "normal", "uniform", "vocab")
"""How virtual tokens may start, besides as words in quotes."""

_TOKEN = re.compile(r"\{\{|\}\}|\{[^{}]*\}|\|{2,}|[{}|]|[^{}|]+")
_FIELD_NAME = re.compile(r"[^\W\d][\w.-]*")
_OPTION = re.compile(r'([\w-]+)\s*=\s*("[^"]*"|[^\s"]+)(?!\S)|(\S+)')
_ID = re.compile(r"\w[\w-]*")


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
        """Return the text with every filter applied; of candidates to each, and they are joined by "or".

        >>> Field("text", (Filter("strip"), Filter("head", 2))).read(" one two three")
        'one two'
        >>> Field("choices", (Filter("quoted"),)).read('["a cat", "a dog"]')
        '"a cat" or "a dog"'
        """
        if self.name == CHOICES:
            return " or ".join(map(self._filtered, json.loads(text)))
        return self._filtered(text)

    def _filtered(self, text: str) -> str:
        for item in self.filters:
            text = item.apply(text)
        return text


@dataclass(frozen=True)
class Mask:
    """The slot of the label word."""

    template: ClassVar[str] = "{mask}"


@dataclass(frozen=True)
class Soft:
    """Virtual tokens: `size` free vectors (None: as many as the `id` has elsewhere), shared by all slots of one `id`.

    `init` is one of `INITS`, "words" (then `words` says which), or "" where the template leaves it open.
    """

    size: int | None
    id: str = ""
    init: str = ""
    words: str = ""

    @property
    def template(self) -> str:
        """The size, then the options."""
        options = [str(self.size)] * (self.size is not None)
        options += [f"id={self.id}"] * bool(self.id)
        options += [f'init="{self.words}"' if self.init == "words" else f"init={self.init}"] * bool(self.init)
        return "{soft:" + " ".join(options) + "}"


@dataclass(frozen=True)
class Tune:
    """Words whose vectors are trained at this place, white space at the borders included as in a `Literal`."""

    text: str

    @property
    def template(self) -> str:
        """The text in braces."""
        return "{tune:" + self.text + "}"


@dataclass(frozen=True)
class Break:
    """The border between the first and the second segment."""

    template: ClassVar[str] = "||"


@dataclass(frozen=True)
class Instruction:
    """What is the same in all rows of a task: its description (`{task}`), or the words of its labels (`{options}`)."""

    name: str

    @property
    def template(self) -> str:
        """The name in braces."""
        return "{" + self.name + "}"


INSTRUCTIONS = ("task", "options")
"""The names of what a template says of the task."""

Segment = Literal | Field | Mask | Soft | Tune | Break | Instruction


def read_segments(template: str) -> tuple[Segment, ...]:
    """Cut a template into segments; neighboring characters are one literal.

    >>> read_segments("{text:keep} ({mask})")
    (Field(name='text', filters=(), keep=True), Literal(text=' ('), Mask(), Literal(text=')'))

    Raises `PromptError` if braces do not pair, or a name, filter or run of bars is not of the language.
    """
    segments: list[Segment] = []
    for item in map(_read_token, _TOKEN.findall(template)):
        if isinstance(item, Literal) and segments and isinstance(segments[-1], Literal):
            item = Literal(segments.pop().text + item.text)  # type: ignore[union-attr]
        segments.append(item)
    return tuple(segments)


def written(segments: Iterable[Segment]) -> str:
    """Return the template that says these segments."""
    return "".join(item.template for item in segments)


def with_shared(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """Return the segments with size and start of every shared id written out at each of its slots.

    >>> with_shared(read_segments("{soft:id=a}{mask}{soft:2 id=a init=vocab}"))[0]
    Soft(size=2, id='a', init='vocab', words='')

    Raises `PromptError` if slots of one id differ in size or start, or none says the size.
    """
    shared: dict[str, Soft] = {}
    for item in segments:
        if isinstance(item, Soft) and item.id:
            shared[item.id] = _joined(shared.get(item.id, item), item)
    for name, item in shared.items():
        if item.size is None:
            raise PromptError(f"never says the size of {item.template}: write it once, such as {{soft:2 id={name}}}.")
    return tuple(shared[item.id] if isinstance(item, Soft) and item.id else item for item in segments)


def _joined(first: Soft, other: Soft) -> Soft:
    if None not in (first.size, other.size) and first.size != other.size:
        raise PromptError(f"gives id {first.id!r} {first.size} and {other.size} virtual tokens: write its size once.")
    if first.init and other.init and (first.init, first.words) != (other.init, other.words):
        raise PromptError(f"starts id {first.id!r} in two ways, {first.template} and {other.template}: write one.")
    start = first if first.init else other
    return replace(first, size=other.size if first.size is None else first.size, init=start.init, words=start.words)


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


def _read_slot(inside: str) -> Mask | Field | Soft | Tune | Instruction:
    """Read what stands between two braces."""
    name, colon, options = inside.partition(":")
    name = name.strip()
    if name == "soft":
        return _read_soft(inside, options)
    if name == "tune":
        if not options.strip():
            raise PromptError(f"uses {{{inside}}} without words to tune: write them, such as {{tune:It was}}.")
        return Tune(options)
    if name == "mask" and not colon:
        return Mask()
    if name == "mask":
        raise PromptError(f"uses {{{inside}}}, but the mask takes no filter: write {{mask}}.")
    if name in INSTRUCTIONS and not colon:
        return Instruction(name)
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


def _read_soft(inside: str, options: str) -> Soft:
    """Read what stands behind `soft:`, as far as one slot alone can be judged."""
    size, given = None, {"id": "", "init": ""}
    for place, (name, value, stray) in enumerate(_OPTION.findall(options)):
        if stray and not place:
            size = _read_size(inside, stray)
        elif stray:
            raise PromptError(
                f"uses {{{inside}}}, where {stray!r} is no option: write {{soft:3 id=a init=vocab}}, "
                'with words to start from in quotes, such as init="it was".'
            )
        elif name not in given:
            raise PromptError(f"uses {{{inside}}} with the unknown option {name!r}.{near_matches(name, given)}")
        elif given[name]:
            raise PromptError(f"uses {{{inside}}}, which says {name!r} twice: say it once.")
        else:
            given[name] = value
    if size is None and not given["id"]:
        raise PromptError(f"uses {{{inside}}} without a number of virtual tokens: write {{soft:3}}.")
    if given["id"] and not _ID.fullmatch(given["id"]):
        raise PromptError(f"uses {{{inside}}}, whose id is not of letters, digits, '_' and '-': write id=a.")
    return Soft(size, given["id"], *_read_init(inside, given["init"]))


def _read_size(inside: str, word: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", word) or not 1 <= int(word) <= MOST_VIRTUAL_TOKENS:
        raise PromptError(
            f"uses {{{inside}}}, whose size {word!r} is not a whole number from 1 to {MOST_VIRTUAL_TOKENS}: "
            "write {soft:3} for three virtual tokens, or leave the slot out for none."
        )
    return int(word)


def _read_init(inside: str, value: str) -> tuple[str, str]:
    """Return the start and its words."""
    if not value.startswith('"'):
        if value and value not in INITS:
            hint = near_matches(value, INITS)
            raise PromptError(f'uses {{{inside}}} with the unknown start {value!r} (words stand in "quotes").{hint}')
        return value, ""
    words = value[1:-1].strip()
    if not words:
        raise PromptError(f'uses {{{inside}}}, which starts from no words: write them, such as init="it was about".')
    return "words", words
