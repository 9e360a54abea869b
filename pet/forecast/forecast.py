"""From counts and measured rates to a forecast: seconds, memory and disk of what a run has yet to do."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pet.forecast.workload import NO_PATTERN, EncoderLoad, JobLoad, Workload
from pet.learners.voters.contrastive import BATCH, LONGEST
from pet.settings.training import StudentSize

FLOAT = 4
"""Bytes of a number in a file."""

SCORE_COPIES = 4
"""Scores of the pool in memory, as a multiple of those in a job's file: raw, adjusted, in a table and its columns."""

TEXT_SHARE = 0.6
"""The size of text in Parquet, as a share of its bytes."""

TOKEN_LISTS = 2
"""How often the tokens of a text are kept while a run is under way: behind a blank, and not."""

_SAVED: Mapping[StudentSize, float] = {"auto": 1.0, "same": 1.0, "logistic": 1.0, "small": 0.7, "static": 0.0}
"""The weights of a saved classifier, as a share of the model's: half of the layers, and a few numbers per token."""

GAPS = 1.4
"""Blocks of many sizes leave gaps: after hundreds of updates a training holds so many times its largest batch.

Measured with pet-mini on a CPU, where the heap keeps what is freed (see `Machine.pick`).
"""

TRAINING_COPIES = 4
"""What trains is held so often: as weights, as their gradients, and as the two moments of Adam."""

STATE_BYTES = 60
"""Bytes that an update holds of a token in each layer that trains, for each number of the width.

The gradient is computed from them: about 34 in 16 bits (2205.05198, section 4.1), more where float32 is between.
"""

WEIGHTS_OF_LAYER = 12
"""The weights of a layer, as a multiple of the square of its width: attention has 4, the feed-forward part 8."""

VOCABULARY_BYTES = 1000
"""Bytes of memory that a piece of a large vocabulary takes while it is read and cut."""

WORTHWHILE = 0.05
"""A change that saves less than this share of the time is not worth telling."""


@dataclass(frozen=True)
class Rates:
    """What a probe has measured.

    `token` is the seconds of a token that goes forward, reading its row included; `tokens` the mean tokens of a row of
    the pool under each pattern, and `relative` how much longer rows of other sets are. `encode` is the seconds to
    tokenize a row alone. `steps` and `starts` are the seconds of an update of each variant and those before its first
    one; `loading` those that reading the model took.

    `memory` is the peak so far, in bytes; `numbers` are those that train, by variant, `weights` all of the model;
    `tokenizer` and `row` the bytes of its tokenizer's files and of a row of the pool; `hidden` the model's width.
    """

    token: float
    tokens: Mapping[str, float]
    relative: Mapping[str, float]
    steps: Mapping[str, float] = field(default_factory=dict)
    starts: Mapping[str, float] = field(default_factory=dict)
    encode: float = 0.0
    loading: float = 0.0
    memory: int | None = None
    numbers: Mapping[str, int] = field(default_factory=dict)
    weights: int = 0
    tokenizer: int = 0
    row: float = 0.0
    hidden: int = 0

    @property
    def slowest(self) -> float:
        """The seconds of the slowest update that was measured; what was not measured is taken to be as slow."""
        return max(self.steps.values(), default=0.0)

    def seconds(self, job: JobLoad) -> float:
        """Return the seconds of a job."""
        rows = sum(count * self.relative.get(part, 1.0) for part, count in job.rows.items())
        seconds = self.token * min(self.tokens[job.pattern] * rows, job.most_tokens) + self.encode * job.encoded
        if job.steps:
            seconds += self.starts.get(job.variant, 0.0) + job.steps * self.steps.get(job.variant, self.slowest)
        return job.share * min(seconds, job.most_seconds)


@dataclass(frozen=True)
class StageForecast:
    """A stage of a run: how many of its jobs are left, and how long they take."""

    name: str
    jobs: int
    seconds: float


@dataclass(frozen=True)
class Forecast:
    """What a run has yet to do: its stages, the peak of memory (None: unknown) and the room of the whole run on disk.

    `finished` counts jobs of an earlier start; they take no time.
    """

    stages: tuple[StageForecast, ...]
    memory: int | None = None
    disk: int = 0
    finished: int = 0

    @property
    def seconds(self) -> float:
        """The time of what is left."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def jobs(self) -> int:
        """The jobs that are left."""
        return sum(stage.jobs for stage in self.stages)


@dataclass(frozen=True)
class Saving:
    """A change of the settings, and the seconds that a run takes less with it."""

    change: str
    seconds: float


def forecast(work: Workload, rates: Rates, done: Counter[str] | None = None, whole: bool = True) -> Forecast:
    """Return what a workload takes at some rates.

    `done` counts finished jobs by name; unless `whole`, the run stops once the pool is labeled.
    """
    everything = list(work.jobs(whole))
    left = work.left(done or Counter(), whole)
    seconds: dict[str, float] = {}
    for job in left:
        seconds[job.stage] = seconds.get(job.stage, 0.0) + rates.seconds(job)
    jobs = Counter(job.stage for job in left)
    stages = tuple(StageForecast(name, jobs[name], took) for name, took in seconds.items())
    # Each of several processes holds what one does.
    memory = None
    if rates.memory is not None:
        memory = work.workers * rates.memory + SCORE_COPIES * _score_bytes(work) + _encoder_bytes(work, rates)
    return Forecast(stages, memory, _disk(work, rates, whole), len(everything) - len(left))


def _score_bytes(work: Workload) -> int:
    """Return the bytes of all voters' scores of all generations."""
    return FLOAT * work.labels * len(work.voters) * work.scored_rows


