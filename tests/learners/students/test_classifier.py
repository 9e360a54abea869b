import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny import FAMILIES

from pet.data.examples import Example
from pet.data.rows import Rows
from pet.errors import ModelError
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource
from pet.learners.students import classifier as classifier_module
from pet.learners.students.base import ClassifierForm, Learning
from pet.learners.students.classifier import TextClassifier
from pet.settings.training import OptimizerSettings

FIELDS = ("first", "second", "third")
HOSTILE = ("good [MASK] film", "good </s> film", "<s></s><pad> [SEP][CLS] film <mask>", "[UNK] ＜ｓ＞ {text} ||")
TEXTS = ("team game", "phone, chip!", "It was a good film", *HOSTILE)


def settings_of(**values: Any) -> OptimizerSettings:
    defaults: dict[str, Any] = {"steps": 30, "batch_size": 8, "learning_rate": 5e-3, "warmup": 0.0}
    return OptimizerSettings(**defaults | values)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def examples_of(count: int, texts: tuple[str, ...] = TEXTS) -> list[Example]:
    """Rows of `count` fields: each text in each place."""
    return [
        Example(str(i), {field: texts[(i + place) % len(texts)] for place, field in enumerate(FIELDS[:count])})
        for i in range(len(texts))
    ]


def soft(rows: list[Example]) -> np.ndarray:
    """0.9 for the label of a row."""
    return np.asarray([[0.9, 0.1] if row.label == "Sports" else [0.1, 0.9] for row in rows], np.float32)


@pytest.fixture(scope="module")
def saved(
    new_classifier: Callable[..., TextClassifier], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, int], tuple[Path, TextClassifier]]:
    """A classifier of each family that reads one, two or three fields, and its folder."""
    built = {}
    for family in FAMILIES:
        for count in (1, 2, 3):
            classifier = new_classifier(family, *FIELDS[:count])
            with torch.no_grad():  # a head that is not nearly even
                list(classifier.backbone.model.parameters())[-2].mul_(40.0)
            folder = tmp_path_factory.mktemp(f"{family}-{count}")
            classifier.save(folder)
            built[family, count] = folder, classifier
    return built


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_learns_from_soft_labels(
    new_classifier: Callable[..., TextClassifier], rows: list[Example], family: str
) -> None:
    told: list[int] = []
    classifier = new_classifier(family)
    log = classifier.fit(rows, soft(rows), settings_of(), generator(), learning=Learning(2.0), advance=told.append)
    probs = classifier.probabilities(rows)
    assert sum(told) == log.updates == 30
    assert np.mean(log.losses[-5:]) < 0.7 * np.mean(log.losses[:3])
    assert (probs.argmax(1) == soft(rows).argmax(1)).mean() > 0.9
    assert probs.shape == (32, 2) and probs.dtype == np.float32
    assert probs.sum(1) == pytest.approx(np.ones(32), abs=1e-5)


