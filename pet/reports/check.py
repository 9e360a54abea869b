"""What a model will read and say, before anything long starts: `pet check`."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

import numpy as np

from pet.data.dataset import TaskData
from pet.data.examples import Example
from pet.errors import shown, visible
from pet.labeling.calibration import batch_calibrated
from pet.learners.models.encoding import PatternEncoder, ShownRows
from pet.learners.models.readability import OTHER_ENCODER, OTHER_MODEL, Readability, readability
from pet.learners.models.sources import ModelSource, load_tokenizer
from pet.learners.models.words import WordReport, label_words, misspelt, word_reports
from pet.learners.voters.parts import row_length
from pet.learners.voters.shared import SharedModel, drawn_demonstrations
from pet.learners.voters.spec import VoterSpec
from pet.method.metrics import gold_columns
from pet.prompts.verbalizers import NAME_WORDS
from pet.reports.columns import FOLDED, columns, fitting, more_lines
from pet.reports.tokens import row_tokens
from pet.runs.progress import stage_progress
from pet.seeding import rng_for
from pet.settings.run import RunSettings

SAMPLED_ROWS = 200
_LABELS_SHOWN, _LONGEST_LINE, _WIDEST = 10, 500, 32
_ALIKE = 3
"""Of more words that are wrong in the same way one is named."""


@dataclass(frozen=True)
class PatternReport:
    """One pattern: a real row as the model reads it, and how it does before training.

    `truncated` is the share of rows whose text is cut, `cut` the share of the tokens of such a row that is, and
    `windows` those that a row is read in, both in the mean. `tokens` are those of a row, and `shown` those with its
    demonstrations, if there are any. `accuracy` and `calibrated` are zero-shot accuracies on the labeled rows, raw and
    with the pattern's own preference taken off (None without labeled rows or usable words, and the latter where each
    row has candidates of its own).
    """

    name: str
    example: str
    pieces: str
    words: tuple[WordReport, ...]
    truncated: float
    cut: float
    windows: float
    tokens: float
    shown: float | None
    accuracy: float | None
    calibrated: float | None


@dataclass(frozen=True)
class Reading:
    """How the tokenizer of a model splits the texts; `instead` is what to set where it cannot read them."""

    model: str
    found: Readability
    instead: str


@dataclass(frozen=True)
class CheckReport:
    """All patterns, the messages about the data, what a run would refuse, and what else to change (empty: nothing).

    `rows` says how many there are, and `readings` how well each model can read them; `descriptions` are those of the
    labels that have one.
    """

    rows: str
    readings: tuple[Reading, ...]
    patterns: tuple[PatternReport, ...]
    messages: tuple[str, ...]
    problems: tuple[str, ...]
    advice: tuple[str, ...]
    descriptions: Mapping[str, str] = field(default_factory=dict)


def check(
    data: TaskData,
    voters: Sequence[VoterSpec],
    model: SharedModel,
    settings: RunSettings,
    notes: Sequence[str],
    encoder: ModelSource | None = None,
) -> CheckReport:
    """Render, encode and score a sample of a run's rows with its untrained model; `notes` are told with the rest.

    Of a run's `encoder` no more is looked at than how it reads the texts.
    """
    model = replace(model, kinds=())  # what does not fit it is to be told of with the rest
    if settings.precision == "auto":  # float32, until a run has tried the other
        model = replace(model, machine=replace(model.machine, scoring="fp32"))
    size = min(SAMPLED_ROWS, len(data.unlabeled))
    chosen = rng_for(settings.seed, "check").choice(len(data.unlabeled), size=size, replace=False)
    pool = [data.unlabeled[i] for i in np.sort(chosen)]
    specs = [spec for spec in voters if not spec.seed_index]
    with stage_progress("checking", len(specs)) as advance:
        reports = []
        for spec in specs:
            reports.append(_pattern_report(data, model, spec, pool))
            advance(1)
    readings = _readings(model if specs else None, encoder, pool)
    said = model.backbone.abilities.said(model.source.name, model.machine) if specs else None
    advice, problems = (*_unread(readings), *_advice(data, reports)), _problems(reports)
    problems = problems or list(dict.fromkeys(map(str, model.misfits(specs))))  # which want the words of the labels
    found = (tuple(reports), (*notes, *filter(None, [said])), tuple(problems), advice, data.task.descriptions)
    return CheckReport(_row_counts(data), readings, *found)


def _row_counts(data: TaskData) -> str:
    counts = Counter(str(row.label) for row in data.labeled)
    labels = ", ".join(f"{shown(label)} {counts[label]}" for label in data.task.labels[:_LABELS_SHOWN])
    more = f" and {len(data.task.labels) - _LABELS_SHOWN} more" if len(data.task.labels) > _LABELS_SHOWN else ""
    return f"{len(data.labeled)} labeled ({labels}{more}), {len(data.unlabeled)} unlabeled, {len(data.test)} test rows"


def _readings(model: SharedModel | None, encoder: ModelSource | None, pool: Sequence[Example]) -> tuple[Reading, ...]:
    """Say how the models of a run read its texts: that of the patterns, if there are any, and the encoder."""
    readings = []
    if model is not None:
        readings.append(Reading(model.source.name, readability(model.backbone.tokenizer, pool), OTHER_MODEL))
    if encoder is not None:
        found = readability(load_tokenizer(encoder.folder), pool)
        readings.append(Reading(encoder.name, found, OTHER_ENCODER))
    return tuple(readings)


def _unread(readings: Sequence[Reading]) -> list[str]:
    """Say so where a tokenizer does not know the words of the texts: they are of another language."""
    return [f"{line}." for reading in readings for line in reading.found.advice(reading.model, reading.instead)]


def _pattern_report(data: TaskData, model: SharedModel, spec: VoterSpec, pool: Sequence[Example]) -> PatternReport:
    backbone, settings, pattern = model.backbone, model.settings, spec.prompt.pattern
    words = tuple(word_reports(spec.pvp, backbone.pieces, model.multi_token))
    length = row_length(settings, backbone.longest_input, spec.train)
    alone = PatternEncoder(pattern, backbone.pieces, length, settings.truncation)
    encoder = _with_shown(alone, data, model, spec, words)
    slots = max((len(word.ids) for word in words), default=1) if model.multi_token else 1
    encoded, plain = (one.encode(pool, max(1, slots)) for one in (encoder, alone))
    lost = [row.cut / (row.cut + int(row.text_positions.sum())) for row in encoded if row.cut]
    accuracy, calibrated = None, None
    if data.labeled and not any(word.problem for word in words):
        voter = model.voter(spec.pvp)
        scores, gold = voter.scores(data.labeled), gold_columns(data.labeled, data.task.labels)
        accuracy = float((scores.argmax(axis=1) == gold).mean())
        if not voter.words.per_row:
            calibrated = float((batch_calibrated(scores, voter.scores(pool)).argmax(axis=1) == gold).mean())
    return PatternReport(
        name=spec.kind,
        example=pattern.describe(pool[0], backbone.tokenizer.mask_token or "[MASK]"),
        pieces=_shown(encoder, pool[0], max(1, slots)),
        words=words,
        truncated=float(np.mean([row.cut > 0 for row in encoded])),
        cut=float(np.mean(lost)) if lost else 0.0,
        windows=float(np.mean([len(row.windows) for row in plain])),
        tokens=float(np.mean([sum(map(len, row.windows)) for row in plain])),
        shown=float(np.mean([sum(map(len, row.windows)) for row in encoded])) if encoder.shown else None,
        accuracy=accuracy,
        calibrated=calibrated,
    )


def _with_shown(
    encoder: PatternEncoder, data: TaskData, model: SharedModel, spec: VoterSpec, words: Sequence[WordReport]
) -> PatternEncoder:
    """Return an encoder with the demonstrations of a voter, drawn from all labeled rows; none without usable words."""
    drawn = drawn_demonstrations(spec.shown, data)
    if drawn is None or any(word.problem for word in words):
        return encoder
    first = label_words(spec.pvp, model.backbone.pieces, model.multi_token).first
    return replace(encoder, shown=ShownRows.fitting(drawn, first, encoder))


def _shown(encoder: PatternEncoder, example: Example, slots: int) -> str:
    """Return the tokens that are read of a row, with free virtual tokens as what they are."""
    tokens = [token for token in row_tokens(encoder, example, slots) if not token.cut]
    texts = encoder.pieces.tokenizer.convert_ids_to_tokens([token.id for token in tokens])
    return " ".join("[soft]" if token.kind == "soft" else text for token, text in zip(tokens, texts, strict=True))


def _problems(reports: Sequence[PatternReport]) -> list[str]:
    """Say which words a run would refuse, each once; many that have several tokens in one sentence."""
    words = list(dict.fromkeys(word for report in reports for word in report.words if word.problem))
    labels = {word.label for report in reports for word in report.words}
    long = list(dict.fromkeys((word.label, word.word) for word in words if word.is_long))
    problems = list(dict.fromkeys(_problem(word, labels) for word in words if not word.is_long or len(long) <= _ALIKE))
    if len(long) > _ALIKE:
        label, word = long[0]
        problems.append(
            f"{len(long)} words of labels, such as {word!r} of {label!r}, are several tokens for this tokenizer: set "
            "prompts.multi_token = true, choose others in [prompts] verbalizer, or do without patterns "
            '(--fast, or train.preset = "fast").'
        )
    return problems


def _problem(word: WordReport, labels: Set[str]) -> str:
    return (
        f"The word {word.word!r} of label {word.label!r} is {word.problem}: choose another in [prompts] verbalizer"
        + (", or set prompts.multi_token = true." if word.is_long else ".")
        + misspelt(word.label, labels)
    )


def _advice(data: TaskData, reports: Sequence[PatternReport]) -> list[str]:
    """Say what else to change."""
    advice = [
        f"{report.truncated:.0%} of the texts are cut under {report.name}, by {report.cut:.0%} in the mean: raise "
        'model.max_length, or set model.truncation to what is to be read of them ("head", "head+tail" or "windows").'
        for report in reports
        if report.truncated > 0.1
    ]
    found = [max(report.accuracy, report.calibrated or 0.0) for report in reports if report.accuracy is not None]
    gold = gold_columns(data.labeled, data.task.labels)
    if found and max(found) <= by_chance(gold, len(data.task.labels)):
        numbers = bool(reports[0].words) and not any(sign.isalpha() for word in reports[0].words for sign in word.word)
        advice.append(
            f"No pattern knows the labels untrained ({max(found):.0%} of the labeled rows at best, which is chance): "
            + (
                f"they are numbers; {NAME_WORDS}."
                if numbers
                else "try other words or patterns, such as those that `pet search verbalizer` and `pet search "
                "patterns` find from the labeled rows, or a larger model."
            )
        )
    return advice


def by_chance(gold: np.ndarray, labels: int) -> float:
    """Return the accuracy of always saying the most frequent label of some rows, and one standard error."""
    share = float(np.bincount(gold, minlength=labels).max()) / len(gold)
    return share + math.sqrt(share * (1.0 - share) / len(gold))


def report_lines(report: CheckReport, every: bool = False) -> list[str]:
    """Return the report as lines for a terminal; of long tables ten rows, unless `every` one is to be shown."""
    lines = [report.rows, *map(_reading_line, report.readings), *(f"note: {message}" for message in report.messages)]
    for pattern in report.patterns:
        lines += ["", *_pattern_lines(pattern)]
    most = None if every else FOLDED
    words = _word_lines(report.patterns, most)
    lines += ["", "words", *words] if words else []
    if report.descriptions:
        told = [(f"  {_line(label)}", _line(text)) for label, text in report.descriptions.items()]
        lines += ["", "descriptions", *columns(told[:most], 2), *_more(len(told), most, "descriptions")]
    if any(word.problem for pattern in report.patterns for word in pattern.words):
        lines += ["", "zero-shot is measured once the words are mended"]
    problems = [f"must change: {problem}" for problem in report.problems]
    problems = [*problems[:most], *(line.strip() for line in _more(len(problems), most, "of these"))]
    advice = [f"change: {advice}" for advice in report.advice]
    nothing = "change: nothing, but see the notes above" if report.messages else "change: nothing"
    # What a run would refuse stands last, where it is seen first.
    return [*lines, "", *(advice + problems or [nothing])]


def _reading_line(reading: Reading) -> str:
    found = reading.found
    whole = "" if found.whole is None else f", {found.whole:.0%} of the longer words as a whole"
    return (
        f"{reading.model} reads the texts in {found.pieces_per_word:.1f} pieces per word, {found.unknown:.0%} of them "
        f"unknown{whole}"
    )


def _pattern_lines(pattern: PatternReport) -> list[str]:
    lines = [pattern.name, f"  row     {_line(pattern.example)}", f"  tokens  {_line(pattern.pieces)}"]
    lost = f", {pattern.cut:.1%} of the tokens of each in the mean" if pattern.truncated else ""
    lines.append(f"  cut     {pattern.truncated:.1%} of the rows{lost}")
    if pattern.shown is not None:
        lines.append(f"  shown   {pattern.shown:.0f} tokens a row with demonstrations, {pattern.tokens:.0f} without")
    lines += [f"  read in {pattern.windows:.1f} windows a row in the mean"] if pattern.windows > 1 else []
    if pattern.accuracy is not None:
        calibrated = "" if pattern.calibrated is None else f", calibrated {pattern.calibrated:.1%}"
        lines.append(f"  zero-shot on the labeled rows  {pattern.accuracy:.1%}{calibrated}")
    return lines


def _word_lines(patterns: Sequence[PatternReport], most: int | None) -> list[str]:
    """Return a line per word, those that a run would refuse first where not all are shown."""
    # A byte-level tokenizer splits a word in another way where the mask is glued to what stands before it.
    words = list(dict.fromkeys(word for pattern in patterns for word in pattern.words))
    if most is not None and len(words) > most:
        words.sort(key=lambda word: not word.problem)
    cells = [
        (
            f"  {fitting(word.label, _WIDEST)}",
            fitting(word.word, _WIDEST),
            fitting(" ".join(word.pieces), _WIDEST),
            word.problem.partition(" (")[0] or ("ok" if len(word.pieces) == 1 else "ok, several tokens"),
        )
        for word in words[:most]
    ]
    return [*columns(cells, 4), *_more(len(words), most, "words")]


def _more(count: int, most: int | None, what: str) -> list[str]:
    return [f"  {line}" for line in more_lines(count - (count if most is None else most), what)]


def _line(text: str) -> str:
    """Return a text as one line of a terminal: shortened, and no sign in it that steers the terminal."""
    return visible(text if len(text) <= _LONGEST_LINE else f"{text[:_LONGEST_LINE]}…")
