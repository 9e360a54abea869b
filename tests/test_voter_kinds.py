"""Whole runs with voters of all learners: patterns, an encoder as it is, and one that is tuned."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny import save_tiny
from toy import THREE, content

import pet
from pet.method.draw import first_sets
from pet.method.plan.opening import open_place
from pet.method.plan.plan import prepare
from pet.method.vote import VoterScores, vote
from pet.runs.jobs import JobStore

TUNED, READ = "contrastive+encoder", "embedding+encoder"
Config = Callable[..., pet.RunConfig]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("bert", tmp_path_factory.mktemp("models") / "encoder", seed=1)


@pytest.fixture
def mixed(larger: Config, encoder: Path) -> Config:
    """Build the config of a run with voters of all learners, whose scores are weighed by what they are worth."""
    tables = f"""[{{patterns = ["toy/*"]}}, {{learner = "embedding", model = "{encoder.as_posix()}"}},
        {{learner = "contrastive", model = "{encoder.as_posix()}"}}]"""
    ours = (f"train.voters={' '.join(tables.split())}", 'ensemble.mean="calibrated"', 'ensemble.weighting="auto"')
    return lambda *overrides: larger(*ours, *overrides)


def votes_of(config: pet.RunConfig, folder: Path) -> dict[str, VoterScores]:
    """What each voter says of the first ten rows of the pool."""
    plan = prepare(config)
    with open_place(plan, folder, force=False, quiet=True) as place:
        found = vote(plan.voters, first_sets(plan.drawing), np.arange(10), 0, place.jobs)
    return {one.spec.name: one for one in found}


def test_a_run_of_all_learners_is_the_same_again(mixed: Config, tmp_path: Path) -> None:
    runs = [pet.run(mixed(), tmp_path / name, quiet=True).directory for name in ("a", "b")]
    assert content(runs[0]) == content(runs[1])
    names = JobStore(runs[0] / "jobs").finished()
    assert names[f"voter/{TUNED}"] == names[f"voter/{READ}"] == names["embeddings/encoder"] == 1
    voters = json.loads((runs[0] / "generations" / "0" / "report.json").read_text())["voters"]
    assert [voter["name"] for voter in voters][-2:] == [READ, TUNED]


def test_who_has_learned_from_which_row(mixed: Config) -> None:
    plan = prepare(mixed())
    names, n = [spec.name for spec in plan.voters], len(plan.gold)
    read, tuned = names.index(READ), names.index(TUNED)
    assert plan.out_of_fold[read].all() and not plan.kept_from[read].any()
    kept = plan.kept_from[tuned]
    assert 0 < kept.sum() <= n / 4 and np.array_equal(plan.out_of_fold[tuned], kept)
    assert not (kept & plan.held_out).any()  # each pattern is kept from a fold of its own
    assert np.array_equal(first_sets(plan.drawing)[tuned].gold, np.flatnonzero(~kept))


def test_a_tuned_voter_is_silent_about_what_it_has_learned(mixed: Config, tmp_path: Path) -> None:
    config = mixed()
    kept = prepare(config).kept_from[-1]
    found = votes_of(config, tmp_path / "run")[TUNED]
    assert found.trained and np.isfinite(found.pool).all() and np.isfinite(found.test).all()
    assert np.array_equal(np.isfinite(found.gold).all(axis=1), kept)


def test_without_a_labeled_row_it_votes_as_the_encoder_does(mixed: Config, tmp_path: Path) -> None:
    found = votes_of(mixed("data.train="), tmp_path / "run")
    assert not found[TUNED].trained
    assert np.array_equal(found[TUNED].pool, found[READ].pool)


def test_it_is_a_job_that_is_done_once(mixed: Config, tmp_path: Path) -> None:
    first, again = (votes_of(mixed(), tmp_path / "run")[TUNED] for _ in range(2))
    assert np.array_equal(first.pool, again.pool) and np.array_equal(first.gold, again.gold, equal_nan=True)
    assert (tmp_path / "run" / "run.log").read_text().count("tuned for") == 1


@pytest.mark.slow
def test_its_jobs_are_counted_and_its_training_costs_something(mixed: Config, tmp_path: Path) -> None:
    config = mixed(*THREE, "ipet.accept_all=true")
    work = prepare(config).workload
    voting = [job for job in work.jobs() if job.name.endswith(TUNED)]
    assert [job.name for job in voting] == [f"{part}voter/{TUNED}" for part in ("", "generation-1/", "generation-2/")]
    assert all(
        sum(job.rows.values()) > sum(work.encoders[0].times({"pool": rows}).values())
        for job, rows in zip(voting, work.generation_rows, strict=True)
    )
    found = JobStore(pet.label(config, tmp_path / "run", quiet=True).directory / "jobs").finished()
    del found["trial"]
    assert Counter(job.name for job in work.jobs(whole=False)) == found
