"""Runs of several generations, from a few rows to a classifier, on a tiny model and a toy task."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from run_jobs import jobs_of
from stand_ins import Asked, Scores, vote_with
from toy import LABELS, THREE, content

import pet
from pet.learners.voters.spec import VoterSpec
from pet.method import vote as vote_module
from pet.method.generation import TrainingSet
from pet.method.jobs import Jobs
from pet.method.place import RunPlace
from pet.method.plan.plan import prepare
from pet.method.vote import VoterScores, vote_of, voter_job
from pet.pipeline import label
from pet.seeding import rng_for

pytestmark = pytest.mark.slow

Config = Callable[..., pet.RunConfig]
COLON, CATEGORY = "toy/colon+words", "toy/category+words"
# A tiny model that has hardly learned may well collapse: where that is not the point, all is accepted.
ACCEPTED = (*THREE, "ipet.accept_all=true")
QUICK = (*THREE, "train.steps=1", "distill.steps=1", "run.baseline=false")


def table(path: Path) -> dict[str, list[Any]]:
    return dict(pq.read_table(path).to_pydict())


def report(root: Path, generation: int) -> dict[str, Any]:
    return dict(json.loads((root / "generations" / str(generation) / "report.json").read_text()))


def metrics(root: Path) -> dict[str, Any]:
    return dict(json.loads((root / "metrics.json").read_text()))


def training_sets(root: Path) -> dict[tuple[int, str], dict[str, list[Any]]]:
    """Return the training set of every (generation, voter) as it is written."""
    return {
        (number, voter["name"]): table(root / "generations" / str(number) / voter["file"])
        for number in range(3)
        for voter in report(root, number)["voters"]
    }


def test_a_run_of_three_generations_leaves_each_of_them(three: pet.RunResult) -> None:
    folder = three.directory / "generations"
    assert sorted(path.name for path in folder.iterdir()) == ["0", "1", "2"]
    for number in ("0", "1", "2"):
        files = {path.name for path in (folder / number).iterdir()}
        sets = {"toy+colon+words.parquet", "toy+category+words.parquet"}
        assert files == {"report.json", "votes.parquet", "gold.parquet", "_SUCCESS", *sets}
    manifest = json.loads((three.directory / "manifest.json").read_text())
    prefixes = ("", "generation-1/", "generation-2/")
    assert set(manifest["jobs"]) == {f"{prefix}voter/{name}" for prefix in prefixes for name in (COLON, CATEGORY)}
    assert three.summary is not None
    names = [row.name for row in three.summary.rows]
    assert names[3:7] == ["generation 0", "generation 1", "generation 2", "ensemble"]
    test = three.summary.test_figures()
    assert test["generation 2"] == test["ensemble"]
    found = metrics(three.directory)["generations"]
    assert [one["training_rows"] for one in found[:2]] == [[19, 19], [43, 43]]
    # 24 of each label are wanted, fewer of one that few rows have, but always the 8 that the sets began with.
    assert all(19 + 3 * 8 <= rows <= 19 + 3 * 24 for rows in found[2]["training_rows"])
    assert [one["labeled_rows"] for one in found] == [96, 120, 120]
    assert [one["rejected"] for one in found] == [None] * 3


def test_the_written_training_sets_are_the_ones_that_were_used(larger: Config, tmp_path: Path) -> None:
    used: dict[tuple[int, str], list[tuple[str, str | None]]] = {}
    original = vote_module.vote_of

    def vote_of(jobs: Jobs, spec: VoterSpec, training: TrainingSet, rows: np.ndarray, generation: int) -> VoterScores:
        used[generation, spec.name] = [(row.id, row.label) for row in training.examples(jobs.rows.data)]
        return original(jobs, spec, training, rows, generation)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vote_module, "vote_of", vote_of)
        label(larger(*ACCEPTED, "train.steps=1"), tmp_path / "run", quiet=True)
    written = training_sets(tmp_path / "run")
    assert {key: list(zip(one["id"], one["label"], strict=True)) for key, one in written.items()} == used
    assert len(used) == 6


def test_the_labels_are_those_of_the_last_generation(three: pet.RunResult) -> None:
    votes = table(three.directory / "generations" / "2" / "votes.parquet")
    labeled = table(three.pseudo_labels)
    assert votes["id"] == labeled["id"][24:] == [f"unlabeled-{i}" for i in range(120)]
    for name in (COLON, CATEGORY):
        own = [LABELS[int(np.argmax(probs))] for probs in votes[name]]
        assert own == labeled[f"vote_{name}"][24:]
    assert labeled["label"][24:] == [LABELS[k] for k in three.soft_labels.hard()]
    earlier = table(three.directory / "generations" / "1" / "votes.parquet")
    assert earlier[COLON] != votes[COLON]


def test_the_columns_say_when_a_row_was_labeled_and_in_how_many_sets_it_was(three: pet.RunResult) -> None:
    labeled = table(three.pseudo_labels)
    first = set(table(three.directory / "generations" / "0" / "votes.parquet")["id"])
    assert len(first) == 96
    assert labeled["generation"] == [None] * 24 + [0 if row in first else 1 for row in labeled["id"][24:]]
    drawn = [row for one in training_sets(three.directory).values() for row in one["id"]]
    assert labeled["training_sets"] == [None] * 24 + [drawn.count(row) for row in labeled["id"][24:]]
    rows = [size for one in metrics(three.directory)["generations"] for size in one["training_rows"]]
    assert sum(labeled["training_sets"][24:]) == sum(rows) - 6 * 19


def test_every_voter_starts_from_the_pretrained_weights_whatever_ran_before(larger: Config, tmp_path: Path) -> None:
    config = larger(*ACCEPTED, "train.steps=4")
    plan, kept = prepare(config), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunPlace, "keep", lambda _, generation: kept.append(generation))
        label(config, tmp_path / "run", quiet=True)
    last, fresh = kept[2], jobs_of(plan, tmp_path / "fresh")
    first = jobs_of(plan, tmp_path / "run" / "jobs")
    for i in (1, 0):  # the other way round, and with no generation before it
        asked = (plan.patterns[i], last.sets[i], last.rows, 2)
        assert first.runner.store.done(voter_job(first, *asked))
        again, before = vars(vote_of(fresh, *asked)), vars(vote_of(first, *asked))
        assert all(np.array_equal(again[part], before[part]) for part in ("pool", "gold", "content_free", "test"))
        assert vote_of(fresh, *asked[:3], 1).pool.tobytes() != again["pool"].tobytes()  # other draws


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    three: pet.RunResult, larger: Config, tmp_path: Path
) -> None:
    again = label(larger(*ACCEPTED), tmp_path / "again", quiet=True)
    assert again.pseudo_labels.read_bytes() == three.pseudo_labels.read_bytes()
    assert content(again.directory / "generations") == content(three.directory / "generations")
    other = label(larger(*ACCEPTED, "run.seed=43"), tmp_path / "other", quiet=True)
    for number in ("1", "2"):
        ours, theirs = (root / "generations" / number for root in (three.directory, other.directory))
        for name in ("toy+colon+words.parquet", "toy+category+words.parquet"):
            assert table(ours / name)["id"] != table(theirs / name)["id"]


def noisy(asked: Asked) -> np.ndarray:
    rng = rng_for(5, asked.spec.name, asked.part, asked.generation)
    return asked.truth(3.0) + rng.normal(size=(len(asked.rows), 3))


def otherwise(label_of: Scores, at: int) -> Scores:
    return lambda asked: label_of(asked) if asked.generation == at else noisy(asked)


def of_another_domain(asked: Asked) -> np.ndarray:
    """As of rows that have nothing to do with the labels: all but a few look alike."""
    if asked.part != "pool":
        return noisy(asked)
    scores = asked.only(2)
    scores[0, 0] = 9.0
    return scores


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda asked: asked.only(0), "the label 'Business' has almost no rows"),
        (lambda asked: np.roll(noisy(asked), 1, axis=1), "the accuracy on 10 gold rows held out fell"),
        (of_another_domain, "the label 'Sports' has almost no rows"),
    ],
)
def test_a_collapsed_generation_is_left_out_of_everything_but_the_reports(
    larger: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: Scores, reason: str
) -> None:
    vote_with(monkeypatch, otherwise(wrong, at=1))
    result = pet.run(larger(*QUICK), tmp_path / "run", quiet=True)
    root = result.directory
    said = report(root, 1)["rejected"]
    assert said.startswith(reason)
    assert [report(root, number)["continues"] for number in range(3)] == [None, 0, 0]
    assert [one["rejected"] for one in metrics(root)["generations"]] == [None, said, None]
    log = (root / "run.log").read_text()
    assert f"generation 1 is rejected: {said}; the run goes on from generation 0" in log
    labeled = table(result.pseudo_labels)
    assert set(labeled["generation"][24:]) == {0, 2}  # generation 1 labeled all rows, and counts for nothing
    drawn = [row for (number, _), one in training_sets(root).items() if number != 1 for row in one["id"]]
    assert labeled["training_sets"][24:] == [drawn.count(row) for row in labeled["id"][24:]]
    right = [LABELS[int(row.rpartition("-")[2]) % 3] for row in labeled["id"][24:]]
    assert np.mean(np.asarray(labeled["label"][24:]) == np.asarray(right)) > 0.9
    assert result.summary is not None
    assert [row.name for row in result.summary.rows if row.name.startswith("generation")] == [
        "generation 0",
        "generation 1 (rejected)",
        "generation 2",
    ]


SMALL = (*QUICK, "ipet.growth=1.5", "data.examples_per_label=4")  # the first two label 24 and 60 of 120 rows


@pytest.mark.parametrize(("settings", "jobs", "rows"), [(SMALL, 8, 120), (QUICK, 6, 120)])
def test_a_rejected_last_generation_leaves_the_labels_to_the_one_before(
    larger: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: tuple[str, ...],
    jobs: int,
    rows: int,
) -> None:
    vote_with(monkeypatch, otherwise(lambda asked: asked.only(0), at=2))
    result = label(larger(*settings), tmp_path / "run", quiet=True)
    root = result.directory
    # Voters are trained again only where they had labeled a part of the pool.
    assert len(list((root / "jobs").glob("*/training.json"))) == jobs
    assert report(root, 2)["rejected"] and report(root, 1)["rejected"] is None
    assert report(root, 1)["labeled_rows"] == rows
    votes = table(root / "generations" / "1" / "votes.parquet")
    labeled = table(result.pseudo_labels)
    gold = labeled["source"].count("gold")
    assert votes["id"] == labeled["id"][gold:]
    assert [LABELS[int(np.argmax(probs))] for probs in votes[COLON]] == labeled[f"vote_{COLON}"][gold:]
    assert set(labeled["generation"][gold:]) == {0, 1}
    before = content(root)
    label(larger(*settings), root, quiet=True)  # and the same command again changes nothing
    assert content(root) == before


def test_accept_all_keeps_what_would_be_rejected(
    larger: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vote_with(monkeypatch, otherwise(lambda asked: asked.only(0), at=2))
    result = label(larger(*QUICK, "ipet.accept_all=true"), tmp_path / "run", quiet=True)
    assert set(table(result.pseudo_labels)["label"][24:]) == {LABELS[0]}
    assert report(result.directory, 2)["rejected"] is None
    assert "rejected" not in (result.directory / "run.log").read_text()


def test_accept_all_can_be_added_to_a_finished_run(
    larger: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vote_with(monkeypatch, otherwise(lambda asked: asked.only(0), at=2))
    first = label(larger(*QUICK), tmp_path / "run", quiet=True)
    assert report(first.directory, 2)["rejected"]
    label(larger(*QUICK, "ipet.accept_all=true"), tmp_path / "run", quiet=True)  # as the warning says
    assert set(table(first.pseudo_labels)["label"][24:]) == {LABELS[0]}
    assert report(first.directory, 2)["rejected"] is None


def test_auto_is_written_resolved_and_said_and_is_the_same_run(
    larger: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ("ipet.generations=auto", "ipet.growth=5", "train.steps=1", "ipet.accept_all=true")
    result = label(larger(*settings), tmp_path / "run")
    said = "2 generations, as many as 120 unlabeled rows can fill: training sets of up to 24, 120 rows"
    assert said in capsys.readouterr().err
    assert pet.RunConfig.from_toml(result.directory / "config.toml").ipet.generations == 2
    before = content(result.directory)
    label(larger(*settings), tmp_path / "run", quiet=True)
    label(pet.RunConfig.from_toml(result.directory / "config.toml"), tmp_path / "run", quiet=True)
    assert content(result.directory) == before


def test_three_generations_without_any_gold_row(larger: Config, tmp_path: Path) -> None:
    settings = larger(*ACCEPTED, "train.steps=3", "ipet.first_rows=10")
    data = settings.data.model_copy(update={"train": None})
    result = pet.run(settings.model_copy(update={"data": data}), tmp_path / "run", quiet=True)
    found = metrics(result.directory)["generations"]
    assert [one["training_rows"] for one in found[:2]] == [[0, 0], [10, 10]]
    assert all(10 <= rows <= 20 for rows in found[2]["training_rows"])  # half of the rows of a label at most
    sets = training_sets(result.directory)
    assert sorted(sets[1, COLON]["label"]) == sorted([LABELS[0]] * 4 + [LABELS[1]] * 3 + [LABELS[2]] * 3)
    assert all(set(one["source"]) <= {"pseudo"} for one in sets.values())
    labeled = table(result.pseudo_labels)
    assert set(labeled["source"]) == {"pseudo"} and len(labeled["id"]) == 120
    assert result.model is not None and (result.model / "model.safetensors").is_file()
    assert result.summary is not None and result.verdict is not None
    names = [row.name for row in result.summary.rows]
    assert not [name for name in names if "supervised" in name or "embeddings" in name]
    assert all(row.held_out is None for row in result.summary.rows)
    assert metrics(result.directory)["summary"]["held_out_rows"] == 0
