"""What a classifier keeps of its pool, to say later whether new rows are like it; made when it is, in its folder.

    FOLDER/pool/sketch.safetensors   facts of up to 500 rows of the pool, and vectors of up to 256 others

A vector is what the last layer reads, so that it comes with the same forward pass as the label. How far a row is from
the fifth nearest of the others tells new kinds of rows (k-th nearest neighbours: 2204.06507). Measured with the pool of
quickstart: of rows of trec6, agnews and mr 83, 80 and 53 % are beyond the 99th percentile of the pool's own; with the
nearest 70, 72 and 29 %, and with the cosine in the place of the distance 23, 40 and 6 %.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from pet.data.examples import Example
from pet.errors import ModelError
from pet.labeling.drift import RowFacts, Sketch
from pet.learners.models.inference import Advance
from pet.learners.models.readability import token_facts
from pet.learners.models.sources import first_line
from pet.learners.students.base import Classifier
from pet.learners.students.classifier import TextClassifier
from pet.learners.students.linear import LogisticClassifier

SKETCH = Path("pool") / "sketch.safetensors"
_FORMAT, _VERSION = "pet-sketch", 1

FEWEST = 100
"""Fewer rows say too little of a pool: their hundredth part is none."""

MOST, REFERENCES = 500, 256
"""So many rows are measured, and so many others are what distances are measured to."""

NEIGHBOUR = 5
"""A distance is that to the fifth nearest."""


@dataclass(frozen=True)
class References:
    """Vectors of rows of a pool, float32 [r, h]."""

    vectors: torch.Tensor

    def distances(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return the distance of vectors [b, h] to the fifth nearest of these, float32 [b, 1]."""
        found = torch.cdist(vectors, self.vectors.to(vectors.device))
        return found.kthvalue(NEIGHBOUR, dim=1, keepdim=True).values


@dataclass(frozen=True)
class Scorer:
    """A classifier, and with `references` how far rows are from the pool: both of one forward pass."""

    classifier: Classifier
    references: References | None = None

    @classmethod
    def of(cls, classifier: Classifier, sketch: Sketch | None) -> Self:
        """Measure distances where the sketch has references, and the classifier vectors."""
        if sketch is None or sketch.vectors is None or not isinstance(classifier, TextClassifier):
            return cls(classifier)
        return cls(classifier, References(torch.from_numpy(sketch.vectors)))

    @property
    def columns(self) -> int:
        """How many numbers a row gets: a probability for each label, and perhaps a distance."""
        return len(self.classifier.form.labels) + (self.references is not None)

    def scores(self, examples: Sequence[Example], advance: Advance = lambda _: None) -> np.ndarray:
        """Return float32 [n, c] in the order of `examples`: probabilities, and behind them the distances."""
        if self.references is None or not isinstance(self.classifier, TextClassifier):
            return self.classifier.probabilities(examples, advance)
        return self.classifier.measured(examples, self.references.distances, 1, advance)

    def facts(self, examples: Sequence[Example], advance: Advance = lambda _: None) -> RowFacts:
        """Measure rows, at least one."""
        scores, k = self.scores(examples, advance), len(self.classifier.form.labels)
        lengths, unknown = token_facts(self.classifier.tokenizer, examples)
        return RowFacts(scores[:, :k], lengths, unknown, scores[:, k] if self.references else None)


def sketched(
    student: Classifier, learned: Sequence[Example], held: Sequence[Example], rng: np.random.Generator
) -> Sketch | None:
    """Measure rows of a pool that a classifier has learned, or better of those `held` out; None if it cannot tell."""
    if len(learned) + len(held) < 2 * FEWEST or student.form.chooses:  # whose rows have no vector of their own
        return None
    classifier = student.text if isinstance(student, LogisticClassifier) else student
    drawn = [learned[int(i)] for i in rng.permutation(len(learned))[: REFERENCES + MOST]]
    others, apart = drawn[: min(REFERENCES, len(drawn) // 2)], len(held) >= FEWEST
    measured = held[:MOST] if apart else drawn[len(others) :]
    found = _vectors(classifier, others)
    if found is None:
        return Sketch(Scorer(classifier).facts(measured), apart)
    return Sketch(Scorer(classifier, References(torch.from_numpy(found))).facts(measured), apart, found)


def _vectors(classifier: Classifier, examples: Sequence[Example]) -> np.ndarray | None:
    """Return what the last layer reads of rows, float32 [r, h]; None where it reads no vector a row."""
    if not isinstance(classifier, TextClassifier) or classifier.vector_size is None:
        return None
    found = classifier.measured(examples, lambda vectors: vectors, classifier.vector_size)
    return np.ascontiguousarray(found[:, len(classifier.form.labels) :])


def write_sketch(folder: Path, sketch: Sketch) -> None:
    """Write a sketch into the folder of its classifier."""
    facts = sketch.facts
    tensors = {"probs": facts.probs, "lengths": facts.lengths, "unknown": facts.unknown}
    more = {"distances": facts.distances, "vectors": sketch.vectors}
    tensors |= {name: values for name, values in more.items() if values is not None}
    (folder / SKETCH).parent.mkdir(exist_ok=True)
    whole = {name: np.ascontiguousarray(values, np.float32) for name, values in tensors.items()}
    # In one key: the library writes several in any order, and the same run has to give the same bytes.
    save_file(whole, folder / SKETCH, {_FORMAT: json.dumps({"version": _VERSION, "apart": sketch.apart})})


def read_sketch(folder: Path, labels: int) -> Sketch | None:
    """Return the sketch in the folder of a classifier of so many labels; None where there is none.

    Raises `ModelError` if it cannot be read, is of a newer version, or belongs to another classifier.
    """
    path = folder / SKETCH
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            about, found = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        told = json.loads(about[_FORMAT])
        if told["version"] != _VERSION:
            raise ModelError(f"{path} is of a newer version of pet: take that version.")
        facts = RowFacts(found["probs"], found["lengths"], found["unknown"], found.get("distances"))
        sketch = Sketch(facts, bool(told["apart"]), found.get("vectors"))
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read ({first_line(error)}): make the classifier again.") from None
    if facts.probs.shape[1] != labels:
        raise ModelError(f"{path} is of {facts.probs.shape[1]} labels, expected {labels}: copy the model folder whole.")
    return sketch
