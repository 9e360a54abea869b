"""Prompt-based continued pretraining (PCP, 2305.01711): the model reads the patterns, filled with texts and labels.

The labels are those that the voters of a first generation 0 give to pool rows. A word of a row's label stands where the
mask was, and is masked no more often than any other: the model learns how texts and words of labels go together, not
the labels alone. Weights are averaged with those of the start (2109.01903), so that what the model knew stays.

Voters then vote anew from these weights, and the run goes on from there unless their labels are worse.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pet.forecast.workload import MOST_FILLED
from pet.learners.models.batching import row_chunks
from pet.learners.models.filling import filled_rows
from pet.learners.models.splicing import Encoded
from pet.method.adapt import NAME, Reading, measured_on, read
from pet.method.generation import Generation
from pet.method.jobs import Jobs, digest
from pet.method.place import RunPlace
from pet.pretraining.corpus import Corpus
from pet.pretraining.initial import InitialModel
from pet.prompts.pvp import PVP
from pet.seeding import rng_for
from pet.settings.pretraining import AdaptSettings

TRAINED_SHARE = 0.5
"""The part of the trained weights in those that are kept."""


@dataclass(frozen=True)
class _Filling:
    """Pool rows with the columns of their labels, int64 [n] each, to be read under each of the `pvps`."""

    pvps: Sequence[PVP]
    rows: np.ndarray
    columns: np.ndarray
    jobs: Jobs

    @classmethod
    def of(cls, generation: Generation, pvps: Sequence[PVP], jobs: Jobs) -> "_Filling":
        """Take the rows and the labels of a generation, at most `MOST_FILLED` at random."""
        count, columns = len(generation.rows), generation.soft.hard()
        drawn = rng_for(jobs.seed, NAME, "rows").choice(count, min(count, MOST_FILLED), replace=False)
        return cls(pvps, generation.rows[np.sort(drawn)], columns[np.sort(drawn)], jobs)

    def depends(self) -> dict[str, object]:
        """Return all that the texts depend on, as plain values."""
        pvps, columns = [pvp.key() for pvp in self.pvps], self.columns.astype(np.int64, copy=False)
        return {"pvps": pvps, "rows": digest(self.rows.astype(np.int64, copy=False)), "labels": digest(columns)}

    def texts(self, start: InitialModel) -> tuple[Corpus, Corpus]:
        """Return the filled patterns of most rows, and those of the rows that are only measured on."""
        apart, backbone = measured_on(len(self.rows)), self.jobs.model.load()
        learned, held_out = (
            Corpus.from_rows("filled patterns", self._filled(chosen), start.tokenizer, backbone.uses_segments)
            for chosen in (~apart, apart)
        )
        self.jobs.model.unload()
        return learned, held_out

    def _filled(self, chosen: np.ndarray) -> Iterator[Encoded]:
        """Yield the chosen rows (bool [n]) under each pattern."""
        places, columns, pool = self.rows[chosen], self.columns[chosen], self.jobs.rows.data.unlabeled
        for pvp in self.pvps:
            voter, rng = self.jobs.model.voter(pvp), rng_for(self.jobs.seed, NAME, "words", pvp.name)
            for part in row_chunks(len(places)):
                with voter.backbone.pieces.temporary_cache():
                    yield from filled_rows(voter.encoder, voter.words, pool.take(places[part]), columns[part], rng)


def prompted(before: Generation, pvps: Sequence[PVP], settings: AdaptSettings, place: RunPlace) -> RunPlace:
    """Return a place whose model has read each pattern filled with each row and label of a generation.

    Raises `ModelError` if the model has no trained masked-LM head. Raises `DataError` if there is only one row.
    """
    filling = _Filling.of(before, pvps, place.jobs)
    reading = Reading("the filled patterns", filling.texts, place.jobs, filling.depends(), TRAINED_SHARE)
    return read(reading, settings, place)


def kept_if_sound(before: Generation, after: Generation, plain: RunPlace, taught: RunPlace) -> RunPlace:
    """Return the place whose model has learned, unless the labels of its voters are worse than those `before`.

    They are if the accuracy on gold rows held out is lower, by however little, or `after` is rejected as a generation
    that goes on from the other one would be. Without gold rows held out, the loss of masked words must not be higher
    than before, in filled patterns that were only measured on.
    """
    about = taught.adaptation[NAME]
    objection = after.rejected or _objection(before, after, about)
    was, now = (one.figures.held_out.accuracy if one.figures.held_out else None for one in (before, after))
    facts = {NAME: {**about, "held_out_before": was, "held_out_after": now, "rejected": objection}}
    if objection is None:
        measured = "" if was is None else f": accuracy on gold rows held out {was:.1%} before, {now:.1%} after"
        plain.log.say(f"the voters start from the adapted model{measured}")
        return replace(taught, adaptation=facts)
    plain.log.say(f"the voters start from the model as it was: on the adapted one, {objection}")
    del plain.jobs.runner.journal.keys[NAME]
    taught.jobs.model.unload()
    return replace(plain, adaptation=facts)


def _objection(before: Generation, after: Generation, about: Mapping[str, Any]) -> str | None:
    was, now = before.figures.held_out, after.figures.held_out
    if was and now:
        rows, fell = len(now.correct), now.accuracy < was.accuracy
        how = f"the accuracy on {rows} gold rows held out fell from {was.accuracy:.1%} to {now.accuracy:.1%}"
        return how if fell else None
    first, last = (about["curve"][place]["valid_loss"] for place in (0, -1))
    return f"the loss of masked words rose from {first:.3f} to {last:.3f}" if last > first else None