@pytest.mark.parametrize("size", [1, 5, 32])
def test_chunks_give_the_same_probabilities(
    new_classifier: Callable[..., TextClassifier], rows: list[Example], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    told: list[int] = []
    classifier = new_classifier("bert")
    whole = classifier.probabilities(rows)
    monkeypatch.setattr("pet.learners.models.batching.CHUNK_ROWS", size)
    assert classifier.probabilities(tuple(rows), told.append) == pytest.approx(whole, abs=1e-5)
    assert sum(told) == 32
    assert max(told) <= size
    assert classifier.probabilities([]).shape == (0, 2)


def test_the_student_comes_to_the_teacher(new_classifier: Callable[..., TextClassifier], rows: list[Example]) -> None:
    """Taught long enough, the probabilities are the teacher's and not more certain."""
    classifier = new_classifier("modernbert")
    classifier.fit(rows, soft(rows), settings_of(steps=150), generator(), learning=Learning(2.0))
    assert classifier.probabilities(rows) == pytest.approx(soft(rows), abs=0.06)


def test_the_seeds_decide(new_classifier: Callable[..., TextClassifier], rows: list[Example]) -> None:
    found = []
    for head, order in ((0, 0), (0, 0), (1, 0), (0, 1)):
        classifier = new_classifier("bert", seed=head)
        classifier.fit(rows, soft(rows), settings_of(steps=4), generator(order))
        found.append(classifier.probabilities(rows))
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
    assert not np.array_equal(found[0], found[3])


def test_a_set_too_large_to_be_kept_as_tokens_is_learned_alike(
    new_classifier: Callable[..., TextClassifier], rows: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(kept: int) -> tuple[tuple[float, ...], list[int]]:
        monkeypatch.setattr(classifier_module, "KEPT_ROWS", kept)
        classifier, asked = new_classifier("bert"), []
        encode = type(classifier).encode
        with monkeypatch.context() as patch:
            patch.setattr(type(classifier), "encode", lambda self, some: asked.append(len(some)) or encode(self, some))
            log = classifier.fit(Rows.of(rows), soft(rows), settings_of(steps=6, batch_size=4), generator())
        return log.losses, asked

    (all_kept, few), (none_kept, many) = trained(100), trained(0)
    assert all_kept == none_kept
    assert sum(few) == min(24, len(rows)) and max(few) <= 4
    assert sum(many) == 24  # six batches of four, whatever the size of the set


def test_probabilities_are_in_the_order_of_the_rows(
    new_classifier: Callable[..., TextClassifier], rows: list[Example]
) -> None:
    told: list[int] = []
    classifier = new_classifier("roberta")
    probs, order = classifier.probabilities(rows, told.append), generator().permutation(len(rows))
    assert sum(told) == len(rows)
    assert classifier.probabilities([rows[i] for i in order]) == pytest.approx(probs[order], abs=1e-5)
    assert np.concatenate([classifier.probabilities([row]) for row in rows]) == pytest.approx(probs, abs=1e-5)
    assert classifier.probabilities([]).shape == (0, 2)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_stock_pipeline_says_the_same(
    saved: dict[tuple[str, int], tuple[Path, TextClassifier]], family: str, count: int
) -> None:
    """Also for texts that spell special tokens."""
    folder, classifier = saved[family, count]
    rows = examples_of(count)
    pipe: Any = transformers.pipeline("text-classification", model=str(folder), device="cpu")
    for row, probs in zip(rows, classifier.probabilities(rows), strict=True):
        first, *others = row.fields.values()
        found = pipe({"text": first, "text_pair": " ".join(others)} if others else first)
        found = found[0] if isinstance(found, list) else found
        assert found["label"] == ("Sports", "Tech")[probs.argmax()]
        assert found["score"] == pytest.approx(probs.max(), abs=1e-4)


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta"])
def test_a_tokenizer_of_its_family_s_own_class(
    folders: dict[str, Path], machine: Machine, tmp_path: Path, family: str
) -> None:
    """Such a class rebuilds itself from the vocabulary when it is loaded, whatever its tokenizer.json says."""
    source, target = Path(shutil.copytree(folders[family], tmp_path / "source")), tmp_path / "saved"
    stored = json.loads((source / "tokenizer.json").read_text())["model"]
    classes: dict[str, Callable[[], Any]] = {
        "bert": lambda: transformers.BertTokenizer(vocab=stored["vocab"]),
        "roberta": lambda: transformers.RobertaTokenizer(
            vocab=stored["vocab"],
            merges=[tuple(merge) for merge in stored["merges"]],  # type: ignore[misc]
        ),
        "xlm-roberta": lambda: transformers.XLMRobertaTokenizer(vocab=[tuple(entry) for entry in stored["vocab"]]),
    }
    own = classes[family]()
    own.save_pretrained(source)
    form = ClassifierForm(("Sports", "Tech"), {"first": "first"}, 64)
    classifier = TextClassifier.from_source(ModelSource(family, source), form, machine, 0)
    assert type(classifier.backbone.tokenizer) is type(own)
    classifier.save(target)
    rows = examples_of(1)
    pipe: Any = transformers.pipeline("text-classification", model=str(target), device="cpu")
    tokenizer = classifier.backbone.tokenizer
    for row, encoded, probs in zip(rows, classifier.encode(rows), classifier.probabilities(rows), strict=True):
        assert set(tokenizer.all_special_ids).isdisjoint({*encoded.input_ids[1:-1].tolist()} - {tokenizer.unk_token_id})
        assert pipe.tokenizer(row.fields["first"])["input_ids"] == encoded.input_ids.tolist()
        assert pipe(row.fields["first"])[0]["score"] == pytest.approx(probs.max(), abs=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_stock_pipeline_cuts_long_text_alike(
    saved: dict[tuple[str, int], tuple[Path, TextClassifier]], family: str
) -> None:
    folder, classifier = saved[family, 2]
    pipe: Any = transformers.pipeline("text-classification", model=str(folder), device="cpu")
    for texts in (
        ("good bad " * 60, "phone"),
        ("good bad " * 60, "it was " * 60),
        ("", "phone"),
        ("phone", ""),
        ("", ""),
    ):
        probs = classifier.probabilities([Example("1", dict(zip(FIELDS, texts, strict=False)))])[0]
        found = pipe({"text": texts[0], "text_pair": texts[1]}, truncation=True)
        assert found["score"] == pytest.approx(probs.max(), abs=1e-4)


@pytest.mark.slow
def test_a_fresh_process_finds_the_same_probabilities(
    saved: dict[tuple[str, int], tuple[Path, TextClassifier]], tmp_path: Path
) -> None:
    script = """
import json, sys
import torch
from pathlib import Path
from pet.data.examples import Example
from pet.data.rows import Rows
from pet.learners.models.machine import Machine
from pet.learners.students.classifier import TextClassifier
rows = [Example(str(i), fields) for i, fields in enumerate(json.loads(Path(sys.argv[1]).read_text()))]
machine = Machine(torch.device("cpu"), "fp32")
print(json.dumps([TextClassifier.load(Path(folder), machine).probabilities(rows).tolist() for folder in sys.argv[2:]]))
"""
    rows = examples_of(3)
    file = tmp_path / "rows.json"
    file.write_text(json.dumps([dict(row.fields) for row in rows]))
    folders = [str(saved[family, 3][0]) for family in FAMILIES]
    done = subprocess.run(
        [sys.executable, "-c", script, str(file), *folders], capture_output=True, text=True, check=True
    )
    for family, probs in zip(FAMILIES, json.loads(done.stdout), strict=True):
        assert np.asarray(probs) == pytest.approx(saved[family, 3][1].probabilities(rows), abs=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_loaded_classifier_is_the_saved_one(
    saved: dict[tuple[str, int], tuple[Path, TextClassifier]], machine: Machine, family: str
) -> None:
    folder, classifier = saved[family, 2]
    loaded = TextClassifier.load(folder, machine)
    assert loaded.form == ClassifierForm(("Sports", "Tech"), {"first": "FIRST", "second": "SECOND"}, 64)
    assert list(loaded.form.columns) == ["first", "second"]
    weights = loaded.backbone.model.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in classifier.backbone.model.state_dict().items())
    for one, other in zip(loaded.encode(examples_of(2)), classifier.encode(examples_of(2)), strict=True):
        assert one.input_ids.tolist() == other.input_ids.tolist()


def test_the_first_field_stays_the_first_segment(
    new_classifier: Callable[..., TextClassifier], machine: Machine, tmp_path: Path
) -> None:
    classifier = new_classifier("bert", "premise", "hypothesis")  # not in the order of the alphabet
    classifier.save(tmp_path)
    loaded = TextClassifier.load(tmp_path, machine)
    pairs = [Example("0", {"premise": "team game", "hypothesis": "phone"})]
    assert list(loaded.form.columns) == ["premise", "hypothesis"]
    assert loaded.probabilities(pairs).tolist() == classifier.probabilities(pairs).tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_saving_again_changes_nothing(
    saved: dict[tuple[str, int], tuple[Path, TextClassifier]], machine: Machine, tmp_path: Path, family: str
) -> None:
    folder, _ = saved[family, 1]
    TextClassifier.load(folder, machine).save(tmp_path)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        assert json.loads((tmp_path / name).read_text()) == json.loads((folder / name).read_text()), name
    assert (tmp_path / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_folder_holds_no_pickle_and_says_its_labels(
    saved: dict[tuple[str, int], tuple[Path, TextClassifier]], family: str
) -> None:
    folder, _ = saved[family, 1]
    names = {"config.json", "model.safetensors", "sentence_bert_config.json", "tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in folder.iterdir()} == names
    config = json.loads((folder / "config.json").read_text())
    assert config["id2label"] == {"0": "Sports", "1": "Tech"}
    assert config["label2id"] == {"Sports": 0, "Tech": 1}
    assert config["pet"] == {
        "columns": [["first", "FIRST"]],
        "max_length": 64,
        "label_column": "label",
        "id_column": "id",
        "truncation": "tail",
        "windows": "mean",
    }
    assert json.loads((folder / "tokenizer_config.json").read_text())["model_max_length"] == 64


def test_more_than_ten_labels_keep_their_order(folders: dict[str, Path], machine: Machine, tmp_path: Path) -> None:
    labels = tuple(f"label {i}" for i in range(12, 0, -1))
    form = ClassifierForm(labels, {"text": "text"}, 64)
    TextClassifier.from_source(ModelSource("bert", folders["bert"]), form, machine, 0).save(tmp_path)
    assert TextClassifier.load(tmp_path, machine).form.labels == labels


def test_the_longest_input_is_the_smaller_one(
    new_classifier: Callable[..., TextClassifier], tmp_path: Path, machine: Machine
) -> None:
    assert new_classifier("roberta", max_length=500).form.max_length == 64
    short = new_classifier("roberta", max_length=10)
    assert len(short.encode([Example("1", {"text": "good " * 50})])[0]) == 10
    short.save(tmp_path)
    assert TextClassifier.load(tmp_path, machine).form.max_length == 10


def test_further_fields_are_the_second_segment(new_classifier: Callable[..., TextClassifier]) -> None:
    classifier = new_classifier("bert", *FIELDS)
    row = classifier.encode([Example("1", {"first": "good", "second": "bad film", "third": "phone"})])[0]
    tokens = classifier.backbone.tokenizer.convert_ids_to_tokens(row.input_ids.tolist())
    assert tokens == ["[CLS]", "good", "[SEP]", "bad", "film", "phone", "[SEP]"]
    assert row.segment_ids.tolist() == [0, 0, 0, 1, 1, 1, 1]


def test_a_folder_that_is_no_classifier_of_ours(
    folders: dict[str, Path], tmp_path: Path, machine: Machine, refuses: Callable[..., None]
) -> None:
    for folder in (folders["bert"], tmp_path, tmp_path / "missing"):
        refuses(ModelError, lambda folder=folder: TextClassifier.load(folder, machine), str(folder), "no classifier")


def test_a_folder_without_its_head(
    saved: dict[tuple[str, int], tuple[Path, TextClassifier]],
    machine: Machine,
    tmp_path: Path,
    refuses: Callable[..., None],
) -> None:
    folder, classifier = saved["bert", 1]
    classifier.save(tmp_path)
    weights = load_file(folder / "model.safetensors")
    weights.pop("classifier.weight")
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    refuses(ModelError, lambda: TextClassifier.load(tmp_path, machine), "classifier.weight is missing")


def test_a_saved_classifier_is_a_source_and_keeps_its_head_for_as_many_labels(
    saved: dict[tuple[str, int], tuple[Path, TextClassifier]], machine: Machine
) -> None:
    folder, classifier = saved["bert", 1]
    build: Callable[..., TextClassifier] = lambda labels: TextClassifier.from_source(  # noqa: E731
        ModelSource("mine", folder), ClassifierForm(labels, {"text": "text"}, 64), machine, 0
    )
    heads = [build(labels).backbone.model.classifier.weight for labels in (("Sports", "Tech"), ("a", "b", "c"))]
    assert torch.equal(heads[0], classifier.backbone.model.classifier.weight)
    assert heads[1].shape == (3, 32)
