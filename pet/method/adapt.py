"""Adaptation: before anything is trained on labels, the model reads the texts of the pool as it was pretrained.

The paper's figure 5 (2001.07676) and 2004.10964: text of the domain helps, and that adds to what patterns do. It is one
job, done once for all voters; every other job of the run starts from the weights that it leaves.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from itertools import compress
from pathlib import Path
from typing import Any

from pet.data.dataset import TaskData
from pet.errors import ModelError, RunError
from pet.learners.models.sources import ModelSource, longest_input
from pet.method.inputs import StageInputs
from pet.method.stages import Workbench
from pet.pretraining.corpus import Corpus
from pet.pretraining.loop import Hooks, Lesson, Pretraining
from pet.pretraining.measuring import held_out_batches
from pet.pretraining.mixing import mixed_shares
from pet.pretraining.start import Start
from pet.runs.directory import RunDirectory
from pet.runs.jobs import Job, job_hash
from pet.runs.manifest import Manifest
from pet.runs.results import Work
from pet.seeding import derive_seed
from pet.settings.pretraining import AdaptSettings, LimitSettings, MaskingSettings, UpdateSettings

__all__ = ["adaptation_facts", "adapted", "adapted_before", "adapted_model"]

_NAME = "adapt"
_MODEL, _FIGURES = "model", "training.json"

MOST_STEPS, MOST_PASSES = 200, 4
"""Without a limit it ends after so many steps, or so many times the text of the pool: whichever comes first."""

_HELD_OUT = 20
"""One text in so many is only measured on."""

_MEASURED_TOKENS = 16_384


def adapted(bench: Workbench, settings: AdaptSettings, say: Callable[[str], None] = lambda _: None) -> Workbench:
    """Return a bench whose model has read the pool as the settings say; the same one for the method "none".

    Raises
    ------
    ModelError
        If the model has no trained masked-LM head.
    """
    if settings.method == "none":
        return bench
    inputs = bench.inputs
    machine = [inputs.machine.device.type, inputs.machine.precision]
    parts = {
        "settings": settings.model_dump(mode="json"),
        "defaults": [] if settings.is_limited else [MOST_STEPS, MOST_PASSES],
        "length": inputs.model.max_length,
        "machine": machine,
    }
    job = Job(_NAME, job_hash(name=_NAME, base=dict(inputs.base), seed=inputs.seed, **parts))

    def work(folder: Path) -> None:
        replace(bench).try_on()  # before minutes of work; the model of this copy goes with it
        with bench.stages.stage("adapting the model to the pool", 100) as advance:
            shown = 0

            def show(done: float, _rate: float) -> None:
                nonlocal shown
                advance(int(100 * done) - shown)
                shown = int(100 * done)

            _work(folder, inputs, settings, Hooks(advanced=show, measured=lambda point: bench.note(point.line())))

    bench.put_model_away()
    done, started = bench.store.done(job), time.monotonic()
    found = _on_adapted(bench, bench.store.run(job, work), job.key)
    if not done:
        found.took(job, time.monotonic() - started)
    facts = adaptation_facts(found)["adapt"]
    say(f"adapted to the pool in {facts['steps']} steps: masked accuracy {_shown(facts)} on texts held out of it")
    return found


def adapted_before(bench: Workbench, directory: RunDirectory) -> Workbench:
    """Return a bench whose model is the one that an earlier run in this directory has adapted, if it has.

    Raises
    ------
    RunError
        If that model is gone.
    """
    model = adapted_model(directory)
    if model is None and _adapted_key(directory):
        raise RunError(
            f"The model that this run has adapted to its pool is gone from {directory.jobs}: make it again with "
            '`pet run`, or choose one to train with --set distill.model="NAME".'
        )
    return _on_adapted(bench, model.parent, model.parent.name) if model else bench


def adapted_model(directory: RunDirectory) -> Path | None:
    """Return the folder of the model that a run in this directory has adapted, if it has."""
    key = _adapted_key(directory)
    model = directory.jobs / (key or "") / _MODEL
    return model if key and model.is_dir() else None


def _adapted_key(directory: RunDirectory) -> str | None:
    manifest = Manifest.from_file(directory.manifest_path)
    return manifest.jobs.get(_NAME) if manifest else None


def adaptation_facts(bench: Workbench) -> dict[str, dict[str, object]]:
    """Return ``{"adapt": {steps, tokens, accuracy_before, accuracy_after, curve}}``, or nothing without adaptation."""
    key = bench.inputs.base.get(_NAME)
    if key is None:
        return {}
    curve = json.loads((bench.store.folder / key / _FIGURES).read_text(encoding="utf-8"))["curve"]
    first, last = curve[0], curve[-1]
    return {
        _NAME: {
            "steps": last["step"],
            "tokens": last["tokens"],
            "accuracy_before": first["valid_accuracy"],
            "accuracy_after": last["valid_accuracy"],
            "curve": curve,
        }
    }


def _shown(facts: dict[str, object]) -> str:
    return f"{facts['accuracy_before']:.1%} before, {facts['accuracy_after']:.1%} after"


def _on_adapted(bench: Workbench, folder: Path, key: str) -> Workbench:
    """Return the bench on the weights of a finished adaptation, by which all its jobs are named from now on."""
    inputs = bench.inputs
    source = ModelSource(inputs.source.name, folder / _MODEL)
    found = replace(bench, inputs=replace(inputs, source=source, base={**inputs.base, _NAME: key}))
    found.voter_jobs[_NAME] = key
    curve = json.loads((folder / _FIGURES).read_text(encoding="utf-8"))["curve"]
    found.work[key] = Work(steps=curve[-1]["step"])
    return found


def _work(folder: Path, inputs: StageInputs, settings: AdaptSettings, hooks: Hooks) -> None:
    """Train, and leave a stock model folder and the curve."""
    start = Start.from_model(inputs.source, inputs.seed)
    if start.new != "nothing":
        raise ModelError(
            f"{inputs.source.name} has no masked-LM head: patterns need the head that the model was pretrained with; "
            "choose the masked-LM version of this model."
        )
    training = Pretraining(start.on(inputs.machine.device), _lesson(inputs, start, settings), inputs.machine)
    training.train(hooks)
    start.model.save_pretrained(folder / _MODEL)
    start.tokenizer.save_pretrained(folder / _MODEL)
    curve = [{**asdict(point), "seconds": None} for point in training.progress.curve]
    (folder / _FIGURES).write_text(json.dumps({"curve": curve}), encoding="utf-8")


def _lesson(inputs: StageInputs, start: Start, settings: AdaptSettings) -> Lesson:
    length = min(inputs.model.max_length, longest_input(start.model.config, start.tokenizer))
    texts, held_out = (
        Corpus.from_documents({"pool": _texts(inputs.data, held_out)}, start.tokenizer, length)
        for held_out in (False, True)
    )
    limits: dict[str, Any] = settings.model_dump(include=set(LimitSettings.model_fields))
    if not settings.is_limited:
        limits = {"steps": MOST_STEPS, "tokens": MOST_PASSES * int(texts.tokens.sum())}
    budget = inputs.machine.token_budget.tokens
    return Lesson(
        corpus=texts,
        shares=mixed_shares(texts.tokens, [None]),
        masking=MaskingSettings(rate=settings.rate),
        updates=UpdateSettings(batch_size=settings.batch_size, learning_rate=settings.learning_rate, **limits),
        length=length,
        seed=derive_seed(inputs.seed, _NAME),
        held_out=held_out_batches(held_out, start.tokenizer, length, _MEASURED_TOKENS, budget),
        measurements=4,
    )


def _texts(data: TaskData, held_out: bool) -> Iterator[str]:
    """Yield the texts of the pool that are measured on, or the others."""
    chosen = ((i % _HELD_OUT == 0) == held_out for i in range(len(data.unlabeled)))
    return (text for row in compress(data.unlabeled, chosen) for text in row.fields.values())
