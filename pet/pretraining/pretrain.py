"""Masked-LM pretraining, top to bottom: the start, the text as tokens, the training, the model with its card."""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from pet.errors import ConfigError, DataError, UsageError
from pet.learners.models.machine import Machine
from pet.learners.models.sources import (
    ModelSource,
    find_model,
    longest_input,
    quiet_transformers,
    stock_tokenizer,
)
from pet.pretraining.card import pretrained_card
from pet.pretraining.corpus import Corpus
from pet.pretraining.initial import InitialModel, check_start
from pet.pretraining.masking import held_out_batches
from pet.pretraining.mixing import mixed_shares
from pet.pretraining.progress import Point
from pet.pretraining.text import TextFiles
from pet.pretraining.training import Callbacks, Pretraining, PretrainingData
from pet.runs.atomic import folder_problem, remove_whole, write_folder, write_json
from pet.runs.checkpoints import Checkpoints
from pet.runs.directory import RunDirectory
from pet.runs.identity import code_digest
from pet.runs.jobs import Job, JobStore, job_hash
from pet.runs.log import RunLog
from pet.runs.progress import rate_progress
from pet.settings.pretraining import (
    LimitSettings,
    MaskingSettings,
    OutputSettings,
    StartSettings,
)
from pet.settings.recipe import PretrainConfig
from pet.settings.run import RunSettings

# Paths are left out, for files count by what is in them; and what may change while it is under way.
_NOT_IDENTITY = {"text": {"files", "valid"}, "start": {"model"}, "output": {"checkpoint_minutes"}}
_NOT_ON_CARD = {"text": {"files", "valid"}, "start": {"model"}}

_NO_MEAN = "output.trained_share needs a start that was trained, head and all, found a new one: leave it out."


@dataclass(frozen=True)
class PretrainResult:
    """Where the model lies, and what was measured on the way."""

    directory: Path
    model: Path
    curve: tuple[Point, ...]


def pretrain(
    config: PretrainConfig, output_dir: str | Path, *, force: bool = False, quiet: bool = False
) -> PretrainResult:
    """Train a masked language model on text; it lies in ``OUT/model``.

    A training that was interrupted goes on from its last checkpoint. `force` deletes another one there.

    Raises `PetError` if an input is wrong, the directory holds something else, or the work fails.
    """
    quiet_transformers()
    text = TextFiles.from_settings(config.text)
    _check(config.start, config.train, config.masking, config.output)
    identity = _identity(config.model_dump(mode="json", exclude=_NOT_IDENTITY), config.start, text)
    with _directory(Path(output_dir), config.to_toml(), identity, force) as directory:
        log = RunLog(directory.log_path, io.StringIO() if quiet else None)
        if folder_problem(directory.model) is None:
            log.say(f"{directory.model} is finished already")
            return _result(directory)
        jobs = directory.store(log)
        start = _initial_model(config.start, text, config.text.length, config.run.seed, jobs)
        corpus, valid = _tokens(text, start, config.text.length, jobs)
        machine = Machine.pick(RunSettings(device=config.run.device, precision=config.run.precision))
        model = InitialModel.load(start, machine.device)
        machine = _able(model, config.start.model or "the new model", machine, log)
        if config.output.trained_share < 1.0 and model.new != "nothing":
            raise ConfigError(_NO_MEAN)
        length, budget = config.text.length, config.train.batch_size // config.train.accumulation * config.text.length
        measured = held_out_batches(valid, model.tokenizer, length, config.text.valid_tokens, budget)
        shares = mixed_shares(corpus.tokens, [source.share for source in text.sources])
        data = PretrainingData(corpus, shares, length, config.run.seed, measured)
        frozen = InitialModel.load(start, machine.device).model if config.masking.keep_embeddings else None
        training = Pretraining(model, data, config.masking, config.train, machine, frozen)
        _train(training, Checkpoints(directory.jobs), config.output, log, quiet)
        _average(training, start, config.output.trained_share, log)
        write_json(directory.metrics_path, {"curve": [asdict(point) for point in training.progress.curve]})
        settings = config.model_dump(mode="json", exclude_none=True, exclude=_NOT_ON_CARD)
        settings["train"] = training.updates.model_dump(mode="json", exclude_none=True)
        card = pretrained_card(directory.root.resolve().name, config.start.model, text, training, settings)
        _publish(directory.model, training.model, model.tokenizer, config.output.dtype, card)
    return _result(directory)


def _able(model: InitialModel, name: str, machine: Machine, log: RunLog) -> Machine:
    """Return a machine that computes as the model can, and say so where it is not as asked."""
    abilities = model.abilities(name)
    if said := abilities.said(name, machine):
        log.say(said)
    return abilities.fit(machine)


def _check(start: StartSettings, limits: LimitSettings, masking: MaskingSettings, output: OutputSettings) -> None:
    """Refuse what cannot become a training, before anything is read."""
    if start.model is None and start.from_scratch is None:
        raise ConfigError("No start is named: give --from MODEL, or --from-scratch LAYERSxHIDDEN such as 6x384.")
    if not limits.is_limited:
        raise ConfigError("No limit is set, expected one of --steps, --tokens and --minutes.")
    if masking.keep_embeddings and start.model is None:
        raise ConfigError("--keep-embeddings keeps those of a trained start: give --from, or leave it out.")
    if output.trained_share < 1.0 and start.model is None:
        raise ConfigError(_NO_MEAN)
    if start.model is not None:
        check_start(find_model(start.model, start.revision))


