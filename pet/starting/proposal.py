"""From files to the settings of a first pipeline, each with its reason."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pet.data.examples import Example
from pet.data.labels import ONE_LABEL, joined_labels
from pet.errors import ConfigError, DataError, PromptError, shown
from pet.learners.models.readability import readability
from pet.learners.models.sources import ModelSource, find_model, load_tokenizer, quiet_transformers
from pet.prompts.patterns import Pattern
from pet.prompts.registry import Registry, load_patterns, load_verbalizers
from pet.prompts.verbalizers import Verbalizer
from pet.settings.task import DataSettings, label_word
from pet.settings.toml import absolute
from pet.starting.columns import Chosen, Given, choose_columns
from pet.starting.kinds import Kind, kind_of
from pet.starting.survey import Survey, survey
from pet.starting.words import Tried, try_words

Words = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Wish:
    """What a person has said: the files, and whatever shall not be guessed.

    `labels` are all of the task with words of theirs, none where the name is to be the word.
    """

    train: str
    unlabeled: str = ""
    test: str = ""
    columns: Given = field(default_factory=Given)
    labels: Words = field(default_factory=dict)
    kind: str = ""
    model: str = "pet-mini"


@dataclass(frozen=True)
class Sources:
    """Which source serves as what; a name is "" where there is none. `labeled` counts the rows with a label."""

    train: str
    unlabeled: str
    rows: str
    test: str
    labeled: int
    total: int


@dataclass(frozen=True)
class Proposal:
    """All that was chosen, with the reasons: what a pipeline is written from."""

    sources: Sources
    columns: Chosen
    labels: Mapping[str, int]
    kind: Kind
    words: Tried
    encoding: str
    sample: str
    named: bool
    """Whether the labels were named, and are not those of a column."""
    own_words: Words
    """The words that are written down; empty: they are those of the kind's verbalizer, or the label names."""
    model: str
    unread: str
    """What keeps the model from reading the texts; empty: nothing."""
    others: tuple[str, ...]
    """The columns that nothing is read from."""


def parse_labels(text: str) -> dict[str, tuple[str, ...]]:
    """Return the labels of ``a,b,c``, or with words of theirs of ``0=bad|poor,1=good``.

    >>> parse_labels("billing, account"), parse_labels("0=bad|poor,1=good")
    ({'billing': (), 'account': ()}, {'0': ('bad', 'poor'), '1': ('good',)})

    Raises `ConfigError` if there are fewer than two, or one stands twice.
    """
    found: dict[str, tuple[str, ...]] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, words = part.partition("=")
        label = label_word(name)
        if label in found or not label:
            raise ConfigError(f"--labels {text!r}: expected different labels, found {label!r} again.")
        found[label] = tuple(word.strip() for word in words.split("|") if word.strip())
    if len(found) < 2:
        raise ConfigError(f"--labels {text!r}: expected at least two labels with commas between them, such as a,b,c.")
    return found


def propose(wish: Wish) -> Proposal:
    """Look at the files and choose the settings.

    Raises `UsageError` if a file cannot be read, or something cannot be told; it says which flag decides.
    """
    first = survey(wish.train)
    columns = choose_columns(first.columns, wish.columns, wish.train, wish.labels)
    sources = _sources(wish, first, columns)
    labels = _labels(wish, first, columns)
    verbalizers = load_verbalizers()
    names = tuple((wish.labels.get(label) or (label,))[0] for label in labels)  # 0=bad tells what 0 means
    kind = kind_of(names, columns.texts, columns.label, verbalizers, wish.kind)
    if names != tuple(labels):
        kind = replace(kind, verbalizer="", words={}, doubt="")
    patterns = load_patterns()
    own, words = _words(wish, labels, kind, verbalizers, _first_pattern(kind, patterns))
    encoding, sample = _encoding(first, [survey(name) for name in (wish.unlabeled, wish.test) if name])
    return Proposal(
        sources=sources,
        columns=columns,
        labels=labels,
        kind=kind,
        words=words,
        encoding=encoding,
        sample=sample,
        named=bool(wish.labels),
        own_words=own,
        model=wish.model,
        unread=_unread(first, columns, wish.model),
        others=tuple(name for name in first.columns if name not in (*columns.texts, columns.label, columns.id)),
    )


def _unread(first: Survey, columns: Chosen, model: str) -> str:
    """Say what keeps a model from reading some of the texts (empty: nothing)."""
    texts = [Example("", {"text": text}) for column in columns.texts for text in first.columns[column].values]
    return readability(load_tokenizer(_model(model).folder), texts).problem(model)


