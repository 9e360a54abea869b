"""`PetClassifier`: what scikit-learn checks of every estimator, what texts and labels it takes, and real runs of it."""

# ruff: noqa: N803, N806 -- scikit-learn's names
from __future__ import annotations

import copy
import json
import pickle
import warnings
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted, validate_data
from toy import rows_of

import pet
import pet.sklearn
from pet.data.examples import Example
from pet.errors import DataError
from pet.settings.config import RunConfig
from pet.sklearn import PetClassifier


def features(texts: Iterable[str]) -> np.ndarray:
    """Return what the stand-in knows of texts: the numbers in them, or counts of letters, float64 [n, h]."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    rows = [
        [float(word) for word in text.split()[1:]]
        if text.startswith("row ")
        else [float(text.count(c)) for c in letters]
        for text in texts
    ]
    return np.asarray(rows)


class Centroids:
    """The stand-in of a classifier: the nearest mean of the labeled rows."""

    def __init__(self, folder: Path) -> None:
        self.means = json.loads((folder / "means.json").read_text())
        self.form = SimpleNamespace(labels=tuple(self.means), columns={"text": "text"})

    def probabilities(self, rows: Iterable[Example]) -> np.ndarray:
        found = features(row.fields["text"] for row in rows)
        distances = np.stack([((found - mean) ** 2).sum(axis=1) for mean in self.means.values()], axis=1)
        likely = np.exp(-(distances - distances.min(axis=1, keepdims=True)))
        return (likely / likely.sum(axis=1, keepdims=True)).astype(np.float32)


def quick_run(config: RunConfig, folder: Path, *, force: bool, quiet: bool) -> Any:
    """Stand in for a run: the labels of the nearest mean."""
    gold, pool = (pq.read_table(str(path)) for path in (config.data.train, config.data.unlabeled))
    vectors, given = features(gold["text"].to_pylist()), np.asarray(gold["label"].to_pylist())
    means = {label: vectors[given == label].mean(axis=0).tolist() for label in config.task.labels}
    (folder / "model").mkdir(parents=True, exist_ok=True)
    (folder / "model" / "means.json").write_text(json.dumps(means))
    rows = [Example(str(i), {"text": text}) for i, text in enumerate(pool["text"].to_pylist())]
    found = [config.task.labels[k] for k in Centroids(folder / "model").probabilities(rows).argmax(axis=1)]
    table = {"id": gold["id"].to_pylist() + pool["id"].to_pylist(), "label": given.tolist() + found}
    pq.write_table(pa.table(table), folder / "pseudo_labels.parquet")
    return SimpleNamespace(directory=folder, pseudo_labels=folder / "pseudo_labels.parquet")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the stand-ins into the place of runs and classifiers."""
    monkeypatch.setattr(pet.sklearn, "run", quick_run)
    monkeypatch.setattr(pet.sklearn, "load_classifier", lambda folder: Centroids(Path(folder)))


