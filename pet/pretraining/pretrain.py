"""Masked-LM pretraining, top to bottom: the start, the text as tokens, the training, the model with its card."""

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from pet.data.documents import TextSource, documents, text_sources
from pet.errors import ConfigError, DataError, UsageError
from pet.learners.models.machine import Machine
from pet.learners.models.sources import find_model, model_digest, quiet_transformers
from pet.pretraining.card import PretrainedFacts, SourceFacts, pretrained_card
from pet.pretraining.corpus import Corpus
from pet.pretraining.loop import Hooks, Lesson, Pretraining
from pet.pretraining.measuring import held_out_batches
from pet.pretraining.mixing import mixed_shares
from pet.pretraining.progress import Point
from pet.pretraining.start import Start, check_length, check_start
from pet.runs.atomic import folder_problem, remove_whole, write_folder, write_json
from pet.runs.checkpoints import Checkpoints
from pet.runs.directory import RunDirectory
from pet.runs.identity import code_digest
from pet.runs.jobs import Job, JobStore, job_hash
from pet.runs.log import RunLog
from pet.runs.rates import rate_progress
from pet.settings.recipe import PretrainConfig
from pet.settings.run import RunSettings

__all__ = ["PretrainResult", "check_settings", "pretrain"]

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

    Raises
    ------
    PetError
        If an input is wrong, the directory holds something else, or the work fails.
    """
    quiet_transformers()
    text = _Text.from_config(config)
    check_settings(config)
    root = Path(output_dir)
    is_new = not root.exists()
    try:
        with RunDirectory.open(root, config.to_toml(), _identity(config, text), force) as directory:
            log = RunLog(directory.log_path, io.StringIO() if quiet else None)
            if folder_problem(directory.model) is None:
                log.say(f"{directory.model} is finished already")
            else:
                _pretrain(config, text, directory, log, quiet)
    except UsageError:
        if is_new and root.exists():  # or the mended input would count as that of another run
            remove_whole(root)
        raise
    return _result(directory)


def _pretrain(config: PretrainConfig, text: "_Text", directory: RunDirectory, log: RunLog, quiet: bool) -> None:
    store = directory.store(log)
    start = _start_job(config, text, store, log)
    corpora = _token_job(config, text, start, store, log)
    machine = Machine.pick(RunSettings(device=config.run.device, precision=config.run.precision))
    training = _training(config, text, corpora, start, machine)
    _train(training, directory, config, log, quiet)
    if (share := config.output.trained_share) < 1.0:
        log.say(f"{share:g} of the trained weights, the rest of the start's:")
        first = Start.load(start, machine.device).model
        training.average(first, share, Hooks(measured=lambda point: log.say(point.line())))
    write_json(directory.metrics_path, {"curve": [asdict(point) for point in training.progress.curve]})
    facts = _facts(config, text, corpora[0], training, directory.root.resolve().name)
    _publish(directory.model, training.model, start, config, facts)


def check_settings(config: PretrainConfig) -> None:
    """Refuse what cannot become a training, before anything is read.

    Raises
    ------
    UsageError
        If no start or no limit is named, or the starting model is of another kind.
    """
    start, train = config.start, config.train
    if start.model is None and start.from_scratch is None:
        raise ConfigError("No start is named: give --from MODEL, or --from-scratch LAYERSxHIDDEN such as 6x384.")
    if train.steps is None and train.tokens is None and train.minutes is None:
        raise ConfigError("No limit is set, expected one of --steps, --tokens and --minutes.")
    if config.masking.keep_embeddings and start.model is None:
        raise ConfigError("--keep-embeddings keeps those of a trained start: give --from, or leave it out.")
    if config.output.trained_share < 1.0 and start.model is None:
        raise ConfigError(_NO_MEAN)
    if start.model is not None:
        check_start(find_model(start.model, start.revision))


@dataclass(frozen=True)
class _Text:
    """The sources of text and the held-out file."""

    sources: tuple[TextSource, ...]
    valid: str | None
    columns: tuple[str, ...]

    @classmethod
    def from_config(cls, config: PretrainConfig) -> "_Text":
        text = config.text
        return cls(tuple(text_sources(text.files, text.shares, text.valid)), text.valid, text.columns)

    def all_documents(self) -> Iterator[str]:
        return chain.from_iterable(self.by_source().values())

    def by_source(self, say: Callable[[str], None] = lambda _: None) -> Mapping[str, Iterable[str]]:
        return {one.name: chain.from_iterable(self.read(file, say) for file in one.files) for one in self.sources}

    def read(self, file: str, say: Callable[[str], None] = lambda _: None) -> Iterator[str]:
        return documents(file, self.columns, say)

    @cached_property
    def digest(self) -> str:
        """Stands for what is in the files, and which of them are one source."""
        files = [(source.name, [self._digest(file) for file in source.files]) for source in self.sources]
        return job_hash(files=files, columns=self.columns, valid=self._digest(self.valid) if self.valid else None)

    def _digest(self, file: str) -> str:
        path = Path(file)
        if not path.is_file():  # a hub data set counts by its name; a file that is missing is told by its reader
            next(self.read(file), None)
            return file
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()


def _identity(config: PretrainConfig, text: _Text) -> dict[str, str]:
    # Paths are left out, for files count by what is in them; and what may change while it is under way.
    left_out = {"text": {"files", "valid"}, "start": {"model"}, "output": {"checkpoint_minutes"}}
    shares = [source.share for source in text.sources]
    source = find_model(config.start.model, config.start.revision) if config.start.model else None
    return {
        "config": job_hash(settings=config.model_dump(mode="json", exclude=left_out), shares=shares),
        "data": text.digest,
        "model": model_digest(source.folder) if source else "none",
        "code": code_digest(),
    }


def _start_job(config: PretrainConfig, text: _Text, store: JobStore, log: RunLog) -> Path:
    """Return the folder of the model that the training starts from, with its tokenizer."""
    settings, seed = config.start, config.run.seed

    def work(folder: Path) -> None:
        if settings.model is None:
            log.say("training the tokenizer")
            start = Start.from_scratch(settings, text.all_documents, config.text.length, seed)
        else:
            start = Start.from_model(find_model(settings.model, settings.revision), seed)
        if settings.trim_vocab not in (None, len(start.tokenizer)):
            log.say(f"trimming the vocabulary to {settings.trim_vocab} pieces")
            start = start.trimmed(settings.trim_vocab, text.all_documents)
        start.with_frequencies(text.all_documents).save(folder)

    return store.run(Job("start", job_hash(job="start", settings=settings.model_dump(mode="json"), seed=seed)), work)


def _token_job(config: PretrainConfig, text: _Text, start: Path, store: JobStore, log: RunLog) -> tuple[Corpus, Corpus]:
    """Return the text and the held-out text as tokens; without the latter it is empty."""
    length = config.text.length
    loaded = Start.load(start, torch.device("cpu"))
    check_length(loaded, length)

    def work(folder: Path) -> None:
        log.say("turning the text into tokens")
        corpus = Corpus.from_documents(text.by_source(log.say), loaded.tokenizer, length)
        if len(corpus.ids) < length:
            raise DataError(
                f"The text has {len(corpus.ids)} tokens, expected more than one row of {length}: give more text, or a "
                "smaller text.length."
            )
        held_out = {text.valid: text.read(text.valid, log.say)} if text.valid else {}
        corpus.save(folder / "text.safetensors")
        Corpus.from_documents(held_out, loaded.tokenizer, length).save(folder / "valid.safetensors")

    folder = store.run(Job("tokens", job_hash(job="tokens", start=start.name, text=text.digest, length=length)), work)
    found = Corpus.load(folder / "text.safetensors"), Corpus.load(folder / "valid.safetensors")
    for name, tokens in zip(found[0].names, found[0].tokens.tolist(), strict=True):
        log.say(f"{name}: {tokens:,} tokens")
    return found


def _training(
    config: PretrainConfig, text: _Text, corpora: tuple[Corpus, Corpus], folder: Path, machine: Machine
) -> Pretraining:
    corpus, valid = corpora
    start = Start.load(folder, machine.device)
    if config.output.trained_share < 1.0 and start.new != "nothing":
        raise ConfigError(_NO_MEAN)
    keeps = config.masking.keep_embeddings > 0
    budget = config.train.batch_size // config.train.accumulation * config.text.length
    measured = valid, start.tokenizer, config.text.length, config.text.valid_tokens, budget
    lesson = Lesson(
        corpus=corpus,
        shares=mixed_shares(corpus.tokens, [source.share for source in text.sources]),
        masking=config.masking,
        updates=config.train,
        length=config.text.length,
        seed=config.run.seed,
        held_out=held_out_batches(*measured) if len(valid) else [],
        measurements=config.output.measurements,
    )
    return Pretraining(start, lesson, machine, Start.load(folder, machine.device).model if keeps else None)


def _train(training: Pretraining, directory: RunDirectory, config: PretrainConfig, log: RunLog, quiet: bool) -> None:
    """Train to the end, from the last checkpoint where there is one."""
    checkpoints = Checkpoints(directory.jobs)
    if (latest := checkpoints.latest()) is not None:
        training.load(latest)
        log.say(f"going on from step {training.progress.step:,}")
    with rate_progress("pretraining", "tokens", False if quiet else None) as show:
        training.train(
            Hooks(
                measured=lambda point: log.say(point.line()),
                advanced=show,
                save=lambda: checkpoints.save(training.save),
                save_seconds=60 * config.output.checkpoint_minutes,
            )
        )


def _publish(target: Path, model: Any, start: Path, config: PretrainConfig, facts: PretrainedFacts) -> None:
    """Write the stock model folder, with the tokenizer of the start and the card."""
    tokenizer = Start.load(start, torch.device("cpu")).tokenizer

    def write(folder: Path) -> None:
        model.to(torch.float16 if config.output.dtype == "fp16" else torch.float32).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (folder / "README.md").write_text(pretrained_card(facts), encoding="utf-8")

    write_folder(target, write)


def _facts(config: PretrainConfig, text: _Text, corpus: Corpus, training: Pretraining, name: str) -> PretrainedFacts:
    progress, model = training.progress, training.model
    tokens, shares = corpus.tokens.tolist(), training.lesson.shares.tolist()
    sources = [
        SourceFacts(source.name, len(source.files), tokens[i], shares[i], progress.seen[i])
        for i, source in enumerate(text.sources)
    ]
    if config.start.model is None:
        start = "random weights, and a tokenizer trained on the text"
    else:
        # A folder's own name: where it lies on this machine is nobody's business.
        known = Path(config.start.model)
        start = f"`{known.name if known.is_dir() else known}`"
    settings = config.model_dump(mode="json", exclude_none=True, exclude={"text": {"files", "valid"}})
    settings["start"].pop("model", None)
    settings["train"] = training.updates.model_dump(mode="json", exclude_none=True)
    config_of = model.config
    return PretrainedFacts(
        name=name,
        start=start,
        shape=f"{config_of.model_type}, {config_of.num_hidden_layers} layers x {config_of.hidden_size}, "
        f"{config_of.vocab_size:,} pieces, {sum(w.numel() for w in model.parameters()):,} parameters, "
        f"{config.output.dtype} safetensors",
        sources=sources,
        curve=[asdict(point) for point in progress.curve],
        settings=settings,
        machine=f"{training.machine.device.type}, {training.machine.precision}",
    )


def _result(directory: RunDirectory) -> PretrainResult:
    points = json.loads(directory.metrics_path.read_text(encoding="utf-8"))["curve"]
    return PretrainResult(directory.root, directory.model, tuple(Point(**point) for point in points))
