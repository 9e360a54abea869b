"""How much a run computes: the numbers of rows, updates and voters that its time, memory and disk follow from."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pet.learners.voters.spec import VoterSpec
from pet.settings.pretraining import AdaptSettings
from pet.settings.training import StudentSize, TrainSettings

BASELINE, STUDENT = "baseline", "student"
"""Name what an update of a classifier costs, as a variant does for a voter's."""

LEARNED = 3
"""A token that a masked LM learns from costs as much as so many that go forward: once forward, twice backward."""

NO_PATTERN = ""
"""Stands in the place of a pattern where rows are read without one."""

MOST_STEPS, MOST_PASSES = 200, 4
"""Without a limit an adaptation ends after so many steps, or so many times the text: whichever comes first."""

MOST_FILLED = 20_000
"""A pattern is filled with so many pool rows at most: more than are read in the most steps without a limit."""


@dataclass(frozen=True)
class VoterLoad:
    """A voter: its name, that of its pattern, what of it trains (see `variant_of`), and how long and how often.

    One that is `explained` the labels learns without a labeled row.
    """

    name: str
    pattern: str
    variant: str
    steps: int
    restarts: int = 1
    explained: bool = False

    @classmethod
    def of(cls, spec: VoterSpec, rows: int) -> "VoterLoad":
        """Count what a voter asks for, which learns from so many rows at first."""
        steps, restarts = expected_updates(spec.train, rows) if spec.learns else 0, spec.train.restarts or 1
        return cls(spec.name, spec.pvp.name, variant_of(spec), steps, restarts, spec.trains(0))


