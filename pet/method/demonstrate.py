"""Which labeled rows a voter shows behind each row: those of its set, nearest by the encoder's vectors, or drawn."""

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np

from pet.data.examples import Example
from pet.data.keys import key_of
from pet.learners.voters.spec import VoterSpec
from pet.method.embed import Embedded, embedded
from pet.method.generation import TrainingSet
from pet.method.jobs import Jobs
from pet.prompts.demonstrations import Demonstrations, Near
from pet.seeding import derive_seed


def demonstrations(spec: VoterSpec, training: TrainingSet, jobs: Jobs) -> Demonstrations | None:
    """Return what a voter shows behind each row, of the gold rows of its set alone; None where it shows nothing."""
    if not spec.shown.count or not len(training.gold):
        return None
    wanted = jobs.encoder if spec.shows_nearest else None
    near = _nearness(embedded(wanted, jobs), training, jobs) if wanted else None
    rows = tuple(jobs.rows.data.labeled[i] for i in training.gold)
    seed = derive_seed(jobs.seed, "demonstrations", spec.kind, spec.seed_index)
    return Demonstrations(rows, jobs.rows.gold[training.gold], spec.shown, near, seed)


def _nearness(found: Embedded, training: TrainingSet, jobs: Jobs) -> Near:
    """Return what says how near rows of the run are to the gold ones of a set; of other rows all are as near."""
    data, shown = jobs.rows.data, found.centred(found.labeled[training.gold])
    sets: tuple[Iterable[Example], ...] = (data.unlabeled, data.labeled, data.test, jobs.rows.content_free)
    places = {_key(row): place for place, row in enumerate(chain.from_iterable(sets))}
    bounds = np.cumsum([len(found.pool), len(found.labeled), len(found.test)])
    parts = (found.pool, found.labeled, found.test, found.content_free)

    def near(rows: Sequence[Example]) -> np.ndarray:
        cosines = np.zeros((len(rows), len(shown)), np.float32)
        for i, row in enumerate(rows):
            place = places.get(_key(row))
            if place is not None:
                part = int(np.searchsorted(bounds, place, side="right"))
                vector = parts[part][place - (bounds[part - 1] if part else 0)]
                cosines[i] = shown @ found.centred(vector[None])[0]
        return cosines

    return near


def _key(row: Example) -> bytes:
    return key_of("\0".join(row.fields.values()))
