"""Trained virtual tokens as words: a discrete pattern for each saved voter of a run that has some."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pet.errors import ConfigError
from pet.labeling.ranking import Measured, ensemble_scores
from pet.learners.models.backbone import Backbone
from pet.learners.voters.pvp import PvpVoter
from pet.learners.voters.shared import SharedModel
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.templates import Literal, Segment, Soft, Tune, with_shared, written
from pet.reports.prompt import base_of
from pet.search.candidates import whole_words
from pet.search.rows import SearchRows

_NEAREST = 20


@dataclass(frozen=True)
class Discrete:
    """A pattern whose virtual tokens became the words nearest to them, with what was measured of it, untrained.

    `voter` was measured of the trained one with these tokens, on the same labeled rows, most of which it has learned
    from.
    """

    pattern: Pattern
    measured: Measured
    voter: Measured

    @property
    def is_as_good(self) -> bool:
        """Whether the pattern is right on as many rows as the voter may be by its interval."""
        return self.measured.accuracy >= self.voter.low

    def __str__(self) -> str:
        """Return the pattern and both figures for a person."""
        told = f"{self.pattern.name}: {self.pattern.template}   {self.measured}; with its virtual tokens {self.voter}"
        return told if self.is_as_good else f"{told}: left out"


def discrete_patterns(run: Path, rows: SearchRows, model: SharedModel) -> list[Discrete]:
    """Return a pattern for each saved voter of a run that has virtual tokens.

    Raises `ConfigError` if the run has none. Raises `ModelError` if a voter is one of another model.
    """
    found = list(_discrete(run, rows, model))
    if not found:
        raise ConfigError(
            f"--from-soft {run}: no saved voter with virtual tokens lies in it; run with --keep-models and a preset "
            "such as p-tuning, or patterns with {soft:3} in them."
        )
    return found


def _discrete(run: Path, rows: SearchRows, model: SharedModel) -> Iterator[Discrete]:
    words = whole_words(model.backbone.pieces, glued=False)
    for place, folder in enumerate(sorted(path.parent for path in run.glob("jobs/*/model/voter.json")), 1):
        base = Backbone.masked_lm(base_of(folder, model.source), model.machine.device)
        voter = PvpVoter.load(folder, base, model.machine)
        if voter.parts is None or voter.parts.prompt is None:
            continue
        nearest = voter.parts.prompt.nearest_words(voter.backbone, _NEAREST)
        said = {slot: next((word for word, _ in near if word in words), "") for slot, near in enumerate(nearest)}
        pattern = _with_words(voter, said)
        named = replace(pattern, name=f"soft/{place}", description=f"From the virtual tokens of {pattern.name}.")
        untrained = model.voter(PVP(named, voter.pvp.verbalizer))
        yield Discrete(named, _measured(untrained, rows), _measured(voter, rows))


def _measured(voter: PvpVoter, rows: SearchRows) -> Measured:
    scores = ensemble_scores([voter.scores(rows.known[: len(rows.gold)])], [voter.scores(rows.pool)])
    return Measured.of(scores, rows.gold)


def _with_words(voter: PvpVoter, said: Mapping[int, str]) -> Pattern:
    """Return the pattern of a voter with words in the place of its virtual tokens."""
    pattern = voter.encoder.pattern
    keys = [part.key for part in pattern.virtual_parts]
    groups, following = dict(zip(dict.fromkeys(keys), voter.encoder.virtual, strict=True)), iter(keys)
    segments: list[Segment] = []
    for item in with_shared(pattern.segments):
        if isinstance(item, Soft | Tune):
            group = groups[next(following)]
            text = " ".join(filter(None, (said[group.offset + i] for i in range(group.size))))
            segments.append(Literal(f" {text} "))
        else:
            segments.append(item)
    return Pattern(pattern.name, " ".join(written(segments).split()))
