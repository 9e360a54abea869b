"""What is labeled, from which files, with which patterns and which model."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from pet.settings.base import PositiveInt, Section, Texts, expecting

Decoder = Literal["parallel", "left-to-right", "most-confident-first"]
"""In which order the tokens of a label word are asked for: all in one pass, or one after the other."""

CHOICES = "choices"
"""The field that holds the candidates of a row, as the text of a JSON list."""

_check_multi_token = expecting(
    f"true, false, or one of {', '.join(get_args(Decoder))}",
    lambda value: isinstance(value, bool) or value in get_args(Decoder),
)
MultiToken = Annotated[bool | Decoder, BeforeValidator(_check_multi_token)]
"""Whether words may have several tokens, and how these are asked for; true: in parallel."""

Truncation = Literal["tail", "head", "head+tail", "windows"]
WindowScores = Literal["mean", "surest"]

ModelName = Annotated[str, AfterValidator(expecting("a bundled name, a folder or a hub id", str.strip))]

# It names the folder of a run, and must not lead out of runs/.
_check_name = expecting(
    "letters, digits, spaces, '.', '_' and '-', neither '.' nor a space first", re.compile(r"[\w-][\w .-]*").fullmatch
)


def number_as_word(value: float) -> str:
    """Return a label or an id that a file holds as a number, as text.

    >>> number_as_word(1), number_as_word(1.0), number_as_word(True)
    ('1', '1', 'true')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u2060\ufeff\u00ad"))
"""Signs that say nothing: blanks and hyphens without a width. Joiners are letters' business in Persian and Indic."""


def label_word(value: object) -> str:
    r"""Return a label as text, the same whichever file, table or person it comes from.

    Numbers and truths are as JSON has them, also where a table has written them as text; letters are composed (NFC).

    >>> label_word(1.0), label_word("1.0"), label_word(True), label_word("True"), label_word(" cafe\u0301\u200b")
    ('1', '1', 'true', 'true', 'café')
    """
    if isinstance(value, int | float):
        return number_as_word(value)
    text = unicodedata.normalize("NFC", str(value).translate(_INVISIBLE)).strip()
    if text.lower() in ("true", "false"):
        return text.lower()
    return str(int(text.partition(".")[0])) if _WHOLE.fullmatch(text) else text


_WHOLE = re.compile(r"-?[0-9]{1,15}\.0+")
Label = Annotated[
    str, BeforeValidator(lambda value: label_word(value) if isinstance(value, str | int | float) else value)
]


def keeps_ascii(encoding: str) -> bool:
    """Say whether Python knows an encoding, and it has ASCII as it is."""
    try:
        return _MARKS.encode(encoding) == _MARKS.encode("ascii")
    except LookupError:
        return False


_MARKS = '\r\n\t,;"{}az09'
_check_encoding = expecting(
    'an encoding that Python knows and that has ASCII as it is, such as "cp1252" or "utf-8"', keeps_ascii
)
_check_description = expecting(
    'a text that says what the label is about, such as "invoices, charges, refunds"',
    lambda text: any(map(str.isalpha, text)),
)


