"""Whole runs with both families of voters, patterns and vectors, and what commands make of them."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import transformers
from mistakes import command
from toy import LABELS, THREE, content, rows_of, write_task
from transformers import GPT2Config

import pet
from pet.errors import ConfigError
from pet.learners.models.encoder import Encoder
from pet.learners.voters.pvp import PvpVoter
from pet.method.plan.plan import prepare
from pet.pipeline import distill, label
from pet.runs.directory import RunDirectory
from pet.settings.run import RunSettings

pytestmark = pytest.mark.slow

Config = Callable[..., pet.RunConfig]

COLON, CATEGORY = "toy/colon+words", "toy/category+words"
VECTORS, TUNED = "embedding+tiny-encoder", "contrastive+tiny-encoder"
QUICK = ("train.steps=1", "distill.steps=1", "distill.size=same", "run.baseline=false")
EXPLAINED = (
    "task.descriptions.Sports='team, game, match'",
    "task.descriptions.Business='bank, market, money'",
    "task.descriptions.Tech='phone, chip, code'",
)


@pytest.fixture
def planned(both_pipeline: Path) -> Config:
    """Build the config of the toy task with both families, with overrides."""
    return lambda *overrides: pet.RunConfig.from_toml(both_pipeline, overrides)


def rows(path: Path) -> dict[str, list[Any]]:
    return dict(pq.read_table(path).to_pydict())


def pool_of(labeled: dict[str, list[Any]]) -> list[int]:
    return [place for place, source in enumerate(labeled["source"]) if source == "pseudo"]


def test_all_voters_vote_and_the_labels_are_good(both: pet.RunResult) -> None:
    labeled = rows(both.pseudo_labels)
    assert {f"vote_{name}" for name in (COLON, CATEGORY, VECTORS)} < set(labeled)
    pool = pool_of(labeled)
    right = [labeled["label"][place] == LABELS[int(labeled["id"][place].rpartition("-")[2]) % 3] for place in pool]
    assert len(pool) == 72 and np.mean(right) > 0.85
    shares = np.array([[labeled[f"prob_{name}"][place] for name in LABELS] for place in pool])
    assert shares.sum(axis=1) == pytest.approx(np.ones(72), abs=1e-5)
    assert both.summary is not None
    names = [row.name for row in both.summary.rows]
    assert names[1:6] == [COLON, CATEGORY, VECTORS, TUNED, "ensemble"]
    assert {"distilled classifier", "supervised baseline"} < set(names)
    metrics = json.loads((both.directory / "metrics.json").read_text())
    assert VECTORS in json.dumps(metrics)


def test_the_rows_are_embedded_once_for_all_that_needs_vectors(both: pet.RunResult, both_pipeline: Path) -> None:
    done = RunDirectory(both.directory).store().finished()
    del done["trial"]
    work = prepare(pet.RunConfig.from_toml(both_pipeline)).workload
    assert Counter(job.name for job in work.jobs()) == done
    assert done["embeddings/tiny-encoder"] == done[f"voter/{VECTORS}"] == 1
    assert work.left(done) == []


def test_a_second_run_does_nothing_and_leaves_all_bytes(
    both: pet.RunResult, planned: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(shutil.copytree(both.directory, tmp_path / "copied"))
    before = content(root)

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a finished job is done again")

    for owner, name in ((PvpVoter, "train"), (PvpVoter, "scores"), (Encoder, "embed"), (Encoder, "embed_texts")):
        monkeypatch.setattr(owner, name, fail)
    monkeypatch.setattr("pet.method.vote.trained_voter", fail)
    pet.run(planned(), root, quiet=True)
    assert content(root) == before


def test_label_then_run_gives_the_bytes_of_one_run(both: pet.RunResult, planned: Config, tmp_path: Path) -> None:
    labeled = label(planned(), tmp_path / "run", quiet=True)
    assert labeled.model is None
    assert rows(labeled.pseudo_labels) == rows(both.pseudo_labels)
    pet.run(planned(), tmp_path / "run", quiet=True)
    assert content(tmp_path / "run") == content(both.directory)


def test_a_run_on_another_encoder_is_another_run(
    both: pet.RunResult, planned: Config, tmp_path: Path, tiny_model: Path
) -> None:
    root = Path(shutil.copytree(both.directory, tmp_path / "copied"))
    with pytest.raises(ConfigError, match=r"holds another run \(encoder\.name was"):
        pet.run(planned(f"encoder.name={tiny_model}"), root, quiet=True)


def test_generations_draw_from_both_families_and_refined_votes(planned: Config, tmp_path: Path) -> None:
    found = pet.run(
        planned(*QUICK, *THREE, "train.steps=8", "ipet.accept_all=true", "ipet.share=1"), tmp_path / "run", quiet=True
    )
    deciders, learned = set(), Counter[str]()
    for number in range(3):
        folder = tmp_path / "run" / "generations" / str(number)
        assert list(rows(folder / "votes.parquet")) == ["id", COLON, CATEGORY, VECTORS, TUNED]
        for name in (COLON, CATEGORY, VECTORS, TUNED):
            own = rows(folder / f"{name.replace('/', '+')}.parquet")
            drawn = [place for place, source in enumerate(own["source"]) if source == "pseudo"]
            assert bool(drawn) is (number > 0)
            learned[name] += len(own["id"]) - len(drawn)
            for place in drawn:
                assert name not in own["decided_by"][place]
                deciders.update(own["decided_by"][place])
    assert deciders == {COLON, CATEGORY, VECTORS, TUNED}
    assert learned[VECTORS] == 3 * 24 > learned[COLON]  # it makes folds of its own
    jobs = RunDirectory(found.directory).store().finished()
    assert jobs["embeddings/tiny-encoder"] == 1
    assert [jobs[f"{prefix}voter/{VECTORS}"] for prefix in ("", "generation-1/", "generation-2/")] == [1, 1, 1]


@pytest.mark.parametrize("described", [(), EXPLAINED])
def test_without_a_label_both_families_read_what_stands_for_labels(
    planned: Config, tmp_path: Path, described: tuple[str, ...]
) -> None:
    found = pet.run(planned(*QUICK, "data.train=''", *described), tmp_path / "run", quiet=True)
    labeled = rows(found.pseudo_labels)
    assert len(pool_of(labeled)) == 72
    assert found.summary is not None
    ours = next(row.test for row in found.summary.rows if row.name == VECTORS)
    assert ours is not None
    # The texts that describe have the words of the rows; of names alone an encoder with random weights knows nothing.
    assert ours.accuracy > (0.6 if described else 0.0)
    (name,) = [voter["name"] for voter in report(tmp_path / "run")["voters"] if voter["template"] is None]
    assert rows(tmp_path / "run" / "generations" / "0" / f"{name}.parquet")["id"] == []


def report(root: Path) -> dict[str, Any]:
    return dict(json.loads((root / "generations" / "0" / "report.json").read_text()))


def test_generations_start_without_a_label(planned: Config, tmp_path: Path) -> None:
    settings = (*QUICK, "train.steps=4", "data.train=''", *EXPLAINED, "ipet.generations=2", "ipet.first_rows=12")
    found = label(planned(*settings, "ipet.accept_all=true"), tmp_path / "run", quiet=True)
    own = rows(found.directory / "generations" / "1" / f"{VECTORS}.parquet")
    assert set(own["source"]) == {"pseudo"} and len(own["id"]) == 12


def test_one_row_per_label_is_enough_and_nothing_is_held_out(planned: Config, tmp_path: Path) -> None:
    found = pet.run(planned(*QUICK, "data.examples_per_label=1"), tmp_path / "run", quiet=True)
    figures = report(tmp_path / "run")["figures"]
    assert (figures["held_out_rows"], figures["held_out_accuracy"]) == (0, None)
    assert np.isfinite(found.soft_labels.probs).all()


def test_labels_that_are_not_refined_are_those_of_the_mean(planned: Config, tmp_path: Path) -> None:
    plain = label(planned("refine.method=none"), tmp_path / "plain", quiet=True)
    graph = label(planned("refine.method=graph"), tmp_path / "graph", quiet=True)
    votes = ["votes.parquet", "report.json"]
    first, second = (
        [(found.directory / "generations" / "0" / name).read_bytes() for name in votes] for found in (plain, graph)
    )
    assert first == second
    assert not np.array_equal(plain.soft_labels.probs, graph.soft_labels.probs)


def test_raw_scores_and_weights_of_the_paper_go_with_a_voter_on_vectors(planned: Config, tmp_path: Path) -> None:
    paper = ("ensemble.mean=raw", "ensemble.weighting=accuracy", "refine.method=none")
    found = label(planned(*QUICK, *paper), tmp_path / "run", quiet=True)
    assert np.isfinite(found.soft_labels.probs).all()
    assert RunDirectory(found.directory).store().finished()["zero-shot/toy/colon+words"] == 1


def test_a_classifier_is_taught_again_without_the_input_files(both: pet.RunResult, tmp_path: Path) -> None:
    root = Path(shutil.copytree(both.directory, tmp_path / "copied"))
    assert distill(root, ["distill.steps=2", "distill.size=same"], quiet=True) == root / "model"
    texts = [str(row["text"]) for row in rows_of("test", 4)]
    for place in (distill(root, ["distill.size=static"], tmp_path / "static", quiet=True), root):
        found = pet.predict(place, texts, RunSettings(device="cpu", precision="fp32"))
        assert {one.label for one in found} <= set(LABELS)


def test_a_row_is_explained_by_all_voters_and_the_clozes_of_those_that_read_one(both: pet.RunResult) -> None:
    shown = command("explain", both.directory, "unlabeled-4")
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert sum(line.split()[:1] == [VECTORS] for line in lines) == 1
    clozes = lines[lines.index(next(line for line in lines if line.startswith("what the voters read"))) + 1 :]
    assert [line.split()[0] for line in clozes] == ["toy/colon", "toy/category"]
    found = json.loads(command("explain", both.directory, "unlabeled-4", "--json").stdout)
    voters = found["generations"][0]["voters"]
    assert [voter["name"] for voter in voters] == [COLON, CATEGORY, VECTORS, TUNED]
    assert sum(voters[2]["probabilities"].values()) == pytest.approx(1.0, abs=1e-4)
    assert [pattern["name"] for pattern in found["patterns"]] == ["toy/colon", "toy/category"]
    gold = command("explain", both.directory, "train-3").stdout
    assert " of 4 voters trained on it" in gold


def test_tables_of_voters_name_the_families(both_pipeline: Path, tmp_path: Path, tiny_model: Path) -> None:
    other = f'{{learner = "embedding", model = "{tiny_model.as_posix()}"}}'
    tables = f"train.voters=[{{learner = 'embedding'}}, {{patterns = 'toy/colon'}}, {other}]"
    config = pet.RunConfig.from_toml(both_pipeline, (tables, *QUICK))
    found = label(config, tmp_path / "run", quiet=True)
    names = ["id", COLON, VECTORS, f"embedding+{tiny_model.name}"]
    assert list(rows(found.directory / "generations" / "0" / "votes.parquet")) == names
    assert command("explain", found.directory, "unlabeled-4").exit_code == 0


def test_check_says_how_the_encoder_reads_the_texts(both_pipeline: Path) -> None:
    found = command("check", both_pipeline)
    assert found.exit_code == 0, found.output
    assert "tiny-encoder reads the texts in 1.0 pieces per word, 0% of them unknown" in found.stdout


def test_the_plan_counts_the_encoder(both_pipeline: Path, tmp_path: Path) -> None:
    found = command("plan", both_pipeline, "--output-dir", tmp_path / "run", "--json")
    assert found.exit_code == 0, found.output
    stages = json.loads(found.stdout)["stages"]
    assert "embeddings" in json.dumps(stages)
    assert command("plan", both_pipeline, "--output-dir", tmp_path / "run").exit_code == 0


def without_tokenizer(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name not in ("config.json", "model.safetensors"):
            path.unlink()


def of_another_shape(folder: Path) -> None:
    config = GPT2Config(n_layer=1, n_head=1, n_embd=8, vocab_size=300)
    transformers.GPT2Model(config).save_pretrained(folder)


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_tokenizer, "vocabulary of a tokenizer"),
        (of_another_shape, "is a 'gpt2' model, expected an encoder"),
        (empty, "holds no config.json"),
    ],
)
@pytest.mark.parametrize("place", ["encoder", "voter"])
def test_what_is_no_encoder_is_refused_in_one_sentence_before_anything_is_trained(
    tiny_model: Path, tiny_encoder: Path, tmp_path: Path, spoil: Callable[[Path], None], message: str, place: str
) -> None:
    folder = Path(shutil.copytree(tiny_encoder, tmp_path / "spoiled"))
    spoil(folder)
    pipeline = write_task(tmp_path / "task", tiny_model, encoder=folder if place == "encoder" else tiny_encoder)
    table = f'train.voters=[{{}}, {{learner = "embedding", model = "{folder}"}}]'
    options = () if place == "encoder" else ("--set", table)
    found = command("run", pipeline, "--output-dir", tmp_path / "run", *options)
    assert found.exit_code == 2, found.output
    (line,) = found.stderr.strip().splitlines()
    assert line.startswith("error: ") and message in line
    assert not (tmp_path / "run").exists()
