"""`generations/<g>/`: a report, the votes, and a training set per voter, as a reader of the files finds them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pet.data.dataset import TaskData
from pet.data.examples import Example, Task
from pet.data.rows import Rows
from pet.errors import PetError
from pet.labeling.ensemble import combine
from pet.labeling.guards import GenerationFigures, HeldOut
from pet.labeling.selection import Selection
from pet.labeling.votes import Votes
from pet.learners.models.sources import ModelSource
from pet.learners.voters.embedding import EmbeddingSpec
from pet.learners.voters.spec import VoterSpec
from pet.method.generation import Ensemble, Generation, TrainingSet
from pet.method.provenance import first_labeled, training_set_counts, voter_file, write_generation
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.verbalizers import Verbalizer

LABELS = ("no", "yes")
GOLD = tuple(Example(f"g{i}", {"text": f"gold {i}"}, LABELS[i % 2]) for i in range(3))
POOL = tuple(Example(f"p{i}", {"text": f"pool {i}"}) for i in range(5))
DATA = TaskData(Task("mail", LABELS, ("text",)), GOLD, Rows.of(POOL), Rows.of(()), {"text": "text"}, (), ())
WORDS = Verbalizer("mail/words", {"no": ("bad", "poor"), "yes": ("good",)})
SPECS = tuple(VoterSpec(PVP(Pattern(f"mail/{name}", "{mask}: {text}"), WORDS)) for name in ("a", "b"))
FIGURES = GenerationFigures({"no": 0.25, "yes": 0.75}, 0.1234567, 0.5, 0.25, 9, None, HeldOut(np.array([True, False])))


def drawn(*rows: int) -> Selection:
    """Rows with the labels in turn."""
    columns, confidence = np.arange(len(rows)) % 2, np.linspace(0.5, 1.0, len(rows), dtype=np.float32)
    return Selection(np.array(rows), columns, confidence, ("mail/b+words", "mail/c+words"))


def generation(number: int, rows: list[int], *sets: TrainingSet) -> Generation:
    ids = tuple(POOL[i].id for i in rows)
    # exp(ln 3) : 1 = 3 : 1
    scores = np.tile(np.array([np.log(3.0), 0.0], np.float32), (len(rows), 1))
    votes = tuple(Votes(spec.name, 0, ids, LABELS, scores * sign) for spec, sign in zip(SPECS, (1, -1), strict=True))
    nothing = np.empty((2, 0, 2))
    ensemble = Ensemble(votes, combine(votes), nothing, nothing)
    return Generation(number, number, sets, np.array(rows), ensemble, FIGURES)


GOLD_ONLY = TrainingSet(np.array([0, 2]))
BOTH = TrainingSet(np.array([1]), drawn(0, 3))
EMPTY = TrainingSet(np.array([], np.int64))


def table(path: Path) -> dict[str, list[Any]]:
    return dict(pq.read_table(path).to_pydict())


def test_a_training_set_has_the_gold_rows_then_the_drawn_ones_with_their_origin(tmp_path: Path) -> None:
    write_generation(tmp_path / "generations", generation(1, [0, 3], BOTH, GOLD_ONLY), SPECS, DATA)
    folder = tmp_path / "generations" / "1"
    assert table(folder / "mail+a+words.parquet") == {
        "id": ["g1", "p0", "p3"],
        "label": ["yes", "no", "yes"],
        "source": ["gold", "pseudo", "pseudo"],
        "confidence": [None, 0.5, 1.0],
        "decided_by": [[], ["mail/b+words", "mail/c+words"], ["mail/b+words", "mail/c+words"]],
    }
    assert table(folder / "mail+b+words.parquet") == {
        "id": ["g0", "g2"],
        "label": ["no", "no"],
        "source": ["gold", "gold"],
        "confidence": [None, None],
        "decided_by": [[], []],
    }


@pytest.mark.parametrize("training", [BOTH, GOLD_ONLY, EMPTY])
def test_the_columns_have_the_same_types_whatever_is_in_them(tmp_path: Path, training: TrainingSet) -> None:
    write_generation(tmp_path, generation(0, [0], training, training), SPECS, DATA)
    schema = pq.read_schema(tmp_path / "0" / "mail+a+words.parquet")
    assert {name: schema.field(name).type for name in schema.names} == {
        "id": pa.string(),
        "label": pa.string(),
        "source": pa.string(),
        "confidence": pa.float32(),
        "decided_by": pa.list_(pa.string()),
    }


def test_the_votes_are_probabilities_of_every_voter_per_row(tmp_path: Path) -> None:
    write_generation(tmp_path, generation(0, [1, 4], GOLD_ONLY, GOLD_ONLY), SPECS, DATA)
    votes = table(tmp_path / "0" / "votes.parquet")
    assert votes["id"] == ["p1", "p4"]
    assert list(votes) == ["id", "mail/a+words", "mail/b+words"]
    assert votes["mail/a+words"] == [pytest.approx([0.75, 0.25])] * 2
    assert votes["mail/b+words"] == [pytest.approx([0.25, 0.75])] * 2


def test_the_report_has_the_figures_and_what_the_voters_read(tmp_path: Path) -> None:
    bad = replace(generation(2, [0, 1, 2], BOTH, EMPTY), continues=0, rejected="ünlucky")
    write_generation(tmp_path, bad, SPECS, DATA)
    text = (tmp_path / "2" / "report.json").read_text(encoding="utf-8")
    assert "ünlucky" in text
    assert json.loads(text) == {
        "generation": 2,
        "continues": 0,
        "rejected": "ünlucky",
        "labeled_rows": 3,
        "figures": {
            "shares": {"no": 0.25, "yes": 0.75},
            "kl": 0.1235,
            "agreement": 0.5,
            "entropy": 0.25,
            "changed": None,
            "held_out_accuracy": 0.5,
            "held_out_rows": 2,
        },
        "voters": [
            {
                "name": f"mail/{name}+words",
                "file": f"mail+{name}+words.parquet",
                "template": "{mask}: {text}",
                "train": SPECS[0].train.model_dump(
                    exclude={"seeds", "voters", "embedding", "contrastive"}, exclude_none=True
                ),
                "words": {"no": ["bad", "poor"], "yes": ["good"]},
            }
            for name in "ab"
        ],
    }


def test_a_voter_on_vectors_has_a_training_set_and_votes_but_no_pattern(tmp_path: Path) -> None:
    specs = (SPECS[0], EmbeddingSpec(ModelSource("models/e5", Path("models/e5"))))
    both = generation(0, [0, 1], GOLD_ONLY, BOTH)
    votes = (both.votes[0], replace(both.votes[1], voter=specs[1].name))
    write_generation(tmp_path, replace(both, ensemble=replace(both.ensemble, votes=votes)), specs, DATA)
    first, second = json.loads((tmp_path / "0" / "report.json").read_text())["voters"]
    assert "template" in first and "train" in first
    assert second == {"name": "embedding+e5", "file": "embedding+e5.parquet", "template": None, "words": {}}
    assert table(tmp_path / "0" / "embedding+e5.parquet")["id"] == ["g1", "p0", "p3"]
    assert table(tmp_path / "0" / "votes.parquet")["embedding+e5"] == [pytest.approx([0.25, 0.75])] * 2


def test_a_generation_is_written_whole_or_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_generation(tmp_path, generation(0, [0, 1], GOLD_ONLY, BOTH), SPECS, DATA)
    before = {path.name: path.read_bytes() for path in (tmp_path / "0").iterdir()}

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pet.method.provenance.pq.write_table", fail)
        with pytest.raises(PetError, match="disk is full"):
            write_generation(tmp_path, generation(0, [0, 1, 2], BOTH, BOTH), SPECS, DATA)
    assert {path.name: path.read_bytes() for path in (tmp_path / "0").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["0"]
    write_generation(tmp_path, generation(0, [0, 1, 2], BOTH, BOTH), SPECS, DATA)
    assert len(table(tmp_path / "0" / "votes.parquet")["id"]) == 3


def test_voters_of_the_same_name_in_other_files_or_with_other_seeds_have_files_of_their_own() -> None:
    names = ["mail/a+words", "mail/a+words#1", "spam/a+words", "mail/a.b+words", "mail.a/b+words"]
    assert len({voter_file(name) for name in names}) == len(names)
    assert all("/" not in voter_file(name) for name in names)


def test_the_first_generation_that_labeled_a_row_and_the_sets_it_was_in_by_hand() -> None:
    zero = generation(0, [1, 3], GOLD_ONLY, GOLD_ONLY)
    one = generation(1, [1, 2, 3], TrainingSet(np.array([0]), drawn(1, 3)), TrainingSet(np.array([0]), drawn(3)))
    three = generation(3, [0, 1, 2, 3, 4], TrainingSet(np.array([0]), drawn(2, 3)), EMPTY)
    accepted = [zero, one, three]  # generation 2 was rejected
    assert first_labeled(accepted, 5).tolist() == [3, 0, 1, 0, 3]
    assert training_set_counts(accepted, 5).tolist() == [0, 1, 1, 3, 0]
    assert training_set_counts([zero], 5).tolist() == [0] * 5