class Numbers(PetClassifier):
    """Reads rows of numbers as texts: scikit-learn's checks have nothing else to hand over."""

    def fit(self, X: Any, y: Any, X_unlabeled: Any = None) -> Any:
        X, y = validate_data(self, X, y)
        return super().fit(self._texts(X), y)

    def predict_proba(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "classes_")
        return super().predict_proba(self._texts(validate_data(self, X, reset=False)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array, tags.input_tags.string = True, False, False
        return tags

    def _texts(self, X: Any) -> list[str]:
        return ["row " + " ".join(map(repr, row)) for row in np.asarray(X, float).tolist()]


UNLABELED = "-1 stands for no label, as everywhere in scikit-learn's semi-supervised estimators"
EXPECTED = {"check_classifiers_classes": UNLABELED}


@pytest.mark.usefixtures("quick")
def test_the_checks_of_scikit_learn_pass_on_rows_of_numbers_written_as_texts() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = check_estimator(Numbers(), expected_failed_checks=EXPECTED, on_fail=None, on_skip=None)
    by_status: dict[str, list[str]] = {}
    for one in found:
        by_status.setdefault(str(one["status"]), []).append(f"{one['check_name']}: {one['exception']}")
    print({status: len(names) for status, names in by_status.items()}, *by_status.get("skipped", ()), sep="\n")
    assert by_status.get("failed", []) == []
    assert len(by_status["passed"]) > 40 and len(by_status["xfail"]) == 1


def test_texts_are_what_it_reads_by_its_tags() -> None:
    with pytest.warns(SkipTestWarning, match="requires input"):
        found = check_estimator(PetClassifier(), on_fail=None, on_skip=None)
    assert {one["status"] for one in found} <= {"passed", "skipped"}


TEXTS = ["aaa b", "aa c", "zzz y", "zz x", "aaaa", "zzzz", "a", "z"]


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        ([0, 0, 7, 7, -1, -1, -1, -1], [0, 7]),
        ([0.0, 0.0, 7.0, 7.0, *[float("nan")] * 4], [0, 7]),
        (["no", "no", "yes", "yes", None, None, None, None], ["no", "yes"]),
        ([False, False, True, True, None, None, None, None], [False, True]),
        (pd.Series([0, 0, 7, 7, *[pd.NA] * 4], dtype="Int64"), [0, 7]),
        (np.array(["-1", "-1", "b", "b", None, None, None, None], object), ["-1", "b"]),
    ],
    ids=["-1", "NaN", "None", "truths", "NA", "a text -1"],
)
@pytest.mark.usefixtures("quick")
def test_labels_keep_their_type(y: Any, classes: list[Any]) -> None:
    model = PetClassifier().fit(TEXTS, y)
    assert model.classes_.tolist() == classes and type(model.classes_.tolist()[0]) is type(classes[0])
    low, high = classes
    assert model.transduction_.tolist() == [low, low, high, high, low, high, low, high]
    assert model.predict(["aaa", "zzz"]).tolist() == [low, high]
    probs = model.predict_proba(["aaa", "zzz"])
    assert probs.shape == (2, 2) and probs.sum(axis=1) == pytest.approx([1, 1])
    assert model.score(["aaa", "zzz"], [low, high]) == 1.0