def expected_updates(settings: TrainSettings, rows: int) -> int:
    """Return how many updates are made on so many rows where training ends at a small loss.

    With pet-mini, whose most are 60: 12 to 15 of 16 and 32 rows in 2 and 4 labels, 21 to 26 of 48 rows in 6 labels.
    """
    most = settings.steps or 0
    if not settings.stop_loss:
        return most
    return min(most, round(most * (10 + 4 * max(1, -(-rows // settings.batch_size))) / 60))


@dataclass(frozen=True)
class EncoderLoad:
    """An encoder that embeds the rows of a run: by its name, what a token costs it as a multiple of the voters' model.

    `voters` are the names of those on its vectors, `tuned` of those that embed the rows anew with an encoder of their
    own; `learned` are the rows that such a one goes through in the updates of each generation. It has so many
    `weights`, as they are kept, in `layers`, and makes vectors of length `hidden`; it reads with so many `pieces`.
    """

    name: str
    cost: float
    voters: tuple[str, ...] = ()
    tuned: tuple[str, ...] = ()
    learned: tuple[int, ...] = ()
    weights: int = 0
    hidden: int = 0
    pieces: int = 0
    layers: int = 0

    def times(self, rows: Mapping[str, int]) -> Mapping[str, float]:
        """Return rows by set as so many of the voters' model."""
        return {part: self.cost * count for part, count in rows.items()}


@dataclass(frozen=True)
class JobLoad:
    """What one job computes: rows by set that go forward under a pattern, and `steps` updates of a `variant`.

    `encoded` rows are tokenized beside those. A job without a variant trains nothing. `share` is the part of its
    seconds that counts where others of its stage are done at the same time. `most_tokens` go forward in all, and
    `most_seconds` it takes, where the job has such limits.
    """

    stage: str
    name: str
    pattern: str
    rows: Mapping[str, float]
    variant: str = ""
    steps: int = 0
    encoded: int = 0
    share: float = 1.0
    most_tokens: float = math.inf
    most_seconds: float = math.inf

    def with_share(self, share: float) -> "JobLoad":
        """Return this job on a share of its rows."""
        return replace(self, rows={part: share * count for part, count in self.rows.items()})


@dataclass(frozen=True)
class Workload:
    """The counts of a run.

    `labeled`, `pool` and `test` are rows, `compared` and `embedded` those of the pool that the comparison reads;
    `generation_rows` are the pool rows that each generation labels. `gold_rows` says whether the classifier learns from
    the labeled rows too, and `distill_embedded` how many rows its last layer is fitted to before all of it trains: with
    their vectors `known` it reads none, nor those that it is compared on. `workers` processes do the voters side by
    side, and all threads in one process are `gain` times as fast as one thread. `folds` are the baselines that leave a
    fold out; without `baseline` there is none. `encoders` embed the whole pool; where a run gives it `first_labels`,
    their voters label all of it. What `untrained` patterns say is compared; where voters are `weighed` by it, the
    labels need it.
    """

    voters: tuple[VoterLoad, ...]
    labels: int
    labeled: int
    pool: int
    test: int
    compared: int
    embedded: int
    generation_rows: tuple[int, ...]
    baseline: bool
    folds: int
    baseline_steps: int
    distill_steps: int
    distill_batch: int = 16
    distill_size: StudentSize = "same"
    distill_embedded: int = 0
    known: bool = False
    adaptation: JobLoad | None = None
    gold_rows: bool = True
    keep_models: bool = False
    weighed: bool = False
    untrained: bool = True
    first_labels: bool = False
    workers: int = 1
    gain: float = 1.0
    encoders: tuple[EncoderLoad, ...] = ()

    def with_pool(self, rows: int) -> "Workload":
        """Return this workload with a pool of no more than so many rows."""
        return replace(
            self,
            pool=min(self.pool, rows),
            compared=min(self.compared, rows),
            embedded=min(self.embedded, rows),
            distill_embedded=min(self.distill_embedded, rows),
            adaptation=self.adaptation and self.adaptation.with_share(min(1.0, rows / self.pool)),
            generation_rows=tuple(min(labeled, rows) for labeled in self.generation_rows),
        )

    def jobs(self, whole: bool = True) -> Iterator[JobLoad]:
        """Yield the jobs; only those that the labels need unless `whole`."""
        if self.adaptation and not self.first_votes:
            yield self.adaptation
        yield from self._embedding()
        if self.adaptation and self.first_votes:
            yield from self._patterns(0, self.first_votes)
            yield from self._untrained() if self.weighed else ()
            yield self.adaptation
        yield from self._voting()
        if whole:
            yield from self._comparing()
        elif self.weighed:
            yield from self._untrained()

    def left(self, done: Counter[str], whole: bool = True) -> list[JobLoad]:
        """Return the jobs but for those done, so many of each name."""
        waiting, left = done.copy(), []
        for job in self.jobs(whole):
            if waiting[job.name] > 0:
                waiting[job.name] -= 1
            else:
                left.append(job)
        return left

    @property
    def _share(self) -> float:
        """The part that a voter takes of the seconds it would take with all threads, side by side with others."""
        rounds = -(-len(self.voters) // self.workers)
        return self.gain * rounds / len(self.voters) if self.workers > 1 else 1.0

    @property
    def first_votes(self) -> int:
        """The pool rows that the patterns of generation 0 label once more, for an adaptation that reads labels."""
        return self.generation_rows[0] if self.adaptation and self.adaptation.pattern != NO_PATTERN else 0

    @property
    def scored_rows(self) -> int:
        """The pool rows that each voter with a pattern scores, in all generations."""
        return self.first_votes + sum(self.generation_rows)

    def _stage(self, number: int) -> str:
        return f"generation {number}" if len(self.generation_rows) > 1 else "voters"

    def _patterns(self, number: int, rows: int) -> Iterator[JobLoad]:
        parts, prefix = self._asked(rows), f"generation-{number}/" if number else ""
        for voter in self.voters:
            # Without a row to learn from the first voters are the pretrained model as it is.
            learns = number > 0 or self.labeled > 0 or voter.explained
            name, steps = f"{prefix}voter/{voter.name}", voter.steps * voter.restarts if learns else 0
            variant = voter.variant if learns else ""
            yield JobLoad(self._stage(number), name, voter.pattern, parts, variant, steps, share=self._share)

    def _asked(self, rows: int) -> dict[str, int]:
        return {"pool": rows, "labeled": self.labeled, "test": self.test}

    def _voting(self) -> Iterator[JobLoad]:
        for number, rows in enumerate(self.generation_rows):
            yield from self._patterns(number, rows)
            parts, stage, prefix = self._asked(rows), self._stage(number), f"generation-{number}/" if number else ""
            for encoder in self.encoders:
                for voter_name in encoder.voters:
                    yield JobLoad(stage, f"{prefix}voter/{voter_name}", NO_PATTERN, {})
                for voter_name in encoder.tuned:
                    # The probe measures no update of it: it is counted by the rows that it reads.
                    learned = LEARNED * encoder.learned[number]
                    read = encoder.times({**parts, "labeled": self.labeled + learned}) if learned else {}
                    yield JobLoad(stage, f"{prefix}voter/{voter_name}", NO_PATTERN, read)

    def _embedding(self) -> Iterator[JobLoad]:
        parts = {"pool": self.pool, "labeled": self.labeled, "test": self.test}
        for encoder in self.encoders:
            yield JobLoad("embeddings", f"embeddings/{encoder.name}", NO_PATTERN, encoder.times(parts))
        if self.first_labels and self.generation_rows[0] < self.pool:  # else they are those of generation 0
            for encoder in self.encoders:
                yield from (JobLoad("embeddings", f"voter/{name}", NO_PATTERN, {}) for name in encoder.voters)

    def _comparing(self) -> Iterator[JobLoad]:
        asked = {"pool": self.compared, "test": self.test}
        learned = self.pool + (self.labeled if self.gold_rows else 0)
        if self.distill_size != "static":  # which reads all before its first update, to know the words
            learned = min(learned, self.distill_steps * self.distill_batch)
        read = {} if self.known else {**asked, "pool": self.compared + self.distill_embedded}
        yield JobLoad("distilling", "distill", NO_PATTERN, read, STUDENT, self.distill_steps, learned)
        if self.untrained or self.weighed:
            yield from self._untrained()
        if not self.baseline:
            return
        steps = self.baseline_steps
        for parts in (asked, *[{"labeled": self.labeled}] * self.folds):
            yield JobLoad("baselines", "supervised", NO_PATTERN, parts, BASELINE, steps, self.labeled)
        if not self.encoders:
            parts = {"pool": self.embedded, "labeled": self.labeled, "test": self.test}
            yield JobLoad("baselines", "embeddings", NO_PATTERN, parts)

    def _untrained(self) -> Iterator[JobLoad]:
        parts = {"pool": self.compared, "test": self.test, "labeled": self.labeled}
        for pattern in dict.fromkeys(voter.pattern for voter in self.voters):
            yield JobLoad("zero-shot", f"zero-shot/{pattern}", pattern, parts)


def token_cost(config: Any) -> float:
    """Return what a token costs an encoder, up to a factor: its layers, times the square of its width."""
    layers, width = getattr(config, "num_hidden_layers", 1), getattr(config, "hidden_size", 1)
    return float(layers * width**2)


def variant_of(spec: VoterSpec) -> str:
    """Name what an update of a voter costs: all its settings but for how many there are, and their rates."""
    others = {"seeds", "voters", "steps", "stop_loss", "learning_rate", "prompt_learning_rate"}
    return spec.train.model_dump_json(exclude=others, exclude_none=True)


def adaptation_load(settings: AdaptSettings, max_length: int, pool: int, filled: Mapping[str, int]) -> JobLoad | None:
    """Count what the model reads: the rows of a pool, or patterns `filled` with so many of them; None if nothing."""
    if settings.method == "none":
        return None
    pattern, texts = NO_PATTERN, pool
    if settings.method == "pcp":
        pattern, texts = next(iter(filled)), sum(min(rows, MOST_FILLED) for rows in filled.values())
    limited = settings.is_limited
    passes, steps = (math.inf, settings.steps or math.inf) if limited else (MOST_PASSES, MOST_STEPS)
    tokens = min(steps * settings.batch_size * max_length, settings.tokens or math.inf)
    return JobLoad(
        stage="adapting",
        name="adapt",
        pattern=pattern,
        rows={"pool": LEARNED * passes * texts},
        most_tokens=LEARNED * tokens,
        most_seconds=60.0 * (settings.minutes or math.inf),
    )
