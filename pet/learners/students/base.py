"""What every classifier reads, says and can do, whatever it is made of; and what a student can do beside it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from pet.data.examples import Example
from pet.errors import ModelError, shown
from pet.labeling.acceptance import AcceptanceCurve
from pet.learners.models.inference import Advance
from pet.learners.models.training import TrainLog
from pet.settings.task import CHOICES, Truncation, WindowScores, label_word
from pet.settings.training import OptimizerSettings


@dataclass(frozen=True)
class ClassifierForm:
    """What a classifier reads and says: its labels, the column behind each field, and its longest input.

    `label_column` and `id_column` are where its task's files have labels and ids; `acceptance` says what share of rows
    it can be trusted with (None where that was not measured). `truncation` says what of a longer text is cut, and
    `windows` how the scores of one that is read in several are joined.
    """

    labels: tuple[str, ...]
    columns: Mapping[str, str]
    max_length: int
    label_column: str = "label"
    id_column: str = "id"
    acceptance: AcceptanceCurve | None = None
    truncation: Truncation = "tail"
    windows: WindowScores = "mean"

    def stored(self) -> dict[str, object]:
        """Return all but the labels as plain values; the columns as pairs, for a stock config sorts the keys of a map.

        The order of the fields says which text is the first segment.
        """
        stored = {**asdict(self), "columns": [list(pair) for pair in self.columns.items()]}
        curve = {"acceptance": self.acceptance.rows()} if self.acceptance else {}
        more = curve | ({"candidates": len(self.labels)} if self.chooses else {})
        return {name: value for name, value in stored.items() if name not in ("labels", "acceptance")} | more

    @property
    def chooses(self) -> bool:
        """Whether it chooses among the candidates of each row."""
        return CHOICES in self.columns


class Classifier(Protocol):
    """Something that labels rows."""

    @property
    def form(self) -> ClassifierForm:
        """What it reads and says."""

    @property
    def tokenizer(self) -> Any:
        """What splits its texts: a tokenizer of transformers, or of the library `tokenizers`."""

    def probabilities(self, examples: Sequence[Example], advance: Advance = ...) -> np.ndarray:
        """Return label probabilities, float32 [n, k], in the order of `examples`."""


@dataclass(frozen=True)
class Fidelity:
    """How far a student says what its teacher does, on rows that it did not learn from.

    `agreement` is the share of rows with the same label; `divergence` the mean KL(teacher || student), in nats.
    """

    agreement: float
    divergence: float

    @property
    def rank(self) -> tuple[float, float]:
        """What students are compared by: agreement, and where it is equal the smaller divergence."""
        return self.agreement, -self.divergence


@dataclass(frozen=True)
class HeldOut:
    """Rows of the pool that a student does not learn from, and their soft labels, float32 [r, k]."""

    examples: Sequence[Example]
    probs: np.ndarray

    def fidelity(self, said: np.ndarray) -> Fidelity:
        """Compare probabilities of a student on these rows, [r, k], with the soft labels."""
        hard, wanted = said.argmax(axis=1), np.asarray(self.probs, np.float64)
        logs = np.log(np.clip(wanted, 1e-10, None)) - np.log(np.clip(said, 1e-10, None))
        return Fidelity(
            agreement=float((hard == wanted.argmax(axis=1)).mean()),
            divergence=float((wanted * logs).sum(axis=1).mean()),
        )

    @property
    def ceiling(self) -> float:
        """What share of these rows the teacher is right on, were its probabilities right."""
        return float(np.asarray(self.probs, np.float64).max(axis=1).mean())


@dataclass(frozen=True)
class Learning:
    """How a student learns its rows: at a temperature, and watched on rows that are held out, if any are.

    Every row counts alike: weights by the teacher's confidence made logistic students agree with it on 0 to 2 points
    fewer rows held out of three sets, and on 2 more of a fourth.
    """

    temperature: float = 1.0
    held_out: HeldOut | None = None


PLAIN = Learning()
"""No row is held out; one-hot rows are plain cross-entropy."""


class Student(Classifier, Protocol):
    """A classifier that learns from soft labels, and is kept in a folder."""

    def fit(
        self,
        examples: Sequence[Example],
        targets: np.ndarray,
        settings: OptimizerSettings,
        rng: np.random.Generator,
        learning: Learning = ...,
        advance: Advance = ...,
    ) -> TrainLog:
        """Train on target probabilities [n, k]; one-hot rows at temperature 1 are plain cross-entropy.

        Where rows are held out, `settings.steps` is the most: it ends once it agrees with the teacher on them, or no
        longer comes nearer, and keeps the weights that were best.
        """

    def rescale(self, scale: float, offsets: np.ndarray) -> None:
        """Let the last layer say `scale` * logits + `offsets` [k] from now on."""

    def accepting(self, curve: AcceptanceCurve) -> Self:
        """Return this student with a curve in its form."""

    def save(self, folder: Path) -> None:
        """Write what `load_student` reads."""


def read_form(folder: Path) -> ClassifierForm:
    """Return what a classifier in a folder reads and says, whatever its kind; a ModelError says that it is not ours."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        labels = tuple(label_word(name) for _, name in sorted((int(i), name) for i, name in config["id2label"].items()))
        curve = config["pet"].get("acceptance")
        stored = {
            **config["pet"],
            "columns": dict(config["pet"]["columns"]),
            "acceptance": curve and AcceptanceCurve.from_rows(curve),
        }
        count = stored.pop("candidates", 0)  # where candidates are chosen among, the model has a single output
        _check_age(folder, stored)
        return ClassifierForm(tuple(map(str, range(count))) or labels, **stored)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ModelError(
            f"{folder} is no classifier written by pet (no config.json with its labels and columns): give a run "
            "directory, or its model folder."
        ) from None


def _check_age(folder: Path, stored: Mapping[str, object]) -> None:
    """Refuse a classifier that says of itself what is not known here."""
    if unknown := sorted(stored.keys() - {one.name for one in fields(ClassifierForm)}):
        raise ModelError(
            f"{folder} was written by a newer version of pet (its config.json has {shown(unknown[0])}, which is not "
            "known here): upgrade pet, `pip install --upgrade pet-labeling`."
        )