@pytest.mark.parametrize(
    "x",
    [TEXTS, np.array(TEXTS), np.array(TEXTS, object)[:, None], pd.Series(TEXTS), pd.DataFrame({"mail": TEXTS})],
    ids=["list", "array", "column", "series", "frame"],
)
@pytest.mark.usefixtures("quick")
def test_texts_come_in_whatever_has_them(x: Any) -> None:
    model = PetClassifier().fit(x, [0, 0, 1, 1, -1, -1, -1, -1])
    assert model.predict(x).tolist() == [0, 0, 1, 1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        ("one text", [0], "found 'one text'"),
        ([], [], "Found no rows"),
        (["a", "b"], None, "requires y"),
        (["a", "b"], [0], "2 rows in X and 1 labels"),
        (["a", "b"], [0, "x"], "found int, str in y"),
        (["a", "b"], [0.5, 1.5], "Unknown label type"),
        (["a", "b", "c"], [1, 1, None], "Found 1 class"),
        (["a", " ", "c"], [1, 0, None], "Row 1 is blank"),
        (["a", 3, "c"], [1, 0, None], "Row 1 holds 3"),
        (["a", "b"], [1, 0], "give rows to label in X_unlabeled"),
        ([("a", "b"), "c", "d"], [1, 0, None], r"1 text\(s\), expected 2"),
        (["a", "b", "c"], ["1", "1.0", None], "the same label, '1'"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_sentence_that_scikit_learn_knows(x: Any, y: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said) as found:
        PetClassifier().fit(x, y)
    assert isinstance(found.value, DataError)


@pytest.mark.usefixtures("quick")
def test_it_is_cloned_copied_searched_and_put_into_a_pipeline(tmp_path: Path) -> None:
    model = PetClassifier(random_state=7, label_words={0: "low"})
    assert clone(model).get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        model.predict(["a"])
    y = [0, 0, 1, 1, -1, -1, -1, -1]
    lower = Pipeline([("lower", FunctionTransformer(lambda texts: [text.lower() for text in texts])), ("pet", model)])
    fitted = clone(PetClassifier()).fit(TEXTS, y)
    assert copy.deepcopy(fitted).predict(TEXTS).tolist() == fitted.predict(TEXTS).tolist()
    assert clone(lower).set_params(pet__label_words=None).fit(TEXTS, y).predict(["AAA", "ZZZ"]).tolist() == [0, 1]
    full = [0, 0, 1, 1, 0, 1, 0, 1]
    assert cross_val_score(PetClassifier(), TEXTS, full, cv=2, error_score="raise").tolist() == [1.0, 1.0]
    search = GridSearchCV(PetClassifier(), {"random_state": [1, 2]}, cv=2, error_score="raise").fit(TEXTS, full)
    assert search.predict(["aaa"]).tolist() == [0]
    more = cross_val_score(PetClassifier(), TEXTS, full, cv=2, params={"X_unlabeled": ["aab", "zzy", "q"]})
    assert more.tolist() == [1.0, 1.0]


@pytest.mark.usefixtures("quick")
def test_a_temporary_run_goes_with_the_estimator_and_one_with_a_place_stays(tmp_path: Path) -> None:
    y = [0, 0, 1, 1, -1, -1, -1, -1]
    model, kept = PetClassifier().fit(TEXTS, y), PetClassifier(output_dir=tmp_path / "kept").fit(TEXTS, y)
    folder, content = model.run_directory_, pickle.dumps(model)
    assert folder.is_dir()
    del model
    assert not folder.exists() and kept.run_directory_.is_dir()
    loaded = pickle.loads(content)
    assert loaded.run_directory_ is None and loaded.predict(["aaa"]).tolist() == [0]


def test_a_real_run_of_it(tiny_encoder: Path) -> None:
    gold, pool = rows_of("train", 4), rows_of("unlabeled", 12)
    texts, labels = [row["text"] for row in gold + pool], [row["label"] for row in gold] + [None] * len(pool)
    settings = {"encoder": {"name": str(tiny_encoder)}, "model": {"name": str(tiny_encoder)}}
    model = PetClassifier(settings=settings).fit(texts, labels)
    assert model.score(texts, [row["label"] for row in gold + pool]) > 0.6
    assert model.transduction_[:12].tolist() == labels[:12]
    assert len(pet.read_run(model.run_directory_).labels) == 48
    loaded = pickle.loads(pickle.dumps(model))
    assert np.array_equal(loaded.predict_proba(texts), model.predict_proba(texts))


def test_pairs_and_label_words_go_into_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[RunConfig] = []

    def run(config: RunConfig, folder: Path, *, force: bool, quiet: bool) -> Any:
        asked.append(config)
        table = {"id": [f"row-{i}" for i in range(3)], "label": ["0", "1", "0"]}
        pq.write_table(pa.table(table), tmp_path / "labels.parquet")
        return SimpleNamespace(directory=folder, pseudo_labels=tmp_path / "labels.parquet")

    monkeypatch.setattr(pet.sklearn, "run", run)
    pairs = pd.DataFrame({"premise": ["a", "b", "c"], "hypothesis": ["d", "e", "f"]})
    words = {0: "no", 1: ["yes", "sure"]}
    model = PetClassifier("pet", patterns="nli/*", label_words=words, settings=["train.steps=3"], random_state=5)
    model.fit(pairs, [0, 1, None])
    (config,) = asked
    assert tuple(config.task.fields) == ("premise", "hypothesis") and config.task.labels == ("0", "1")
    assert config.prompts.patterns == ("nli/*",) and config.prompts.verbalizer == "sklearn/words"
    assert config.train.steps == 3 and config.run.seed == 5
    rows = pq.read_table(str(config.data.train)).to_pylist()
    assert rows[0] == {"id": "row-0", "label": "0", "premise": "a", "hypothesis": "d"}