def _identity(settings: Mapping[str, Any], start: StartSettings, text: TextFiles) -> dict[str, str]:
    shares = [source.share for source in text.sources]
    return {
        "config": job_hash(settings=settings, shares=shares),
        "data": text.digest,
        "model": find_model(start.model, start.revision).digest if start.model else "none",
        "code": code_digest(),
    }


@contextmanager
def _directory(root: Path, config_toml: str, identity: Mapping[str, str], force: bool) -> Iterator[RunDirectory]:
    """Open the directory; a new one goes again where the input is wrong, or the mended input would be another run's."""
    is_new = not root.exists()
    try:
        with RunDirectory.open(root, config_toml, identity, force) as directory:
            yield directory
    except UsageError:
        if is_new and root.exists():
            remove_whole(root)
        raise


def _initial_model(settings: StartSettings, text: TextFiles, length: int, seed: int, jobs: JobStore) -> Path:
    """Return the folder of the model that the training starts from, with its tokenizer."""

    def work(folder: Path) -> None:
        if settings.model is None:
            jobs.log.say("training the tokenizer")
            start = InitialModel.from_scratch(settings, text.all_documents, length, seed)
        else:
            start = InitialModel.from_model(find_model(settings.model, settings.revision), seed)
        if settings.trim_vocab not in (None, len(start.tokenizer)):
            jobs.log.say(f"trimming the vocabulary to {settings.trim_vocab} pieces")
            start = start.trimmed(settings.trim_vocab, text.all_documents)
        start.with_frequencies(text.all_documents).save(folder)

    return jobs.run(Job("start", job_hash(job="start", settings=settings.model_dump(mode="json"), seed=seed)), work)


def _tokens(text: TextFiles, start: Path, length: int, jobs: JobStore) -> tuple[Corpus, Corpus]:
    """Return the text and the held-out text as tokens; without the latter it is empty."""
    tokenizer = stock_tokenizer(start)
    longest = longest_input(ModelSource(str(start), start).config, tokenizer)
    if length > longest:
        raise ConfigError(f"text.length is {length}, but the model reads {longest} tokens at most: lower it.")

    def work(folder: Path) -> None:
        jobs.log.say("turning the text into tokens")
        corpus = Corpus.from_documents(text.by_source(jobs.log.say), tokenizer, length)
        if len(corpus.ids) < length:
            raise DataError(
                f"The text has {len(corpus.ids)} tokens, expected more than one row of {length}: give more text, or a "
                "smaller text.length."
            )
        corpus.save(folder / "text.safetensors")
        Corpus.from_documents(text.held_out(jobs.log.say), tokenizer, length).save(folder / "valid.safetensors")

    folder = jobs.run(Job("tokens", job_hash(job="tokens", start=start.name, text=text.digest, length=length)), work)
    corpus, valid = Corpus.load(folder / "text.safetensors"), Corpus.load(folder / "valid.safetensors")
    for name, tokens in zip(corpus.names, corpus.tokens.tolist(), strict=True):
        jobs.log.say(f"{name}: {tokens:,} tokens")
    return corpus, valid


def _train(training: Pretraining, checkpoints: Checkpoints, settings: OutputSettings, log: RunLog, quiet: bool) -> None:
    """Train to the end, from the last checkpoint where there is one."""
    if (latest := checkpoints.latest()) is not None:
        training.load(latest)
        log.say(f"going on from step {training.progress.step:,}")
    with rate_progress("pretraining", "tokens", False if quiet else None) as show, _told_when_stopped(training):
        training.train(
            Callbacks(
                measurements=settings.measurements,
                measured=lambda point: log.say(point.line()),
                advanced=show,
                save=lambda: checkpoints.save(training.save),
                save_seconds=60 * settings.checkpoint_minutes,
            )
        )


@contextmanager
def _told_when_stopped(training: Pretraining) -> Iterator[None]:
    """Let whoever stops the training hear how far it is."""
    try:
        yield
    except KeyboardInterrupt as stop:
        stop.add_note(f"the training had come to step {training.progress.step:,}, and was kept within the last minute")
        raise


def _average(training: Pretraining, start: Path, share: float, log: RunLog) -> None:
    """Make the weights a share of what they are and, for the rest, the start's."""
    if share < 1.0:
        log.say(f"{share:g} of the trained weights, the rest of the start's:")
        first = InitialModel.load(start, training.machine.device).model
        training.average(first, share, lambda point: log.say(point.line()))


def _publish(target: Path, model: Any, tokenizer: Any, dtype: str, card: str) -> None:
    """Write the stock model folder, with the tokenizer of the start and the card."""

    def write(folder: Path) -> None:
        model.to(torch.float16 if dtype == "fp16" else torch.float32).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (folder / "README.md").write_text(card, encoding="utf-8")

    write_folder(target, write)


def _result(directory: RunDirectory) -> PretrainResult:
    points = json.loads(directory.metrics_path.read_text(encoding="utf-8"))["curve"]
    return PretrainResult(directory.root, directory.model, tuple(Point(**point) for point in points))
