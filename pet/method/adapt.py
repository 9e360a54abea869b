"""Adaptation: before the voters are trained, the model reads the pool as it was pretrained.

The paper's figure 5 (2001.07676) and 2004.10964: text of the domain helps, and that adds to what patterns do. It is one
job, done once for all voters; every other job of the run starts from the weights that it leaves. What is read are the
texts of the pool, or patterns filled with them and their labels (see `pet.method.prompted`).
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from pet.data.rows import Rows
from pet.errors import ModelError, RunError
from pet.forecast.workload import MOST_PASSES, MOST_STEPS
from pet.learners.models.keeping import next_piece
from pet.learners.models.sources import longest_input
from pet.method.jobs import Jobs
from pet.method.place import RunPlace
from pet.pretraining.corpus import Corpus
from pet.pretraining.initial import InitialModel
from pet.pretraining.masking import held_out_batches
from pet.pretraining.mixing import mixed_shares
from pet.pretraining.training import Callbacks, Pretraining, PretrainingData
from pet.runs.directory import RunDirectory
from pet.runs.manifest import Manifest
from pet.runs.results import Work
from pet.seeding import derive_seed
from pet.settings.pretraining import AdaptSettings, LimitSettings, MaskingSettings, UpdateSettings

NAME = "adapt"
"""The name of the job."""

_MODEL, _FIGURES = "model", "training.json"

_HELD_OUT = 20
"""One text in so many is only measured on."""

_MEASURED_TOKENS, _MEASUREMENTS = 16_384, 4


Texts = Callable[[InitialModel], tuple[Corpus, Corpus]]
"""Makes, for the model that is to read them, the rows that it learns from and those that are only measured on."""


@dataclass(frozen=True)
class Reading:
    """What a model reads: `what` it is, for people; its `texts`, and what they depend on, as plain values by name.

    The weights that are kept are `trained_share` of the trained ones and, for the rest, those of the start. `jobs` are
    those whose rows are read.
    """

    what: str
    texts: Texts
    jobs: Jobs
    depends: Mapping[str, object] = field(default_factory=dict)
    trained_share: float = 1.0


def adapted(settings: AdaptSettings, place: RunPlace) -> RunPlace:
    """Return a place whose model has read the texts of the pool; the same one but for the method "mlm".

    Raises `ModelError` if the model has no trained masked-LM head.
    """
    if settings.method != "mlm":
        return place
    jobs = place.jobs.drawn  # it reads texts alone, whatever of them has a label by now
    return read(Reading("the pool", partial(_pool, jobs), jobs), settings, place)


def read(reading: Reading, settings: AdaptSettings, place: RunPlace) -> RunPlace:
    """Return a place whose model has read something, as a job; all of its jobs start from there.

    Raises `ModelError` if the model has no trained masked-LM head.
    """
    jobs, what = place.jobs, reading.what
    defaults = [] if settings.is_limited else [MOST_STEPS, MOST_PASSES]
    job = reading.jobs.runner.job(NAME, settings=settings.model_dump(mode="json"), defaults=defaults, **reading.depends)
    jobs.model.unload()
    folder = jobs.runner.folder(job, lambda folder: _read(folder, reading, settings, jobs))
    curve = json.loads((folder / _FIGURES).read_text(encoding="utf-8"))["curve"]
    jobs.runner.journal.keys[NAME] = job.key
    jobs.runner.journal.work[job.key] = Work(steps=curve[-1]["step"])
    facts = {
        "steps": curve[-1]["step"],
        "tokens": curve[-1]["tokens"],
        "accuracy_before": curve[0]["valid_accuracy"],
        "accuracy_after": curve[-1]["valid_accuracy"],
        "curve": curve,
    }
    place.log.say(
        f"adapted to {what} in {facts['steps']} steps: masked accuracy {facts['accuracy_before']:.1%} before, "
        f"{facts['accuracy_after']:.1%} after on texts held out of it"
    )
    return replace(place, jobs=jobs.on(folder / _MODEL, adapt=job.key), adaptation={NAME: facts})


def _read(folder: Path, reading: Reading, settings: AdaptSettings, jobs: Jobs) -> None:
    """Train the model on what it reads, and show how far it is."""
    jobs.model.load()  # so that a voter that does not fit it is refused before minutes of work
    jobs.model.unload()
    with jobs.runner.stages.stage(f"adapting the model to {reading.what}", 100) as advance:
        shown = 0

        def show(done: float, _rate: float) -> None:
            nonlocal shown
            advance(int(100 * done) - shown)
            shown = int(100 * done)

        callbacks = Callbacks(_MEASUREMENTS, lambda point: jobs.runner.note(point.line()), show)
        _train(folder, reading, settings, jobs, callbacks)


def adapted_before(jobs: Jobs, directory: RunDirectory) -> Jobs:
    """Return jobs whose model is the one that an earlier run in this directory has adapted, if it has.

    Raises `RunError` if that model is gone.
    """
    model = adapted_model(directory)
    if model is None and _adapted_key(directory):
        raise RunError(
            f"The model that this run has adapted to its pool is gone from {directory.jobs}: make it again with "
            '`pet run`, or choose one to train with --set distill.model="NAME".'
        )
    return jobs.on(model, adapt=model.parent.name) if model else jobs


def adapted_model(directory: RunDirectory) -> Path | None:
    """Return the folder of the model that a run in this directory has adapted, if it has."""
    key = _adapted_key(directory)
    model = directory.jobs / (key or "") / _MODEL
    return model if key and model.is_dir() else None


def _adapted_key(directory: RunDirectory) -> str | None:
    manifest = Manifest.from_file(directory.manifest_path)
    return manifest.jobs.get(NAME) if manifest else None


def _train(folder: Path, reading: Reading, settings: AdaptSettings, jobs: Jobs, callbacks: Callbacks) -> None:
    """Train, and leave a stock model folder and the curve."""
    source = jobs.model.source
    start = InitialModel.from_model(source, jobs.seed)
    if start.new != "nothing":
        raise ModelError(
            f"{source.name} has no masked-LM head: patterns need the head that the model was pretrained with; "
            "choose the masked-LM version of this model."
        )
    data = _data(reading.texts, start, jobs)
    masking, updates = MaskingSettings(rate=settings.rate), _updates(settings, int(data.corpus.tokens.sum()))
    start = start.on(jobs.machine.device)
    machine = start.abilities(source.name).fit(jobs.machine)
    training = Pretraining(start, data, masking, updates, machine)
    # It keeps itself as `pet pretrain` does: its steps follow from their numbers.
    piece = next_piece("adaptation")
    if latest := piece.latest():
        training.load(latest)
    kept = replace(callbacks, save=lambda: piece.save(training.save) if piece.due() else None, save_seconds=1.0)
    training.train(kept)
    if reading.trained_share < 1.0:
        first = InitialModel.from_model(source, jobs.seed).on(machine.device)
        training.average(first.model, reading.trained_share, callbacks.measured)
    start.model.save_pretrained(folder / _MODEL)
    start.tokenizer.save_pretrained(folder / _MODEL)
    curve = [{**asdict(point), "seconds": None} for point in training.progress.curve]
    (folder / _FIGURES).write_text(json.dumps({"curve": curve}), encoding="utf-8")


def _data(texts: Texts, start: InitialModel, jobs: Jobs) -> PretrainingData:
    length, (learned, held_out) = _length(jobs, start), texts(start)
    budget = jobs.machine.token_budget.tokens
    measured = held_out_batches(held_out, start.tokenizer, length, _MEASURED_TOKENS, budget)
    shares = mixed_shares(learned.tokens, [None])
    return PretrainingData(learned, shares, length, derive_seed(jobs.seed, NAME), measured)


def _length(jobs: Jobs, start: InitialModel) -> int:
    return min(jobs.model.settings.max_length, longest_input(start.model.config, start.tokenizer))


def _updates(settings: AdaptSettings, tokens: int) -> UpdateSettings:
    limits: dict[str, Any] = settings.model_dump(include=set(LimitSettings.model_fields))
    if not settings.is_limited:
        limits = {"steps": MOST_STEPS, "tokens": MOST_PASSES * tokens}
    return UpdateSettings(batch_size=settings.batch_size, learning_rate=settings.learning_rate, **limits)


def measured_on(count: int) -> np.ndarray:
    """Say which of so many rows are only measured on, bool [n]: one in `_HELD_OUT`, the first among them."""
    return np.asarray(np.arange(count) % _HELD_OUT == 0)


def _pool(jobs: Jobs, start: InitialModel) -> tuple[Corpus, Corpus]:
    """Return the texts of the pool, cut into rows."""
    pool, length = jobs.rows.data.unlabeled, _length(jobs, start)
    apart = measured_on(len(pool))
    learned, held_out = (
        Corpus.from_documents({"pool": _texts(pool, chosen)}, start.tokenizer, length) for chosen in (~apart, apart)
    )
    return learned, held_out


def _texts(pool: Rows, chosen: np.ndarray) -> Iterator[str]:
    """Yield the texts of the chosen rows (bool [n]) of the pool."""
    return (text for row in compress(pool, chosen.tolist()) for text in row.fields.values())
