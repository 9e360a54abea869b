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

from pet.data.examples import Example
from pet.errors import RunError
from pet.forecast.footprint import peak_memory
from pet.forecast.forecast import FLOAT, Rates, forecast
from pet.forecast.workload import BASELINE, NO_PATTERN, STUDENT, Workload, variant_of
from pet.learners.models.sources import ModelSource, parameter_count
from pet.learners.students.classifier import encode_rows
from pet.learners.students.sizes import new_student
from pet.learners.voters.spec import VoterSpec
from pet.method.plan import Plan, student_source
from pet.method.stages import Workbench
from pet.prompts.pvp import PVP
from pet.seeding import rng_for
from pet.settings.training import OptimizerSettings, StudentSize

__all__ = ["PROBE_SECONDS", "SHORT_RUN", "probe"]

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

GAPS = 1.4
"""Blocks of many sizes leave gaps: after hundreds of updates a training holds so many times its largest batch.

Measured with pet-mini on a CPU, where the heap keeps what is freed (see `Machine.pick`).
"""

TRAINING_COPIES = 4
"""What trains is held so often: as weights, as their gradients, and as the two moments of Adam."""


def probe(plan: Plan, bench: Workbench, done: Counter[str], *, whole: bool = True, always: bool = False) -> Rates:
    """Measure a plan's work on the model of a workbench, which stays loaded; `done` jobs are not to be done again.

    Where a first impression says that what is left is a matter of seconds, that is all, unless `always`; the memory is
    not known then.

    Raises
    ------
    ModelError
        If the model cannot be loaded, or a voter's variant does not fit it.
    """
    work = Workload.of(plan)
    measuring = _Probe(plan, bench, frozenset(job.variant for job in work.left(done, whole) if job.steps))
    rates = measuring.first()
    seconds = forecast(work, rates, done, whole).seconds
    if seconds < SHORT_RUN and not always:
        return rates
    return measuring.closer(rates, min(PROBE_SECONDS, PROBE_SHARE * max(seconds, SHORT_RUN)))


class _Enough(Exception):
    """Ends a training."""


