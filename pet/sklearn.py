"""`PetClassifier`: a run as an estimator of scikit-learn, from a few labels and a pile of texts to a classifier.

>>> from pet.sklearn import PetClassifier
>>> model = PetClassifier().fit(texts, labels)  # None, NaN or -1 for what has no label  # doctest: +SKIP
>>> model.predict(["Where is my parcel?"])  # doctest: +SKIP
"""
# ruff: noqa: N803 -- X and X_unlabeled are scikit-learn's names

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tomli_w
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from pet.data.examples import Example
from pet.data.overlap import normalise
from pet.data.rows import Rows
from pet.errors import DataError, shown
from pet.learners.students.base import Classifier
from pet.method.place import RunResult
from pet.pipeline import run
from pet.settings.config import RunConfig
from pet.settings.task import label_word
from pet.settings.toml import merged, overrides_as_tables
from pet.using.inputs import rows_of
from pet.using.predict import load_classifier

SET_ASIDE = 5
"""Where all rows have a label, one in so many of each class is taken for unlabeled: a run has something to label."""

_OPINIONS = frozenset({"positive", "negative", "neutral", "good", "bad", "great", "terrible", "pos", "neg"})


class InputError(DataError, ValueError):
    """Texts or labels that cannot be used: a `DataError` that scikit-learn knows as a `ValueError`."""


class PetClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Pattern-Exploiting Training as a semi-supervised classifier of texts, or of pairs of texts.

    Parameters
    ----------
    preset
        What votes: "fast", the vectors of an encoder alone, or any other ``[train] preset``, with patterns beside it.
    patterns
        Names or globs of patterns, such as "topic/*"; without, those that fit the names of the labels.
    label_words
        What each label of `y` is called in a pattern, one word or several: needed where labels are numbers.
    settings
        Any other setting: nested tables such as ``{"distill": {"steps": 300}}``, or a list of "section.key=value".
    output_dir
        Where the run lies, to be looked at later; without, in a temporary folder that goes with the estimator.
    random_state
        What all draws follow from.
    verbose
        Whether the run tells of itself, and shows its progress.

    Attributes
    ----------
    classes_
        The labels, sorted, of the type that `y` has.
    transduction_
        The label of each row of `X`: the given one, or that of the ensemble.
    run_directory_
        The run, for `pet.read_run` and `pet explain`; None once the estimator was unpickled without `output_dir`.
    """

    def __init__(  # noqa: PLR0913 -- an estimator has an argument per parameter
        self,
        preset: str = "fast",
        *,
        patterns: str | Sequence[str] | None = None,
        label_words: Mapping[Any, str | Sequence[str]] | None = None,
        settings: Mapping[str, Any] | Sequence[str] | None = None,
        output_dir: str | Path | None = None,
        random_state: Any = 42,
        verbose: bool = False,
    ) -> None:
        self.preset = preset
        self.patterns = patterns
        self.label_words = label_words
        self.settings = settings
        self.output_dir = output_dir
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any, X_unlabeled: Any = None) -> Self:
        """Label what has no label, and train a classifier of all of it.

        `X` are n texts or pairs: a list, an array, a Series, a frame with one or two columns; in `y` None, NaN or -1
        stand for no label. `X_unlabeled` are more texts without one.

        Raises `InputError` (a `ValueError`) if texts or labels cannot be used, `PetError` if the run fails.
        """
        names, texts = _fields_of(X), _texts_of(X)
        labels = _given_labels(y, len(texts))
        more = [] if X_unlabeled is None else _texts_of(X_unlabeled)
        rng = check_random_state(self.random_state)
        seed = self.random_state if isinstance(self.random_state, int) else int(rng.randint(2**31 - 1))
        self.classes_ = np.array(sorted({label for label in labels if label is not None}))
        if len(self.classes_) < 2:
            raise InputError(f"Found {len(self.classes_)} class in y, expected two or more: label a row of each.")
        words = _words_of(self.classes_)
        hidden = [
            None if aside else label for aside, label in zip(_aside(labels, bool(more), seed), labels, strict=True)
        ]
        columns = {name: name for name in names}
        rows = [*_examples(texts, hidden, columns), *_examples(more, [None] * len(more), columns, len(texts))]
        folder = self._new_folder()
        place = _Place(folder, rows, names)
        result = place.run(self._tables(words, seed), self.settings, quiet=not self.verbose)
        self.run_directory_, self._model = result.directory, result.directory / "model"
        self._loaded: list[Classifier] = []  # filled by the first prediction, which may change no attribute
        given = place.labels(result)
        self.transduction_ = np.array(
            [self.classes_[words.index(given[i])] if label is None else label for i, label in enumerate(labels)],
            dtype=self.classes_.dtype,
        )
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable label of each text, [n], of the type that `y` had.

        Raises `NotFittedError` before `fit`, `InputError` (a `ValueError`) if the texts cannot be used.
        """
        check_is_fitted(self, "classes_")
        found: np.ndarray = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return found

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class for each text, float64 [n, k], in the order of `classes_`.

        Raises `NotFittedError` before `fit`, `InputError` (a `ValueError`) if the texts cannot be used.
        """
        check_is_fitted(self, "classes_")
        if not self._loaded:
            self._loaded.append(load_classifier(self._model))
        form = self._loaded[0].form
        rows = _examples(_texts_of(X), None, form.columns)
        probs = self._loaded[0].probabilities(Rows.of(rows))
        order = [form.labels.index(word) for word in _words_of(self.classes_)]
        found = probs[:, order].astype(np.float64)
        shares: np.ndarray = found / found.sum(axis=1, keepdims=True)
        return shares

    def __sklearn_tags__(self) -> Any:
        """Say that texts are read, not numbers."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Return the parameters, the labels, and the bytes of the classifier's files: no model is pickled."""
        state = dict(super().__getstate__())
        for name in ("_loaded", "_cleanup"):
            state.pop(name, None)
        if model := state.pop("_model", None):
            files = [path for path in sorted(model.rglob("*")) if path.is_file()]
            state["_files"] = {path.relative_to(model).as_posix(): path.read_bytes() for path in files}
        if self.output_dir is None and "run_directory_" in state:
            state["run_directory_"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Put the classifier into a temporary folder, which goes with the estimator."""
        files = dict(state).pop("_files", None)
        super().__setstate__({name: value for name, value in state.items() if name != "_files"})
        if files is not None:
            self._model = self._temporary() / "model"
            self._loaded = []
            for name, content in files.items():
                (self._model / name).parent.mkdir(parents=True, exist_ok=True)
                (self._model / name).write_bytes(content)

    def _tables(self, words: Sequence[str], seed: int) -> dict[str, Any]:
        """Return the settings that the parameters stand for."""
        patterns = self.patterns if self.patterns is not None else _default_patterns(words)
        prompts: dict[str, Any] = {} if self.preset == "fast" and self.patterns is None else {"patterns": patterns}
        if self.label_words is not None:
            prompts["words"] = {label_word(label): value for label, value in self.label_words.items()}
        task = {"name": "sklearn", "labels": list(words)}
        return {"task": task, "prompts": prompts, "train": {"preset": self.preset}, "run": {"seed": seed}}

    def _new_folder(self) -> Path:
        return self._temporary() if self.output_dir is None else Path(self.output_dir)

    def _temporary(self) -> Path:
        if cleanup := getattr(self, "_cleanup", None):
            cleanup()
        folder = Path(tempfile.mkdtemp(prefix="pet-"))
        self._cleanup = weakref.finalize(self, shutil.rmtree, folder, True)
        return folder


@dataclass(frozen=True)
class _Place:
    """Where a run of an estimator lies: its rows in `data`, the run itself in `run`."""

    folder: Path
    rows: Sequence[Example]
    fields: Sequence[str]

    def run(self, tables: Mapping[str, Any], settings: object, *, quiet: bool) -> RunResult:
        """Write the rows and run the pipeline on them."""
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        train, unlabeled = data / "train.parquet", data / "unlabeled.parquet"
        self._write(train, lambda row: row.label is not None)
        self._write(unlabeled, lambda row: row.label is None)
        prompts = dict(tables["prompts"])
        if words := prompts.pop("words", None):
            place = self.folder / "registry" / "verbalizers" / "sklearn.toml"
            place.parent.mkdir(parents=True, exist_ok=True)
            (self.folder / "registry" / "patterns").mkdir(exist_ok=True)
            place.write_text(tomli_w.dumps({"words": words}), encoding="utf-8")
            prompts |= {"verbalizer": "sklearn/words", "registry": [str(self.folder / "registry")]}
        own = {
            **tables,
            "task": {**tables["task"], "fields": {name: name for name in self.fields}},
            "data": {"train": str(train), "unlabeled": str(unlabeled)},
            "prompts": prompts,
        }
        config = RunConfig.from_mapping(merged(own, _changes(settings)), "PetClassifier")
        return run(config, self.folder / "run", force=True, quiet=quiet)

    def labels(self, result: RunResult) -> dict[int, str]:
        """Return the label of each row by its number; one that was left out has the label of the same text."""
        table = pq.read_table(result.pseudo_labels, columns=["id", "label"])
        given = dict(zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True))
        same = {normalise(row): given[row.id] for row in self.rows if row.id in given}
        return {i: given.get(row.id) or same[normalise(row)] for i, row in enumerate(self.rows)}

    def _write(self, path: Path, wanted: Callable[[Example], bool]) -> None:
        rows = [row for row in self.rows if wanted(row)]
        table = {"id": [row.id for row in rows], "label": pa.array([row.label for row in rows], pa.string())}
        pq.write_table(pa.table({**table, **{name: [row.fields[name] for row in rows] for name in self.fields}}), path)


def _changes(settings: Any) -> dict[str, Any]:
    if settings is None:
        return {}
    return dict(settings) if isinstance(settings, Mapping) else overrides_as_tables(settings)


def _fields_of(X: Any) -> tuple[str, ...]:
    """Return the names of the fields: of a pair in a frame those of its columns, if patterns can name them so."""
    width = len(_cells(next(iter(_texts_of(X)), "")))
    names = [str(name) for name in getattr(X, "columns", ())]
    if width == 1:
        return ("text",)
    usable = len(names) == width and all(name.isidentifier() and name not in ("id", "label") for name in names)
    return tuple(names) if usable else tuple(f"text_{'abcdefgh'[i]}" for i in range(width))


def _texts_of(X: Any) -> list[Any]:
    """Return a text or a tuple of texts per row, whatever they come in.

    Raises `InputError` if there are none, or they are no texts.
    """
    if isinstance(X, str | bytes | Mapping) or not hasattr(X, "__iter__"):
        raise InputError(f"Expected a list of texts, or a table of them, found {shown(X)}: put it into [ ].")
    values = X.to_numpy(dtype=object) if hasattr(X, "to_numpy") else X
    rows = [tuple(row) if isinstance(row, list | tuple | np.ndarray) else row for row in values]
    rows = [row[0] if isinstance(row, tuple) and len(row) == 1 else row for row in rows]
    if not rows:
        raise InputError("Found no rows, expected texts.")
    return rows


def _cells(row: Any) -> tuple[Any, ...]:
    return row if isinstance(row, tuple) else (row,)


def _examples(
    texts: Sequence[Any], labels: Sequence[Any] | None, columns: Mapping[str, str], start: int = 0
) -> list[Example]:
    """Return texts as rows, named by their numbers.

    Raises `InputError` if one is no text, or blank, or has not as many texts as there are fields.
    """
    try:
        rows = rows_of(texts, columns)
    except DataError as error:
        raise InputError(str(error)) from None
    given = [None] * len(rows) if labels is None else [None if one is None else label_word(one) for one in labels]
    return [
        Example(f"row-{start + i}", row.fields, label) for i, (row, label) in enumerate(zip(rows, given, strict=True))
    ]


def _given_labels(y: Any, rows: int) -> list[Any]:
    """Return a label per row as Python has it, None where there is none.

    Raises `InputError` if they are not as many as the rows, or of several kinds.
    """
    if y is None:
        raise InputError(
            "This estimator requires y to be passed, but the target y is None: give a label or None a row."
        )
    values: Iterable[Any] = y.tolist() if hasattr(y, "tolist") else list(y)
    labels = [None if _is_missing(value) else value for value in _flat(values)]
    if len(labels) != rows:
        raise InputError(
            f"Found {rows} rows in X and {len(labels)} labels in y, expected as many: put None for no label."
        )
    given = [label for label in labels if label is not None]
    if all(isinstance(label, float) and label.is_integer() for label in given):
        labels = [None if label is None else int(label) for label in labels]  # NaN has made floats of them
    kinds = {type(label) for label in labels if label is not None}
    if len(kinds) > 1 or kinds - {str, int, bool}:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise InputError(f"Unknown label type: found {names} in y, expected either texts, whole numbers, or truths.")
    return labels


def _flat(values: Iterable[Any]) -> list[Any]:
    """Return labels without the dimension of a column, and without numpy's types."""
    rows = [row[0] if isinstance(row, list | tuple) and len(row) == 1 else row for row in values]
    return [row.item() if isinstance(row, np.generic) else row for row in rows]


def _is_missing(value: Any) -> bool:
    """Say whether a label is None, NaN, pandas' NA, or -1, which scikit-learn has for it."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and value == -1):
        return True
    try:
        return bool(value != value)  # so it is with NaN alone
    except TypeError:
        return True  # pandas' NA equals nothing, and says not whether


def _words_of(classes: np.ndarray) -> list[str]:
    """Return the classes as labels of a run.

    Raises `InputError` if two are the same there.
    """
    words = [label_word(label) for label in classes.tolist()]
    if len(set(words)) < len(words):
        twice = next(word for word in words if words.count(word) > 1)
        raise InputError(f"Two classes of y are the same label, {shown(twice)}: rename one.")
    return words


def _aside(labels: Sequence[Any], pool: bool, seed: int) -> np.ndarray:
    """Return which rows are taken for unlabeled though they have a label, bool [n]: none where others have none."""
    aside = np.zeros(len(labels), np.bool_)
    if pool or any(label is None for label in labels):
        return aside
    rng, places = np.random.default_rng(seed), dict[Any, list[int]]()
    for i, label in enumerate(labels):
        places.setdefault(label, []).append(i)
    for own in places.values():
        count = len(own) // SET_ASIDE or int(len(own) > 1)
        aside[rng.permutation(own)[:count]] = True
    if not aside.any():
        raise InputError("Found one row of each class and none without a label: give rows to label in X_unlabeled.")
    return aside


def _default_patterns(words: Sequence[str]) -> str:
    """Return the patterns that fit the names of labels: of opinions, else of topics."""
    return "sentiment/*" if _OPINIONS.issuperset(word.lower() for word in words) else "topic/*"