def _sources(wish: Wish, first: Survey, columns: Chosen) -> Sources:
    """Say which file serves as what."""
    labeled = first.columns[columns.label].filled if columns.label else 0
    if wish.unlabeled:
        if not labeled:
            raise DataError(
                f"{wish.train}: no row has a label, so it cannot be the file of the labeled rows: leave it out."
            )
        return Sources(wish.train, wish.unlabeled, "", wish.test, labeled, first.rows)
    if not labeled and not wish.labels:
        raise DataError(
            f"{wish.train}: no row has a label in the column {shown(columns.label)}: name the labels with --labels "
            "a,b,c, or another column with --label-column."
        )
    if not labeled:
        return Sources("", wish.train, "", wish.test, 0, first.rows)
    if labeled == first.rows:
        raise DataError(
            f"{wish.train}: all of its {labeled} rows have a label, so none is left to be labeled: give a file of "
            f"unlabeled rows behind it, `pet init {wish.train} UNLABELED`, or the rows to label in it an empty label."
        )
    return Sources("", "", wish.train, wish.test, labeled, first.rows)


def _labels(wish: Wish, first: Survey, columns: Chosen) -> dict[str, int]:
    """Return the labels in order, with the number of their rows."""
    counts = Counter[str]()
    if columns.label:
        for value, count in first.columns[columns.label].values.items():
            counts[label_word(value)] += count
    labels = tuple(wish.labels) or tuple(sorted(counts))
    if joined := joined_labels(counts if not wish.labels else ()):
        rows = sum(counts[label] for label in joined)
        raise DataError(
            f"{wish.train}: {rows} rows have several labels, such as {shown(joined[0])}, and {ONE_LABEL}; if it is one "
            "label, name all of them with --labels."
        )
    if len(labels) < 2:
        raise DataError(
            f"{wish.train}: the only label in the column {shown(columns.label)} is {shown(labels[0])}, and at least "
            "two are needed: name all of them with --labels a,b,c, or another column with --label-column."
        )
    return {label: counts[label] for label in labels}


def _first_pattern(kind: Kind, patterns: Registry[Pattern]) -> Pattern:
    return patterns.select([kind.patterns])[0]


def _words(
    wish: Wish, labels: Mapping[str, int], kind: Kind, verbalizers: Registry[Verbalizer], pattern: Pattern
) -> tuple[Words, Tried]:
    """Return the words to write down (none: those of the kind's verbalizer, or the label names), tried."""
    given = any(wish.labels.values())
    try:
        plain = Verbalizer.from_labels(labels)
        meant = verbalizers.get(kind.verbalizer).words if kind.verbalizer else {**plain.words, **kind.words}
        chosen = {label: wish.labels.get(label) or meant[label] for label in labels} if given else dict(meant)
        tried = try_words(Verbalizer("words", chosen), pattern, _model(wish.model))
    except PromptError as error:
        text = str(error)
        hint = "" if "--labels" in text else " Name words for them with --labels LABEL=WORD,LABEL=WORD."
        raise PromptError(f"The labels cannot be told apart by words: {text}{hint}") from None
    stands = not given and not tried.dropped and (kind.verbalizer or tried.usable == plain.words)
    return ({} if stands else tried.usable), tried


def _model(name: str) -> ModelSource:
    quiet_transformers()
    return find_model(name)


def _encoding(first: Survey, others: list[Survey]) -> tuple[str, str]:
    """Return the one encoding of all files, with a word that shows it.

    Raises `DataError` if they have several.
    """
    found = {one.encoding: one for one in (first, *others) if one.encoding != "ascii"}
    if len(found) > 1:
        old = next(one for name, one in found.items() if name != "utf-8")
        raise DataError(
            f"{old.source} is not UTF-8 and another file is: save it as UTF-8, for example with "
            "`iconv -f cp1252 -t utf-8`."
        )
    return next(((name, one.sample) for name, one in found.items()), ("utf-8", ""))


def placed(sources: Sources, folder: Path) -> Sources:
    """Return sources as a pipeline in a folder names them: relative paths begin there."""
    paths = {name: getattr(sources, name) for name in DataSettings.SOURCES}
    found = absolute({"data": paths}, Path.cwd())["data"]
    moved: dict[str, Any] = {
        name: os.path.relpath(found[name], folder)
        for name, text in paths.items()
        if found[name] != text and not Path(text).expanduser().is_absolute()
    }
    return replace(sources, **moved)


def task_name(path: str) -> str:
    """Return the name of a task for the file of its rows.

    >>> task_name("my data/Tickets (1).csv.gz"), task_name("owner/name:train")
    ('Tickets -1-', 'name-train')
    """
    stem = Path(path).name.removesuffix(".gz")
    stem = stem.rpartition(".")[0] or stem
    name = "".join(sign if sign.isalnum() or sign in " ._-" else "-" for sign in stem).strip(" .")
    return name or "task"
