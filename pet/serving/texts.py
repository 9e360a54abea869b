"""The endpoint `/predict` as text-embeddings-inference has it: its bodies, and rows of them.

Its rule, that two texts in a list are one pair, is kept for classifiers that read pairs; where one text is read, a list
of texts is always that many rows. Source: https://huggingface.github.io/text-embeddings-inference/
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, RootModel
from tokenizers import Tokenizer

from pet.data.examples import Example
from pet.errors import DataError, shown
from pet.learners.models.plain_rows import segments
from pet.learners.students.base import Classifier
from pet.serving.refusals import Refused
from pet.using.inputs import rows_of

MOST_ROWS = 1024
"""Of a request."""

MOST_CHARACTERS = 100_000
"""Of a row: more is no text to be labeled, and takes long to be cut."""

_DIGITS = 6


class PredictRequest(BaseModel):
    """Texts to label."""

    model_config = ConfigDict(strict=True)

    inputs: str | list[str] | list[list[str]] = Field(
        description="A text, a list of texts, or a list of lists with a text for each field; a pair is a list of two."
    )
    truncate: bool | None = Field(
        None, description="True (default) to cut texts that are too long, false to refuse them."
    )
    raw_scores: bool = Field(False, description="True for logarithms of the probabilities, false for these.")


class Said(BaseModel):
    """A label and its probability."""

    score: float
    label: str


class PredictResponse(RootModel[list[Said] | list[list[Said]]]):
    """All labels of a text, the most probable first; for several texts a list of such."""


@dataclass(frozen=True)
class Asked:
    """The rows of a request; `batch` says whether the answer is a list of answers."""

    rows: Sequence[Example]
    batch: bool


def asked_rows(inputs: str | list[str] | list[list[str]], columns: Mapping[str, str]) -> Asked:
    """Return the rows of `inputs` for a classifier that reads these columns by field.

    Raises `Refused` with 413 if they are too many or too long, 422 if they are none, or lack a field.
    """
    pairs = len(columns) > 1
    one = isinstance(inputs, str) or (pairs and bool(inputs) and isinstance(inputs[0], str))
    given: list[Any] = [inputs] if one else list(inputs)
    if not given:
        raise Refused(422, "'inputs' is an empty list, expected at least one text.")
    if len(given) > MOST_ROWS:
        raise Refused(
            413, f"{len(given):,} rows in one request, expected at most {MOST_ROWS:,}: send several requests."
        )
    rows = [(row,) if isinstance(row, str) else tuple(row) for row in given]
    for number, row in enumerate(rows):
        if len(row) != len(columns):
            names = ", ".join(map(shown, columns))
            found = "one text" if len(row) == 1 else f"{len(row)} texts"
            raise Refused(422, f"Row {number} has {found}, expected {len(columns)}: this classifier reads {names}.")
        if (size := sum(map(len, row))) > MOST_CHARACTERS:
            raise Refused(413, f"Row {number} has {size:,} characters, expected at most {MOST_CHARACTERS:,}: cut it.")
    try:
        return Asked(rows_of(rows, columns), not one)
    except DataError as error:
        raise Refused(422, str(error)) from None


def check_lengths(classifier: Classifier, rows: Sequence[Example]) -> None:
    """Refuse rows that would be cut: a `Refused` with 413 names the first."""
    form = classifier.form
    for number, row in enumerate(rows):
        texts, tokenizer = segments(row, tuple(form.columns)), classifier.tokenizer
        if isinstance(tokenizer, Tokenizer):
            cut = bool(tokenizer.encode(*([texts] if isinstance(texts, str) else texts)).overflowing)
        else:
            pair = (texts,) if isinstance(texts, str) else texts
            cut = len(tokenizer(*pair, split_special_tokens=True, verbose=False)["input_ids"]) > form.max_length
        if cut:
            raise Refused(
                413, f'Row {number} has more than {form.max_length} tokens: cut it, or leave out "truncate": false.'
            )


def said_of(probs: np.ndarray, labels: Sequence[str], *, raw: bool) -> list[list[dict[str, Any]]]:
    """Return what is said of rows, by their probabilities float32 [n, k]: labels and scores, the largest first.

    A `raw` score is the logarithm of a probability: a logit, but for what all labels of a row have in common.
    """
    scores = np.log(np.maximum(probs, np.finfo(np.float32).tiny)) if raw else probs
    order = np.argsort(-probs, axis=1, kind="stable").tolist()
    shown = scores.astype(np.float64).round(_DIGITS).tolist()
    return [[{"score": row[k], "label": labels[k]} for k in columns] for row, columns in zip(shown, order, strict=True)]