class _Clock:
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

    def measure(self, train: Callable[["_Clock"], object]) -> tuple[float, float]:
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
class _Probe:
    """Measures a plan's work: `first` with as little as possible, `closer` with what its seconds allow.

    `variants` are those of the updates that are left to make, voters' and classifiers'; `untrained` is the peak of
    memory before anything was trained.
    """

    plan: Plan
    bench: Workbench
    variants: frozenset[str]
    untrained: int | None = None

    def first(self) -> Rates:
        """Return rates from a few rows and updates, once every voter has been tried on."""
        started = time.perf_counter()
        backbone = self.bench.voter(self.plan.pvps[0]).backbone
        loading = time.perf_counter() - started
        files = [path for path in backbone.source.folder.glob("*") if path.suffix in (".json", ".txt", ".model")]
        encode = _timed(lambda: self._plain_lengths(self._pool)) / len(self._pool)
        rates = Rates(
            token=self._scoring(0.0),
            tokens=self._tokens(),
            relative=self._relative(),
            encode=encode,
            loading=loading,
            weights=parameter_count(backbone.source.folder),
            tokenizer=sum(path.stat().st_size for path in files),
            row=float(np.mean([sum(len(text.encode()) for text in row.fields.values()) for row in self._pool])),
            hidden=int(backbone.model.config.hidden_size),
        )
        self.bench.try_on()
        self.untrained = peak_memory()
        if not self._learning and self._classifies:
            return self._with_classifiers(rates, 0.0)
        return self._with_voters(rates, self._learning[:1], 0.0)

    def closer(self, rates: Rates, seconds: float) -> Rates:
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
        if peak is None or self.untrained is None:
            return 0
        states = FLOAT * (TRAINING_COPIES - 1) * max(rates.numbers.values(), default=0)
        pvp, rows = self.plan.pvps[0], self._sample(self.plan.data.unlabeled, "longest", LONGEST_OF)
        longest = sorted(rows, key=lambda row: sum(map(len, row.fields.values())))[-self.plan.config.train.batch_size :]
        longer = max(1.0, self._length(longest, pvp) / self._length(self._lesson, pvp))
        return round((GAPS * longer - 1.0) * max(0, peak - self.untrained - states))

    @cached_property
    def _pool(self) -> list[Example]:
        return self._sample(self.plan.data.unlabeled, "pool")

    @cached_property
    def _lesson(self) -> list[Example]:
        """Rows as most training sets have them: labeled ones, or with generations those of the pool, with any label."""
        labels = self.plan.data.task.labels
        if self.plan.data.labeled and self.plan.generations == 1:
            return self._sample(self.plan.data.labeled, "labeled")
        return [replace(row, label=labels[i % len(labels)]) for i, row in enumerate(self._pool)]

    @cached_property
    def _learning(self) -> list[VoterSpec]:
        """One voter of each variant that has updates to make."""
        kinds = {variant_of(spec): spec for spec in reversed(self.plan.voters)}
        return [spec for variant, spec in kinds.items() if variant in self.variants]

    @property
    def _classifies(self) -> bool:
        return bool(self.variants & {STUDENT, BASELINE})

    def _sample(self, rows: Sequence[Example], name: str, most: int = SAMPLED_ROWS) -> list[Example]:
        size = min(most, len(rows))
        chosen = rng_for(self.plan.inputs.seed, "probe", name).choice(len(rows), size=size, replace=False)
        return [rows[i] for i in chosen]

    def _tokens(self) -> Mapping[str, float]:
        """Return the mean tokens of a row of the pool by pattern."""
        found = {pvp.name: self._length(self._pool, pvp) for pvp in self.plan.pvps}
        return {NO_PATTERN: float(np.mean(self._plain_lengths(self._pool))), **found}

    def _relative(self) -> Mapping[str, float]:
        """Return how much longer the rows of other sets are."""
        pvp, data = self.plan.pvps[0], self.plan.data
        sets = {"labeled": data.labeled, "test": data.test}
        own = self._length(self._pool, pvp)
        return {name: self._length(self._sample(rows, name), pvp) / own for name, rows in sets.items() if rows}

    def _length(self, rows: Sequence[Example], pvp: PVP) -> float:
        voter = self.bench.voter(pvp)
        with voter.backbone.pieces.forgetting():
            return float(np.mean([len(row) for row in voter.encode(rows)]))

    def _plain_lengths(self, rows: Sequence[Example]) -> list[int]:
        backbone = self.bench.voter(self.plan.pvps[0]).backbone
        length = min(self.plan.inputs.form.max_length, backbone.longest_input)
        return [len(row) for row in encode_rows(backbone.tokenizer, rows, tuple(self.plan.data.columns), length)]

    def _scoring(self, seconds: float) -> float:
        """Return the seconds per token: of a few rows, or of as many as can be scored in the time."""
        voter, rows = self.bench.voter(self.plan.pvps[0]), self._pool[:FIRST_ROWS]
        took = _timed(lambda: voter.scores(rows))
        if seconds > took:
            rows = (self._pool * FIRST_ROWS)[: int(len(rows) * seconds / took)]
            took = _timed(lambda: voter.scores(rows))
        return took / (len(rows) * self._length(rows, voter.pvp))

    def _with_voters(self, rates: Rates, kinds: Sequence[VoterSpec], seconds: float) -> Rates:
        """Return rates with those of updates of some variants, of about `seconds` in all."""
        steps, starts, numbers = dict(rates.steps), dict(rates.starts), dict(rates.numbers)
        end, inputs = time.perf_counter() + seconds, self.plan.inputs
        for i, spec in enumerate(kinds):
            variant, time_left = variant_of(spec), end - time.perf_counter()
            own = time_left / (len(kinds) - i)
            if steps and own < 2 * steps.get(variant, rates.slowest):
                continue  # it would tell no more than what is known
            voter, rng = self.bench.voter(spec.prompt, spec.train), rng_for(inputs.seed, "probe", spec.kind)
            train = partial(voter.train, self._lesson, spec.train, rng, self.plan.data.unlabeled)
            steps[variant], starts[variant] = _Clock(own, inputs.machine.device).measure(train)
            numbers[variant] = int(str(voter.facts()["trained_numbers"]))
            voter.backbone.reset()
        return replace(rates, steps=steps, starts=starts, numbers=numbers)

    def _with_classifiers(self, rates: Rates, seconds: float) -> Rates:
        """Return rates with those of updates of the student and of the baseline, of about `seconds` in all."""
        config, inputs = self.plan.config, self.plan.inputs
        steps, starts = dict(rates.steps), dict(rates.starts)
        same = config.distill.size == "same" and student_source(config) == inputs.source
        same = same and config.distill.batch_size == inputs.baseline.batch_size
        part = seconds if same else seconds / 2
        size, source = config.distill.size, student_source(config)
        steps[STUDENT], starts[STUDENT] = self._classifier(source, config.distill, part, size)
        steps[BASELINE], starts[BASELINE] = steps[STUDENT], starts[STUDENT]
        if not same and self.plan.has_baseline:
            steps[BASELINE], starts[BASELINE] = self._classifier(inputs.source, inputs.baseline, part)
        return replace(rates, steps=steps, starts=starts, numbers={**rates.numbers, STUDENT: rates.weights})

    def _classifier(
        self, source: ModelSource, settings: OptimizerSettings, seconds: float, size: StudentSize = "same"
    ) -> tuple[float, float]:
        """Return the seconds of an update, and those before the first."""
        inputs, rows, k = self.plan.inputs, self._pool, len(self.plan.data.task.labels)
        if size == "static":  # its updates cost what the words of the pool do
            rows = self._sample(self.plan.data.unlabeled, "longest", LONGEST_OF)
        targets, rng = np.full((len(rows), k), 1.0 / k, np.float32), rng_for(inputs.seed, "probe", "classifier")
        started = time.perf_counter()
        classifier = new_student(size, source, inputs.form, inputs.machine, seed=0)
        loading = time.perf_counter() - started
        train = partial(classifier.fit, rows, targets, settings, rng, 1.0)
        step, start = _Clock(seconds - loading, inputs.machine.device).measure(train)
        return step, start + loading


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
