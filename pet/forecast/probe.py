"""A few seconds of the real work, to know how long all of it takes: rows scored, voters and classifiers trained a bit.

Nothing of it stays: the model has its pretrained weights afterwards, and every job seeds its own random numbers.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch

from pet.data.dataset import TaskData
from pet.data.examples import Example
from pet.errors import RunError
from pet.forecast.footprint import peak_memory
from pet.forecast.forecast import FLOAT, GAPS, TRAINING_COPIES, Rates, forecast
from pet.forecast.workload import BASELINE, NO_PATTERN, STUDENT, Workload, variant_of
from pet.learners.models.embeddings import mean_pooled
from pet.learners.models.machine import Machine
from pet.learners.models.plain_rows import encode_rows
from pet.learners.models.sources import ModelSource
from pet.learners.students.base import PLAIN, ClassifierForm
from pet.learners.students.sizes import new_student, student_sources
from pet.learners.voters.pvp import PvpVoter
from pet.learners.voters.shared import SharedModel, drawn_demonstrations
from pet.learners.voters.spec import VoterSpec, distinct_pvps
from pet.prompts.pvp import PVP
from pet.seeding import rng_for
from pet.settings.training import DistillSettings, OptimizerSettings, StudentSize

PROBE_SECONDS = 5.0
"""A probe takes about so long, and no more than `PROBE_SHARE` of the work that it measures."""

PROBE_SHARE = 0.05

SHORT_RUN = 30.0
"""Of less work than this, in seconds, a first impression is enough."""

SAMPLED_ROWS = 64
"""The lengths of a set's rows are known from so many of them."""

FIRST_ROWS = 8
"""The first impression scores so many rows."""

MOST_STEPS = 10
"""More updates of one variant make its rate no better."""

PATIENCE = 2.0
"""After an update that took so many seconds, a first impression needs no second one."""

LONGEST_OF = 1000
"""The longest batch of a training is taken to be that of the longest of so many rows."""


class _Enough(Exception):
    """Ends a training."""


