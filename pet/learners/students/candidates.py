"""Teaching a classifier: the sizes that come into question are trained, cheap ones first, and the best is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path

import numpy as np

from pet.data.examples import Example
from pet.learners.models.inference import Advance
from pet.learners.models.machine import Machine
from pet.learners.models.schedules import scheduled_student
from pet.learners.models.sources import ModelSource
from pet.learners.models.training import TrainLog
from pet.learners.students.base import ClassifierForm, HeldOut, Learning, Student
from pet.learners.students.calibrating import calibrated
from pet.learners.students.choice import Candidate, Choice
from pet.learners.students.classifier import TextClassifier
from pet.learners.students.linear import LogisticClassifier, takes_mean
from pet.learners.students.sizes import new_encoder
from pet.learners.students.static import StaticClassifier
from pet.learners.students.vectors import RowVectors
from pet.seeding import derive_seed, rng_for
from pet.settings.training import DistillSettings, StudentSize

FAITHFUL = 0.97
"""Where a cheap student agrees with the teacher on such a share of rows, no encoder is fine-tuned."""


ERRORS = 2.0
"""A share on few rows may be off by so many standard errors."""


def close_enough(agreement: float, ceiling: float, held_out: int) -> bool:
    """Say whether a student that agrees so far, on so many rows, is not worth training for minutes.

    It is where it agrees, for all that these rows can tell, on as many as the teacher itself expects to have right:
    from there on it is the teacher's mistakes that more training would teach. On trec6 (79 % of 90 %), tuning from
    there gave 8 points on 500 rows that nothing was chosen by; on banking77 (64 % of 50 %) the logistic one is 7 points
    ahead of its teacher as it is.
    """
    return agreement + ERRORS * _error(agreement, held_out) >= min(FAITHFUL, ceiling)


def _error(share: float, rows: int) -> float:
    """Return the standard error of a share of so many rows."""
    return sqrt(share * (1 - share) / rows)


@dataclass(frozen=True)
class SoftRows:
    """What a student is taught: rows, their soft labels float32 [n, k], and rows held out of it, if any."""

    examples: Sequence[Example]
    probs: np.ndarray
    held_out: HeldOut | None


@dataclass(frozen=True)
class Making:
    """What students are made with: models to start from, what they read and say, where they compute, and the seed.

    `vectors` are those of the rows by each of the models, where they are known.
    """

    sources: tuple[ModelSource, ...]
    form: ClassifierForm
    machine: Machine
    seed: int
    vectors: Mapping[ModelSource, RowVectors] = field(default_factory=dict)


@dataclass
class Trials:
    """Trains students one after the other, and says which of them is best."""

    rows: SoftRows
    settings: DistillSettings
    making: Making
    advance: Advance = lambda _: None
    scored: int = field(default=0, init=False)
    losses: tuple[float, ...] = field(default=(), init=False)
    _tried: list[tuple[Candidate, Student]] = field(default_factory=list, init=False)

    def run(self) -> tuple[Student, Choice]:
        """Train what the settings ask for; return the best, calibrated, and what was found.

        Raises `ModelError` if a model cannot be what is asked for.
        """
        self._train(self.settings.size)
        held, tried = self.rows.held_out, tuple(one for one, _ in self._tried)
        chosen = best_of(tried, len(held.probs) if held else 0)
        student = next(student for one, student in self._tried if one == chosen)
        if held is None:
            return student, Choice(tried, chosen)
        return calibrated(student, held, self._on_held_out), Choice(tried, chosen, len(held.probs), held.ceiling)

    def _train(self, size: StudentSize) -> None:
        held = self.rows.held_out
        if size == "static":
            self._static()
        elif size == "logistic":
            self._logistic(size, self._with_mean or self.making.sources)
        elif size == "auto" and held:
            start = self._logistic("logistic", self._with_mean)
            if start is None:
                self._static()
            if not self._is_close:
                self._fine_tuned("same", start or self._plain("same"))
        else:
            size = "small" if size == "small" else "same"
            start = None if self.making.form.chooses else self._logistic(size, self._with_mean)
            self._tried.clear()
            self._fine_tuned(size, start or self._plain(size))

    @property
    def _is_close(self) -> bool:
        """Whether one of those tried is close enough to the teacher."""
        held, tried = self.rows.held_out, [one.fidelity for one, _ in self._tried if one.fidelity]
        return held is not None and any(close_enough(one.agreement, held.ceiling, len(held.probs)) for one in tried)

    @property
    def _with_mean(self) -> list[ModelSource]:
        """The models to put a linear layer on: all whose vectors are known, else the first, which reads all rows."""
        able = [source for source in self.making.sources if takes_mean(source.config)]
        return [source for source in able if source in self.making.vectors] or able[:1]

    def _plain(self, size: StudentSize) -> TextClassifier:
        """Return an encoder with a head that knows nothing yet."""
        made = self.making
        return new_encoder(size, made.sources[0], made.form, made.machine, derive_seed(made.seed, "distilling", "head"))

    def _logistic(self, size: StudentSize, sources: Sequence[ModelSource]) -> TextClassifier | None:
        """Train the last layer on encoders; return the best, which may be tuned from there.

        Without rows held out, which would say which is best, that is the first.
        """
        made, found = self.making, []
        for source in sources if self.rows.held_out else sources[:1]:
            # Half of the layers make other vectors.
            known = None if size == "small" else made.vectors.get(source)
            student = LogisticClassifier.on(new_encoder(size, source, made.form, made.machine, seed=0), known)
            log = self._fit(student, self.settings, "logistic")
            found.append((self._take("logistic", source, student, log).rank, student.text))
        return max(found, key=lambda one: one[0])[1] if found else None

    def _static(self) -> None:
        source = self.making.sources[0]
        student = StaticClassifier.from_source(source, self.making.form)
        settings = self._schedule("static", source)
        self._take("static", source, student, self._fit(student, settings, "static"))

    def _fine_tuned(self, size: StudentSize, student: TextClassifier) -> None:
        """Train all of a classifier; where one that was tried on it before is better, it is that one again."""
        source, model, held = student.backbone.source, student.backbone.model, self.rows.held_out
        before = {name: value.clone() for name, value in model.state_dict().items()} if self._tried else {}
        tuned = self._take(size, source, student, self._fit(student, self._schedule(size, source), "train"))
        if before and held and best_of([one for one, _ in self._tried], len(held.probs)) != tuned:
            model.load_state_dict(before)

    def _schedule(self, size: StudentSize, source: ModelSource) -> DistillSettings:
        settings, rows = self.settings.model_copy(update={"size": size}), self.rows
        load = (rows.probs.shape[1], len(rows.examples)) if rows.held_out else None
        return scheduled_student(settings, source.parameters, load)

    def _fit(self, student: Student, settings: DistillSettings, name: str) -> TrainLog:
        rows, rng = self.rows, rng_for(self.making.seed, "distilling", name)
        learning = Learning(settings.temperature, rows.held_out)
        log = student.fit(rows.examples, rows.probs, settings, rng, learning, self.advance)
        self.scored += log.scored
        self.losses += log.losses
        return log

    def _on_held_out(self, student: Student) -> np.ndarray:
        """Return what a student says of the rows held out, float32 [r, k]."""
        held = self.rows.held_out
        assert held is not None  # it is asked only where there are such rows
        if isinstance(student, LogisticClassifier) and student.vectors:
            return student.probabilities_of(student.vectors.kept.take(student.vectors.held))
        self.scored += len(held.examples)
        return student.probabilities(held.examples)

    def _take(self, size: str, source: ModelSource, student: Student, log: TrainLog) -> Candidate:
        """Note a trained student, and measure it where there are rows to do so."""
        held, fidelity = self.rows.held_out, None
        if held:
            fidelity = held.fidelity(self._on_held_out(student))
        kept = log.updates if log.kept is None else log.kept
        candidate = Candidate(
            size, Path(source.name).name if Path(source.name).is_dir() else source.name, kept, fidelity
        )
        self._tried.append((candidate, student))
        return candidate


def best_of(candidates: Sequence[Candidate], held_out: int) -> Candidate:
    """Return the candidate of the highest rank, measured on so many rows.

    Of several that are all trained, or all not, it is the best; one that was trained for long, and follows the
    teacher's mistakes more easily, has to be ahead of one that was not by more than a standard error.
    """
    fitted = [one for one in candidates if one.size == "logistic"]
    best, *simpler = (max(some, key=lambda one: one.rank) for some in (candidates, fitted) if some)
    if best.fidelity is None or best in simpler:
        return best
    share = best.fidelity.agreement
    behind = [one for one in simpler if share - one.rank[0] <= _error(share, held_out)]
    return behind[0] if behind else best