def _encoder_bytes(work: Workload, rates: Rates) -> int:
    """Return the bytes of memory that the encoders of a run take beside what a probe loads: the most of one of them.

    Where it is tuned they are also those of an update.
    """
    return max((_held(encoder, rates.tokens[NO_PATTERN]) for encoder in work.encoders), default=0)


def _held(encoder: EncoderLoad, mean: float) -> int:
    """Return the bytes that an encoder takes which reads rows of so many tokens in the mean."""
    held = FLOAT * encoder.weights + VOCABULARY_BYTES * encoder.pieces
    if not encoder.tuned:
        return held
    trained = FLOAT * TRAINING_COPIES * WEIGHTS_OF_LAYER * encoder.layers * encoder.hidden**2
    update = GAPS * STATE_BYTES * encoder.layers * encoder.hidden * BATCH * min(LONGEST, mean)
    return held + trained + round(update)


def _disk(work: Workload, rates: Rates, whole: bool) -> int:
    """Return the bytes that a run needs: scores twice (jobs and votes), rows and tokens, embeddings, models.

    Of an encoder there is a copy with the pieces that the run needs, and one for each time that a voter has tuned it.
    """
    per_row = TEXT_SHARE * rates.row + FLOAT * (work.labels + 4) + TOKEN_LISTS * FLOAT * rates.tokens[NO_PATTERN]
    size = 2 * _score_bytes(work) + per_row * (work.pool + work.labeled)
    if work.keep_models:
        times = len(work.generation_rows) + (work.first_votes > 0)
        size += times * sum(_kept(voter.variant, rates) for voter in work.voters)
    if work.adaptation:
        size += FLOAT * rates.weights + rates.tokenizer
    for encoder in work.encoders:
        copies = 1 + len(encoder.tuned) * len(work.generation_rows)
        size += FLOAT * (encoder.hidden * (work.pool + work.labeled + work.test) + copies * encoder.weights)
    if whole:
        student = max([rates.weights, *(encoder.weights for encoder in work.encoders)])
        size += _SAVED[work.distill_size] * FLOAT * student + 2 * rates.tokenizer
    if whole and work.baseline and not work.encoders:
        size += FLOAT * rates.hidden * (work.embedded + work.labeled + work.test)
    return round(size)


def _kept(variant: str, rates: Rates) -> int:
    numbers = rates.numbers.get(variant, rates.weights)
    # One that trains all weights is kept as a whole model, with its tokenizer.
    return FLOAT * numbers + (rates.tokenizer if numbers >= rates.weights else 0)


def savings(work: Workload, rates: Rates, whole: bool = True) -> list[Saving]:
    """Return changes that would shorten a run, the largest saving first; none that saves little."""
    before = forecast(work, rates, whole=whole).seconds
    found = [Saving(change, before - forecast(other, rates, whole=whole).seconds) for change, other in _changes(work)]
    worthwhile = [saving for saving in found if saving.seconds >= WORTHWHILE * before > 0]
    return sorted(worthwhile, key=lambda saving: -saving.seconds)


def _changes(work: Workload) -> list[tuple[str, Workload]]:
    half = max(1, work.pool // 2)
    changes = [(f"data.max_unlabeled={half}", work.with_pool(half))]
    if work.baseline:
        changes.append(("run.baseline=auto", replace(work, baseline=False, untrained=False)))
    steps = {voter.steps for voter in work.voters}
    if len(steps) == 1 and (fewer := steps.pop() // 2):
        voters = tuple(replace(voter, steps=fewer) for voter in work.voters)
        changes.append((f"train.steps={fewer}", replace(work, voters=voters)))
    first = tuple(voter for voter in work.voters if "#" not in voter.name)
    if len(first) < len(work.voters):
        changes.append(("train.seeds=1", replace(work, voters=first)))
    if fewer := work.distill_steps // 2:
        changes.append((f"distill.steps={fewer}", replace(work, distill_steps=fewer)))
    if len(work.generation_rows) > 1:
        plain = replace(work, generation_rows=work.generation_rows[-1:], folds=0)
        changes.append(("ipet.generations=1", plain))
    return changes