class Clock:
    """Hears of the updates of a training, and ends it when its time is over."""

    def __init__(self, seconds: float, device: torch.device) -> None:
        self.device = device
        self.times = [time.perf_counter()]
        self.end = self.times[0] + seconds

    def __call__(self, _count: int = 1, /) -> None:
        """Hear of an update."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.times.append(time.perf_counter())
        made, took = len(self.times) - 1, self.times[-1] - self.times[-2]
        if made >= MOST_STEPS or (self.times[-1] >= self.end and (made > 1 or took > PATIENCE)):
            raise _Enough

    def measure(self, train: Callable[["Clock"], object]) -> tuple[float, float]:
        """Let a training begin; return the seconds of an update, and those before the first."""
        # A loss that is not finite ends it too: the training itself will say so, if it is the same there.
        with suppress(_Enough, RunError):
            train(self)
        gaps = np.diff(self.times)
        if not len(gaps):
            return 0.0, 0.0
        step = float(np.median(gaps[1:] if len(gaps) > 1 else gaps))
        return step, max(0.0, float(gaps[0]) - step)


@dataclass
class Probe:
    """Measures the work of a run: its rows, voters and classifiers, on its model, as its machine computes.

    `self_trained` says that most training sets have rows of the pool; there may be no `baseline`. The model stays
    loaded.
    """

    data: TaskData
    voters: tuple[VoterSpec, ...]
    model: SharedModel
    machine: Machine
    form: ClassifierForm
    student: DistillSettings
    baseline: OptimizerSettings | None
    seed: int
    self_trained: bool = False
    _variants: frozenset[str] = frozenset()  # of the updates that are left to make, voters' and classifiers'
    _untrained: int | None = None  # the peak of memory before anything was trained

    def rates(self, work: Workload, done: Counter[str], *, whole: bool = True, always: bool = False) -> Rates:
        """Return what the work takes; `done` jobs are not to be done again.

        Where a first impression says that what is left is a matter of seconds, that is all, unless `always`; the memory
        is not known then.

        Raises `ModelError` if the model cannot be loaded, or a voter's variant does not fit it.
        """
        self._variants = frozenset(job.variant for job in work.left(done, whole) if job.steps)
        rates = self._first()
        seconds = forecast(work, rates, done, whole).seconds
        if seconds < SHORT_RUN and not always:
            return rates
        return self._closer(rates, min(PROBE_SECONDS, PROBE_SHARE * max(seconds, SHORT_RUN)))

    def _voter(self, pvp: PVP) -> PvpVoter:
        spec = next((spec for spec in self.voters if spec.pvp == pvp and spec.shown.count), None)
        return self._learner(spec) if spec else self.model.voter(pvp, machine=self.machine)

    def _learner(self, spec: VoterSpec) -> PvpVoter:
        return self.model.learner(spec, self.machine, drawn_demonstrations(spec.shown, self.data))

    def _first(self) -> Rates:
        """Return rates from a few rows and updates, once every voter has been tried on."""
        started = time.perf_counter()
        backbone = self.model.backbone
        loading = time.perf_counter() - started
        files = [path for path in backbone.source.folder.glob("*") if path.suffix in (".json", ".txt", ".model")]
        encode = _timed(lambda: self._plain_lengths(self._pool)) / len(self._pool)
        rates = Rates(
            token=self._scoring(0.0),
            tokens=self._tokens(),
            relative=self._relative(),
            encode=encode,
            loading=loading,
            weights=backbone.source.parameters,
            tokenizer=sum(path.stat().st_size for path in files),
            row=float(np.mean([sum(len(text.encode()) for text in row.fields.values()) for row in self._pool])),
            hidden=int(backbone.model.config.hidden_size),
        )
        self._untrained = peak_memory()
        if not self._learning and self._classifies:
            return self._with_classifiers(rates, 0.0)
        return self._with_voters(rates, self._learning[:1], 0.0)

    def _closer(self, rates: Rates, seconds: float) -> Rates:
        """Return better rates from about so many seconds of work: a fifth of it scoring, the rest updates."""
        rates = replace(rates, token=self._scoring(seconds / 5))
        rates = self._with_voters(rates, self._learning, 0.4 * seconds)
        more = self._memory_of_longest(rates)
        if self._classifies and rates.loading + 2 * rates.slowest <= seconds:
            rates = self._with_classifiers(rates, 0.4 * seconds)
        elif self._classifies and STUDENT not in rates.steps:
            # What the voters' training has freed serves a classifier's.
            freed = (TRAINING_COPIES - 1) * max(rates.numbers.values(), default=0)
            more += FLOAT * (TRAINING_COPIES * rates.weights - freed)
        peak = peak_memory()
        return replace(rates, memory=None if peak is None else peak + more)

    def _memory_of_longest(self, rates: Rates) -> int:
        """Return the bytes that long training on the longest rows adds to what the training so far has held.

        Of that, all but gradients and moments grows with the tokens.
        """
        peak = peak_memory()
        if peak is None or self._untrained is None or not self.voters:
            return 0
        states = FLOAT * (TRAINING_COPIES - 1) * max(rates.numbers.values(), default=0)
        pvp, rows = self.voters[0].pvp, self._sample(self.data.unlabeled, "longest", LONGEST_OF)
        batch = self.voters[0].train.batch_size
        longest = sorted(rows, key=lambda row: sum(map(len, row.fields.values())))[-batch:]
        # Of a row that is read in windows an update has one.
        long, usual = (
            np.mean([len(row) for row in self._voter(pvp).encode(some)]) for some in (longest, self._labeled)
        )
        longer = max(1.0, float(long / usual))
        return round((GAPS * longer - 1.0) * max(0, peak - self._untrained - states))

    @cached_property
    def _pool(self) -> list[Example]:
        return self._sample(self.data.unlabeled, "pool")

    @cached_property
    def _labeled(self) -> list[Example]:
        """Rows as most training sets have them: labeled ones, or with generations those of the pool, with any label."""
        labels = self.data.task.labels
        if self.data.labeled and not self.self_trained:
            return self._sample(self.data.labeled, "labeled")
        return [replace(row, label=labels[i % len(labels)]) for i, row in enumerate(self._pool)]

    @cached_property
    def _learning(self) -> list[VoterSpec]:
        """One voter of each variant that has updates to make."""
        kinds = {variant_of(spec): spec for spec in reversed(self.voters)}
        return [spec for variant, spec in kinds.items() if variant in self._variants]

    @property
    def _classifies(self) -> bool:
        return bool(self._variants & {STUDENT, BASELINE})

    def _sample(self, rows: Sequence[Example], name: str, most: int = SAMPLED_ROWS) -> list[Example]:
        size = min(most, len(rows))
        chosen = rng_for(self.seed, "probe", name).choice(len(rows), size=size, replace=False)
        return [rows[i] for i in chosen]

    def _tokens(self) -> Mapping[str, float]:
        """Return the mean tokens of a row of the pool by pattern."""
        found = {pvp.name: self._length(self._pool, pvp) for pvp in distinct_pvps(self.voters)}
        return {NO_PATTERN: float(np.mean(self._plain_lengths(self._pool))), **found}

    def _relative(self) -> Mapping[str, float]:
        """Return how much longer the rows of other sets are."""
        sets = {"labeled": self.data.labeled, "test": self.data.test}
        own = self._mean_length(self._pool)
        return {name: self._mean_length(self._sample(rows, name)) / own for name, rows in sets.items() if rows}

    def _mean_length(self, rows: Sequence[Example]) -> float:
        """Return the mean tokens of rows under the first pattern, or without one where there is none."""
        return self._length(rows, self.voters[0].pvp) if self.voters else float(np.mean(self._plain_lengths(rows)))

    def _length(self, rows: Sequence[Example], pvp: PVP) -> float:
        voter = self._voter(pvp)
        return float(np.mean([sum(map(len, row.windows)) for row in voter.encode(rows)]))

    def _plain_lengths(self, rows: Sequence[Example]) -> list[int]:
        backbone = self.model.backbone
        length, how = min(self.form.max_length, backbone.longest_input), self.form.truncation
        encoded = encode_rows(backbone.tokenizer, rows, tuple(self.data.columns), length, how)
        return [sum(map(len, row.windows)) for row in encoded]

    def _scoring(self, seconds: float) -> float:
        """Return the seconds per token: of a few rows, or of as many as can be scored in the time."""
        rows = self._pool[:FIRST_ROWS]
        took = _timed(lambda: self._score(rows))
        if seconds > took:
            rows = (self._pool * FIRST_ROWS)[: int(len(rows) * seconds / took)]
            took = _timed(lambda: self._score(rows))
        return took / (len(rows) * self._mean_length(rows))

    def _score(self, rows: Sequence[Example]) -> None:
        """Let rows go forward, as the first voter reads them."""
        if self.voters:
            self._voter(self.voters[0].pvp).scores(rows)
        else:
            mean_pooled(self.model.backbone, rows, self.form.columns, self.form.max_length, self.machine)

    def _with_voters(self, rates: Rates, kinds: Sequence[VoterSpec], seconds: float) -> Rates:
        """Return rates with those of updates of some variants, of about `seconds` in all."""
        steps, starts, numbers = dict(rates.steps), dict(rates.starts), dict(rates.numbers)
        end = time.perf_counter() + seconds
        for i, spec in enumerate(kinds):
            variant, time_left = variant_of(spec), end - time.perf_counter()
            own = time_left / (len(kinds) - i)
            if steps and own < 2 * steps.get(variant, rates.slowest):
                continue  # it would tell no more than what is known
            voter = self._learner(spec)
            rng = rng_for(self.seed, "probe", spec.kind)
            train = partial(voter.train, self._labeled, spec.train, rng, self.data.unlabeled)
            steps[variant], starts[variant] = Clock(own, self.machine.device).measure(train)
            numbers[variant] = int(str(voter.facts()["trained_numbers"]))
            voter.backbone.reset()
        return replace(rates, steps=steps, starts=starts, numbers=numbers)

    def _with_classifiers(self, rates: Rates, seconds: float) -> Rates:
        """Return rates with those of updates of the student and of the baseline, of about `seconds` in all."""
        student = self.student
        steps, starts = dict(rates.steps), dict(rates.starts)
        source, own = student_sources(student, self.model.source)[0], self.model.source
        same = not self.baseline or (
            student.size in ("auto", "same") and source == own and student.batch_size == self.baseline.batch_size
        )
        part = seconds if same else seconds / 2
        steps[STUDENT], starts[STUDENT] = self._classifier(source, student, part, student.size)
        steps[BASELINE], starts[BASELINE] = steps[STUDENT], starts[STUDENT]
        if self.baseline and not same:
            steps[BASELINE], starts[BASELINE] = self._classifier(own, self.baseline, part)
        return replace(rates, steps=steps, starts=starts, numbers={**rates.numbers, STUDENT: rates.weights})

    def _classifier(
        self, source: ModelSource, settings: OptimizerSettings, seconds: float, size: StudentSize = "same"
    ) -> tuple[float, float]:
        """Return the seconds of an update, and those before the first."""
        rows, k = self._pool, len(self.data.task.labels)
        if size == "static":  # its updates cost what the words of the pool do
            rows = self._sample(self.data.unlabeled, "longest", LONGEST_OF)
        targets, rng = np.full((len(rows), k), 1.0 / k, np.float32), rng_for(self.seed, "probe", "classifier")
        started = time.perf_counter()
        # One that is only fitted makes no update.
        classifier = new_student("same" if size == "logistic" else size, source, self.form, self.machine, seed=0)
        loading = time.perf_counter() - started
        train = partial(classifier.fit, rows, targets, settings, rng, PLAIN)
        step, start = Clock(seconds - loading, self.machine.device).measure(train)
        return step, start + loading


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
