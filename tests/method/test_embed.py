"""Rows as vectors, and what the embedding voter of a run says of them: with a tiny encoder, one pass over all rows."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from toy import LABELS

import pet
from pet.errors import ModelError
from pet.labeling.neighbours import centred
from pet.labeling.selection import Selection
from pet.labeling.votes import log_softmax
from pet.learners.models.encoder import Encoder
from pet.learners.voters.embedding import Rows, trained_voter
from pet.method.embed import Embedded, embedded
from pet.method.generation import TrainingSet
from pet.method.jobs import Jobs
from pet.method.plan.plan import Plan, prepare
from pet.method.vote import embedding_vote, vote, voter_job
from pet.runs.jobs import JobStore
from pet.runs.runner import JobRunner
from pet.seeding import derive_seed

Settings = Callable[..., Plan]


@pytest.fixture
def planned(both_pipeline: Path) -> Settings:
    """Prepare the toy task of both families with overrides."""
    return lambda *overrides: prepare(pet.RunConfig.from_toml(both_pipeline, overrides))


def jobs_of(plan: Plan, root: Path) -> Jobs:
    (root / "jobs").mkdir(parents=True, exist_ok=True)
    runner = JobRunner(JobStore(root / "jobs"), {})
    return Jobs(plan.rows, plan.model, plan.machine, runner, plan.seed, encoder=plan.encoder)


def vectors_of(plan: Plan, jobs: Jobs) -> Embedded:
    assert plan.encoder is not None
    return embedded(plan.encoder, jobs)


def test_every_row_and_label_text_has_the_vector_of_the_encoder(planned: Settings, tmp_path: Path) -> None:
    plan = planned("task.descriptions.Tech='phone, chip'")
    assert plan.encoder is not None
    found = vectors_of(plan, jobs_of(plan, tmp_path))
    encoder = Encoder.load(plan.encoder, plan.machine)
    parts = {"labeled": plan.data.labeled, "test": plan.data.test, "pool": plan.data.unlabeled}
    for name, rows in parts.items():
        expected = encoder.embed(tuple(rows), ("text",), plan.config.model.max_length)
        assert getattr(found, name) == pytest.approx(expected, abs=1e-5)
    assert found.mean == pytest.approx(found.pool.mean(axis=0), abs=1e-5)
    texts = [text for label in LABELS for text in plan.label_texts[label]]
    assert found.texts == pytest.approx(encoder.embed_texts(texts), abs=1e-5)
    assert [LABELS[column] for column in found.text_columns] == [
        label for label in LABELS for _ in plan.label_texts[label]
    ]
    assert np.linalg.norm(found.centred(found.pool), axis=1) == pytest.approx(np.ones(len(found.pool)), abs=1e-5)
    assert found.source == plan.encoder  # whose vocabulary is small enough


def test_the_pool_lies_in_a_file_and_is_embedded_once(
    planned: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned()
    first = vectors_of(plan, jobs_of(plan, tmp_path))
    assert isinstance(first.pool, np.memmap)
    assert len(list(tmp_path.rglob("pool*"))) == 1  # the shards went into it

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("rows are embedded again")

    monkeypatch.setattr(Encoder, "embed", fail)
    again = vectors_of(plan, jobs_of(plan, tmp_path))
    assert again.pool.tolist() == first.pool.tolist()
    assert again.labeled.tolist() == first.labeled.tolist()


def test_a_large_pool_is_embedded_shard_by_shard(
    planned: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned()
    whole = vectors_of(plan, jobs_of(plan, tmp_path / "whole"))
    monkeypatch.setattr("pet.runs.shards.SHARD_ROWS", 25)
    parts = vectors_of(plan, jobs_of(plan, tmp_path / "parts"))
    assert parts.pool == pytest.approx(np.asarray(whole.pool), abs=1e-5)
    assert parts.mean == pytest.approx(whole.mean, abs=1e-5)
    assert len(list((tmp_path / "parts" / "jobs").glob("[!.]*"))) == 1


def test_other_texts_of_the_labels_are_another_job(planned: Settings, tmp_path: Path) -> None:
    jobs = [jobs_of(planned(*change), tmp_path) for change in ((), ("task.descriptions.Tech=chips",))]
    for one in jobs:
        assert one.encoder is not None
        embedded(one.encoder, one)
    assert len(list((tmp_path / "jobs").glob("[!.]*"))) == 2


def test_what_is_no_encoder_is_refused(planned: Settings, tmp_path: Path, tiny_encoder: Path) -> None:
    plan = planned()
    folder = tmp_path / "encoder"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes((tiny_encoder / name).read_bytes())
    from pet.learners.models.sources import find_model

    with pytest.raises(ModelError, match="tokenizer"):
        embedded(find_model(str(folder)), jobs_of(plan, tmp_path))


def test_the_voter_says_what_was_learned_from_centred_vectors(planned: Settings, tmp_path: Path) -> None:
    plan = planned()
    jobs, spec = jobs_of(plan, tmp_path), plan.embeddings[0]
    learned = TrainingSet(np.arange(0, 24, 2))
    rows = np.array([3, 50, 7])
    said = embedding_vote(jobs, spec, learned, rows)
    found = vectors_of(plan, jobs)
    gold = Rows.of(centred(found.labeled[learned.gold], found.mean), plan.gold[learned.gold])
    nobody = Rows.of(np.empty((0, 32), np.float32), np.empty(0, np.int64))
    expected = trained_voter(gold, nobody, found.standing_for, 3, derive_seed(plan.seed, "folds", spec.kind))
    assert said.trained and said.spec == spec
    assert said.pool == pytest.approx(expected.voter.scores(found.centred(found.pool[rows])), abs=1e-5)
    assert said.test == pytest.approx(expected.voter.scores(found.centred(found.test)), abs=1e-5)
    assert said.content_free.shape == (2, 3)
    assert said.gold[learned.gold] == pytest.approx(expected.on_gold)
    assert np.isnan(said.gold[1::2]).all()  # rows that it was not given
    assert log_softmax(said.pool) == pytest.approx(said.pool, abs=1e-5)


def test_rows_that_were_drawn_are_learned_with_the_gold_ones(planned: Settings, tmp_path: Path) -> None:
    plan = planned()
    jobs, spec, rows = jobs_of(plan, tmp_path), plan.embeddings[0], np.arange(72)
    gold = TrainingSet(np.arange(24))
    turned = Selection(np.arange(30), (np.arange(30) + 1) % 3, np.ones(30, np.float32), ())
    alone = embedding_vote(jobs, spec, gold, rows)
    misled = embedding_vote(jobs, spec, TrainingSet(np.empty(0, np.int64), turned), rows, generation=1)
    assert misled.trained and np.isnan(misled.gold).all()
    right = [(one.pool[:30].argmax(axis=1) == np.arange(30) % 3).mean() for one in (alone, misled)]
    assert right[0] > right[1] + 0.2
    both = embedding_vote(jobs, spec, TrainingSet(gold.gold, turned), rows, generation=1)
    assert np.isfinite(both.gold).all()


def test_without_rows_it_is_untrained_and_the_label_texts_speak(planned: Settings, tmp_path: Path) -> None:
    plan = planned("task.descriptions.Tech='phone chip code'")
    said = embedding_vote(
        jobs_of(plan, tmp_path), plan.embeddings[0], TrainingSet(np.empty(0, np.int64)), np.arange(72)
    )
    assert not said.trained
    assert np.isnan(said.gold).all() and np.isfinite(said.pool).all()


def test_a_voter_is_named_by_what_it_learned_and_is_asked_once(planned: Settings, tmp_path: Path) -> None:
    plan = planned()
    jobs, spec, gold = jobs_of(plan, tmp_path), plan.embeddings[0], TrainingSet(np.arange(24))
    first = voter_job(jobs, spec, gold, np.arange(72))
    assert first.name == "voter/embedding+tiny-encoder"
    assert voter_job(jobs, spec, gold, np.arange(72), 2).name == "generation-2/voter/embedding+tiny-encoder"
    others = [
        voter_job(jobs, spec, TrainingSet(np.arange(23)), np.arange(72)),
        voter_job(jobs, spec, gold, np.arange(71)),
        voter_job(jobs_of(planned("task.descriptions.Tech=chips"), tmp_path), spec, gold, np.arange(72)),
    ]
    assert len({first.key, *(job.key for job in others)}) == 4
    (said,) = vote([spec], [gold], np.arange(72), 0, jobs)
    folder = jobs.runner.store.path(first)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    (again,) = vote([spec], [gold], np.arange(72), 0, jobs_of(plan, tmp_path))
    assert again.pool.tolist() == said.pool.tolist()
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert set(load_file(folder / "scores.safetensors")) == {"gold", "content_free", "test"}
    assert json.loads((folder / "work.json").read_text())["steps"] == 0
