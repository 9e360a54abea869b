"""What is sent to the hub, what is said before, and that nothing is sent unasked; the hub is a stub."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard, ModelCard
from huggingface_hub.errors import OfflineModeIsEnabled
from typer.testing import CliRunner

import pet
from pet.cli import app
from pet.errors import ConfigError, DataError, RunError
from pet.using import push as pushing
from pet.using.push import packed, push


class Hub:
    """A hub that keeps copies of what it gets."""

    def __init__(self, store: Path, private: bool = True) -> None:
        self.store, self.private, self.asked = store, private, list[Any]()

    def create_repo(self, repo_id: str, **named: Any) -> None:
        self.asked.append((repo_id, named["repo_type"], named["private"]))

    def repo_info(self, repo_id: str, *, repo_type: str) -> Any:
        return SimpleNamespace(private=self.private)

    def upload_folder(self, *, repo_id: str, folder_path: str | Path, **named: Any) -> None:
        shutil.copytree(folder_path, self.store / repo_id)


def test_a_classifier_is_sent_with_its_figures(finished: pet.RunResult, tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    with packed(finished.directory, "ann/toy", licence="apache-2.0") as parcel:
        assert "everyone can read" in parcel.lines[0] and "no text of yours" in parcel.lines[-1]
        assert push(parcel, hub) == "https://huggingface.co/ann/toy"
    assert hub.asked == [("ann/toy", "model", False)]
    card = ModelCard.load(tmp_path / "ann/toy/README.md")
    assert card.data.license == "apache-2.0" and card.data.pipeline_tag == "text-classification"
    assert finished.summary is not None
    test = finished.summary.test_figures()["distilled classifier"]
    results = {one.metric_type: one.metric_value for one in card.data.eval_results}
    assert results == {"accuracy": test.accuracy, "f1": test.macro_f1}
    assert "transformers.pipeline" in card.text
    sent = {path.name for path in (tmp_path / "ann/toy").iterdir()}
    assert "model.safetensors" in sent and sent.isdisjoint({"_SUCCESS", "labeled_rows.jsonl"})


def test_labels_are_sent_with_a_card_that_says_what_they_are(finished: pet.RunResult, tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    with packed(finished.directory, "ann/toy-labels", private=True, dataset=True) as parcel:
        assert parcel.lines[-1].startswith("this uploads your texts: 48 rows with their columns text, shelf")
        assert push(parcel, hub) == "https://huggingface.co/datasets/ann/toy-labels"
    card = DatasetCard.load(tmp_path / "ann/toy-labels/README.md")
    assert card.data.annotations_creators == ["machine-generated"] and "license" not in card.data.to_dict()
    assert "**The labels are machine-made.** Of 48 rows, 12 were labeled by people" in card.text
    assert len(pq.read_table(tmp_path / "ann/toy-labels/data/train.parquet")) == 48


def test_a_private_wish_is_not_met_by_a_public_repository(finished: pet.RunResult, tmp_path: Path) -> None:
    with (
        packed(finished.directory, "ann/toy", private=True, dataset=True) as parcel,
        pytest.raises(ConfigError, match="everyone can read it: nothing was sent"),
    ):
        push(parcel, Hub(tmp_path, private=False))
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_sent_is_said(copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="expected OWNER/NAME"), packed(copied, "a b/c"):
        pass
    with packed(copied, "ann/toy") as parcel:
        monkeypatch.setattr(pushing, "get_token", lambda: None)
        with pytest.raises(ConfigError, match="hf auth login"):
            push(parcel)
        hub = Hub(tmp_path)
        hub.create_repo = lambda *_, **__: (_ for _ in ()).throw(OfflineModeIsEnabled("offline"))  # type: ignore[method-assign]
        with pytest.raises(RunError, match="did not take ann/toy"):
            push(parcel, hub)
    (copied / "pseudo_labels.parquet").unlink()
    with pytest.raises(DataError, match="There is no"), packed(copied, "ann/toy", dataset=True):
        pass


def test_nothing_is_sent_where_nobody_can_be_asked(finished: pet.RunResult) -> None:
    found = CliRunner().invoke(app, ["push", str(finished.directory), "ann/toy", "--dataset"])
    assert found.exit_code == 2
    assert "this uploads your texts" in found.stderr and "Nothing was sent: add --yes" in found.stderr
