"""Which voters can read the texts: those whose tokenizer knows their words; the others are left out of a run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pet.data.examples import Example
from pet.errors import ConfigError
from pet.learners.models.readability import OTHER_ENCODER, OTHER_MODEL, Readability, readability
from pet.learners.models.sources import ModelSource, load_tokenizer, model_kind
from pet.learners.voters.embedding import EmbeddingSpec
from pet.learners.voters.spec import VoterSpec
from pet.settings.pretraining import AdaptSettings


@dataclass(frozen=True)
class Readers:
    """The voters that can read the texts, and what is to be said of those that were left out."""

    patterns: tuple[VoterSpec, ...]
    embeddings: tuple[EmbeddingSpec, ...]
    encoder: ModelSource | None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise a `ConfigError` where the nearest labeled rows are to be shown, and nothing says which these are."""
        if self.encoder is None and any(spec.shows_nearest for spec in self.patterns):
            raise ConfigError(
                'prompts.demonstration_choice = "nearest" needs an encoder that reads the texts, and there is none: '
                'set [encoder] name, or demonstration_choice = "drawn".'
            )


def able_readers(all_of_them: Readers, model: ModelSource, rows: Sequence[Example]) -> Readers:
    """Return the voters without those of a family that cannot read the texts, where another one can.

    A single family stays as it is, and what it cannot read is said: there is nobody else. One that knows the words,
    though in many pieces, stays where the other does not know them at all.

    Raises `ConfigError` if two families were asked for and neither knows the words of the texts.
    """
    encoder = all_of_them.encoder
    if not (all_of_them.patterns and all_of_them.embeddings and encoder):
        return replace(all_of_them, notes=_alone(all_of_them, model, rows))
    own, other = _reading(model, rows), _reading(encoder, rows)
    problems = own.problem(Path(model.name).name), other.problem(Path(encoder.name).name)
    if own.unreadable and other.unreadable:
        raise ConfigError(
            f"No voter can read the texts ({'; '.join(problems)}): take models that read their language, such as "
            f"{OTHER_MODEL} and {OTHER_ENCODER}."
        )
    if problems[0] and (other.readable or own.unreadable):
        note = f"the voters with patterns are left out: {problems[0]}; another model.name could read them"
        return Readers((), all_of_them.embeddings, encoder, (note,))
    if problems[1] and (own.readable or other.unreadable):
        readable = tuple(spec for spec in all_of_them.embeddings if spec.source.digest != encoder.digest)
        return Readers(all_of_them.patterns, readable, None, (f"the voters on vectors are left out: {problems[1]}",))
    return replace(all_of_them, notes=tuple(filter(None, problems)))


def check_adaptation(settings: AdaptSettings, voters: Readers, model: ModelSource) -> None:
    """Raise a `ConfigError` if the model is to read patterns, and no voter has one, or it cannot be adapted at all."""
    if settings.method != "none" and model_kind(model.config) != "masked":
        raise ConfigError(
            f'adapt.method = "{settings.method}" trains a masked language model, and {model.name} is none: take '
            '"none", or another model.name.'
        )
    if settings.method == "pcp" and not voters.patterns:
        raise ConfigError(
            'adapt.method = "pcp" reads patterns that are filled with labels, and no voter of this run has a pattern: '
            'take "none", or voters with patterns (a preset other than "fast", and a model that knows the words of the '
            "texts)."
        )


def _alone(family: Readers, model: ModelSource, rows: Sequence[Example]) -> tuple[str, ...]:
    """Say which models of the one family of voters do not know the words of the texts."""
    sources = {spec.source.digest: spec.source for spec in family.embeddings}
    models = [(model, OTHER_MODEL)] if family.patterns else [(source, OTHER_ENCODER) for source in sources.values()]
    return tuple(
        line for source, instead in models for line in _reading(source, rows).advice(Path(source.name).name, instead)
    )


def _reading(source: ModelSource, rows: Sequence[Example]) -> Readability:
    return readability(load_tokenizer(source.folder), rows)
