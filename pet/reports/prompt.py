"""How a model reads one row under a pattern, token by token: `pet explain-prompt`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pet.data.dataset import TaskData
from pet.data.examples import Example
from pet.errors import ConfigError
from pet.learners.models.backbone import Backbone
from pet.learners.models.encoding import PatternEncoder
from pet.learners.models.sources import ModelSource, language_model_config, load_tokenizer, longest_input, model_kind
from pet.learners.models.tokens import PieceTokenizer
from pet.learners.models.words import label_words
from pet.learners.voters.parts import row_length
from pet.learners.voters.pvp import PvpVoter
from pet.learners.voters.shared import SharedModel
from pet.learners.voters.spec import VoterSpec, distinct_pvps
from pet.method.adapt import adapted_model
from pet.reports.tokens import TokenKind, row_tokens
from pet.runs.directory import RunDirectory

NEAREST = 3
"""So many words are shown for a trained vector."""


@dataclass(frozen=True)
class PromptToken:
    """One token of a row: its id and text, where it comes from, its segment, and whether it is cut off.

    `nearest` are the words whose vectors lie nearest to the trained one that stands here, with their cosines.
    """

    id: int
    text: str
    kind: TokenKind
    segment: int
    cut: bool
    nearest: tuple[tuple[str, float], ...] = ()


def explain_prompt(
    prompt: str, row: int, data: TaskData, voters: Sequence[VoterSpec], model: SharedModel
) -> list[PromptToken]:
    """Return the tokens of a row, counted from 1: of the labeled rows, or of the pool without any.

    `prompt` is what the one pattern of the `voters` was asked for by, or the folder of a saved voter, whose trained
    vectors are then told.

    Raises `ConfigError` if there is no such row, or several patterns fit. Raises `ModelError` if the saved voter is
    one of another model.
    """
    fitting = [pvp.pattern.name for pvp in distinct_pvps(voters)]
    saved = saved_voter(prompt)
    if not saved and len(fitting) > 1:
        raise ConfigError(f"{len(fitting)} patterns fit {prompt!r}, expected one: take {' or '.join(fitting[:3])}.")
    rows = data.labeled or data.unlabeled
    if not 1 <= row <= len(rows):
        raise ConfigError(f"--row {row}: expected one from 1 to {len(rows)}, the rows of the pipeline's first file.")
    if saved:
        backbone = Backbone.language_model(base_of(saved, model.source), model.machine.device)
        voter = PvpVoter.load(saved, backbone, model.machine)
        return list(_tokens(voter.encoder, rows[row - 1], voter.words.slots, _nearest(voter)))
    encoder, slots = _reading(voters[0], model)
    return list(_tokens(encoder, rows[row - 1], slots, {}))


def saved_voter(prompt: str) -> Path | None:
    """Return the folder of a saved voter; None where the text is something else."""
    return Path(prompt) if (Path(prompt) / "voter.json").is_file() else None


def base_of(voter: Path, source: ModelSource) -> ModelSource:
    """Return the model that a saved voter was trained on: the one that its run has adapted, if it has."""
    above = voter.resolve().parents  # of RUN/jobs/<hash>/model
    model = adapted_model(RunDirectory(above[2])) if len(above) > 2 else None
    return replace(source, folder=model) if model else source


def _reading(spec: VoterSpec, model: SharedModel) -> tuple[PatternEncoder, int]:
    """Return the encoder of a voter, and the number of its mask tokens; no weights are read."""
    config = language_model_config(model.source)
    pieces = PieceTokenizer(load_tokenizer(model.source.folder), model_kind(config) or "masked")
    longest = longest_input(config, pieces.tokenizer)
    length = row_length(model.settings, longest, spec.train)
    encoder = PatternEncoder(spec.prompt.pattern, pieces, length, model.settings.truncation)
    return encoder, label_words(spec.prompt, pieces, model.multi_token).slots


def _nearest(voter: PvpVoter) -> Mapping[int, Sequence[tuple[str, float]]]:
    """Return the nearest words of each row of a voter's table."""
    if voter.parts is None or voter.parts.prompt is None:
        return {}
    return dict(enumerate(voter.parts.prompt.nearest_words(voter.backbone, NEAREST)))


def _tokens(
    encoder: PatternEncoder, example: Example, slots: int, nearest: Mapping[int, Sequence[tuple[str, float]]]
) -> Iterator[PromptToken]:
    tokenizer = encoder.pieces.tokenizer
    for token in row_tokens(encoder, example, slots):
        text = f"soft {token.slot}" if token.kind == "soft" else tokenizer.convert_ids_to_tokens(token.id)
        yield PromptToken(token.id, text, token.kind, token.segment, token.cut, tuple(nearest.get(token.slot, ())))


def prompt_lines(tokens: Sequence[PromptToken]) -> list[str]:
    """Return one line per token, for a terminal."""
    lines = [f"{'id':>6}  {'token':<16} {'kind':<8} {'segment':<8}"]
    for token in tokens:
        end = "cut" if token.cut else ", ".join(f"{word} {cosine:.2f}" for word, cosine in token.nearest)
        lines.append(f"{token.id:>6}  {token.text:<16} {token.kind:<8} {token.segment:<8} {end}".rstrip())
    return lines