class TaskSettings(Section):
    """`[task]`: what is labeled. Empty `labels` means those of the train file, else of the verbalizer.

    `descriptions` say what labels are about; those without one are told by their names and words.
    """

    name: Annotated[str, AfterValidator(_check_name)] = "task"
    """The name of the task, and of the folder of a run from Python that is given none."""
    labels: tuple[Label, ...] = ()
    """The labels, in the order of all probabilities; empty: those of the train file, else of the verbalizer."""
    fields: dict[str, str] = Field(default_factory=dict)
    """Which column holds which text: `text`, or `text_a` and `text_b`, or what the patterns call them."""
    choices: str | None = None
    """The column of the candidates of each row, a list; one is chosen, and the label is its index."""
    descriptions: dict[Label, Annotated[str, AfterValidator(_check_description)]] = Field(default_factory=dict)
    """What a label is about, in a few words; voters learn from it beside the rows."""
    description: str = ""
    """What is asked of a row, in a sentence: what `{task}` is in a template."""
    label_column: str = "label"
    """The column of the labels."""
    id_column: str = "id"
    """The column of the ids; rows without one are numbered."""

    @model_validator(mode="before")
    @classmethod
    def _choices_are_a_field(cls, value: Any) -> Any:
        """Add the field of the candidates; the text beside it is that of the usual column unless one is named."""
        if not (isinstance(value, dict) and isinstance(column := value.get("choices"), str)):
            return value
        fields = value.get("fields") or {"text": "text"}
        return value | {"fields": fields if CHOICES in fields else {**fields, CHOICES: column}}

    @model_validator(mode="after")
    def _choices_stand_alone(self) -> Self:
        if self.fields.get(CHOICES) != self.choices:
            raise ValueError(
                f'the field {CHOICES} holds the candidates of a row: name their column in [task] choices = "column"'
            )
        if self.choices and self.labels and self.labels != tuple(map(str, range(len(self.labels)))):
            raise ValueError(
                f"labels = {list(self.labels)} beside choices: a label is the index of a candidate, from 0 on; leave "
                "labels out"
            )
        if self.choices and self.descriptions:
            raise ValueError("descriptions are those of labels, and with choices there are none: leave them out")
        return self

    @field_validator("fields")
    @classmethod
    def _fields_are_texts(cls, value: dict[str, str]) -> dict[str, str]:
        if name := next((name for name in ("id", "label") if name in value), None):
            raise ValueError(f'expected texts; the column of the {name}s is [task] {name}_column = "{value[name]}"')
        return value

    @field_validator("labels")
    @classmethod
    def _at_least_two(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(value) == 1 or len(set(value)) != len(value):
            raise ValueError("expected at least two different labels")
        return value


class DataSettings(Section):
    """`[data]`: the files, or hub data sets such as ``"owner/name:split"``.

    `rows` stands for both `train` and `unlabeled`: of its rows those without a label are the unlabeled ones. Files that
    are text have the `encoding`.
    """

    SOURCES: ClassVar = ("train", "unlabeled", "rows", "test")

    train: str | None = None
    """The labeled rows."""
    unlabeled: str | None = None
    """The pool: the rows to label."""
    rows: str | None = None
    """One file of both: of its rows those without a label are the unlabeled ones."""
    test: str | None = None
    """Labeled rows that are only ever measured on."""
    encoding: Annotated[str, AfterValidator(_check_encoding)] = "utf-8"
    """The encoding of the files, where they are text."""
    examples_per_label: PositiveInt | None = None
    """So many rows of each label are drawn from a larger train file."""
    max_unlabeled: PositiveInt | None = None
    """The most rows of the pool, drawn at random."""
    max_test: PositiveInt | None = None
    """The most test rows, drawn at random."""
    reviewed: Texts = ()
    """Files of labels that people have given to rows of the run, such as its `review.csv`; they count as gold rows."""
    on_bad_row: Literal["error", "skip"] = "error"
    """A row without text or with an unknown label is an error, or is left out and told of."""

    def sources(self) -> tuple[str, ...]:
        """Return the files and data sets that are named, and the files of what people have labeled."""
        return (*(source for name in self.SOURCES if (source := getattr(self, name))), *self.reviewed)

    @property
    def labeled(self) -> str | None:
        """Where the labeled rows are, if there is such a source."""
        return self.rows or self.train

    @model_validator(mode="after")
    def _rows_stand_alone(self) -> Self:
        if self.rows and (others := [name for name in ("train", "unlabeled") if getattr(self, name)]):
            raise ValueError(
                f"rows is one source of labeled and unlabeled rows, and {' and '.join(others)} stands beside it: "
                "name either rows, or train and unlabeled"
            )
        return self

    @field_validator(*SOURCES, mode="before")
    @classmethod
    def _empty_is_unset(cls, value: Any) -> Any:
        return None if isinstance(value, str) and not value.strip() else value


class PromptSettings(Section):
    """`[prompts]`: which patterns, and the words of the labels (default: the label names).

    The words are those of a `verbalizer`, or stand in `words`.
    """

    patterns: Texts = ()
    """Names, globs such as "topic/*", or templates themselves."""
    verbalizer: str | None = None
    """The table of label words; unset: the label names are the words."""
    words: dict[Label, Texts] = Field(default_factory=dict)
    """The words of each label, written down here in the place of a verbalizer."""
    registry: Texts = ()
    """Folders with `patterns/` or `verbalizers/` of your own."""
    multi_token: MultiToken = False
    """Whether a label word may be longer than one token of the model, and how its tokens are asked for: in one pass
    ("parallel", or true: their mean log-probability), or one after the other, with those before in their places (their
    sum): "most-confident-first", the way of 2009.07118, or "left-to-right".
    """
    demonstrations: Annotated[int, Field(ge=0)] = 0
    """So many labeled rows of each label stand behind a row, with their label words; 0: none."""
    demonstration_choice: Literal["nearest", "drawn"] = "nearest"
    """Which labeled rows: those nearest to the row by the encoder's vectors, or some drawn at random."""
    demonstration_draws: PositiveInt = 1
    """So many sets of them, one after the other; the scores of a row are the mean over these."""

    @model_validator(mode="after")
    def _words_stand_once(self) -> Self:
        if self.words and self.verbalizer:
            raise ValueError(f"words stand beside the verbalizer {self.verbalizer}: name either")
        return self

    @property
    def shown(self) -> "DemonstrationSettings":
        """How rows are demonstrated."""
        return DemonstrationSettings(
            count=self.demonstrations, choice=self.demonstration_choice, draws=self.demonstration_draws
        )


@dataclass(frozen=True)
class DemonstrationSettings:
    """So many labeled rows of each label stand behind a row (0: none), nearest or drawn, in so many draws.

    For `in_context` learning as many as fit, the same ones behind all rows, in another order in each draw.
    """

    count: int = 0
    choice: Literal["nearest", "drawn"] = "nearest"
    draws: int = 1
    in_context: bool = False


class EncoderSettings(Section):
    """`[encoder]`: the encoder whose vectors the embedding voter, the refinement and the classifier start from.

    A bundled name, a folder, or a hub id; "none" for no embedding voter.
    """

    name: ModelName = "e5-small"
    """A bundled name, a folder of sentence-transformers, a hub id, or "none"."""
    revision: str | None = None
    """The revision of a hub id."""

    @property
    def wanted(self) -> bool:
        """Whether there is one."""
        return self.name != "none"


class ModelSettings(Section):
    """`[model]`: the language model: a bundled name, a folder, or a hub id.

    A masked one reads any pattern; a causal one (GPT-2, Llama) those whose mask is last; an encoder-decoder with
    sentinels (T5) fills the mask's place.
    """

    name: ModelName = "pet-mini"
    """A bundled name, a folder, or a hub id."""
    revision: str | None = None
    """The revision of a hub id."""
    max_length: Annotated[int, Field(ge=8)] = 256
    """The most tokens of a row, pattern included."""
    truncation: Truncation = "tail"
    """What of a longer text is cut: its tail, its head, its middle (head and tail stay), or nothing: it is read in
    windows."""
    windows: WindowScores = "mean"
    """What a text read in windows is given: the mean of their log-probabilities, or those of the surest of them."""
    word_scores: Literal["sum", "mean"] = "sum"
    """How a causal model or an encoder-decoder scores a word of several tokens: the sum of their log-probabilities, or
    their mean."""
