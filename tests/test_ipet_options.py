"""What the settings of generations, calibration and kept models do in a run, and what a run costs."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generation_runs import run
from safetensors.numpy import load_file
from stand_ins import Asked
from toy import THREE, content, rows_of, write_rows, write_task
from transformers import AutoModelForMaskedLM

import pet
from pet.labeling.transport import prior_offset
from pet.labeling.votes import log_softmax, softmax
from pet.learners.models.backbone import Backbone
from pet.learners.models.sources import find_model
from pet.learners.voters.pvp import PvpVoter
from pet.learners.voters.spec import distinct_pvps
from pet.method.generation import Generation
from pet.method.place import RunPlace
from pet.method.plan.plan import Plan, prepare
from pet.pipeline import label
from pet.runs.results import Work
from pet.seeding import rng_for

pytestmark = pytest.mark.slow

Config = Callable[..., pet.RunConfig]


def metrics(root: Path) -> dict[str, Any]:
    return dict(json.loads((root / "metrics.json").read_text()))


def test_the_work_of_a_run_is_counted_by_hand(three: pet.RunResult) -> None:
    # Two voters, of 120 rows the first generation labels 96; 24 gold rows, 2 without content, 12 test rows.
    voting = 2 * (96 + 120 + 120) + 3 * 2 * (24 + 2 + 12)
    zero_shot = 2 * (24 + 120 + 12)
    embeddings = 24 + 120 + 12
    supervised = (120 + 12) + 2 * 24  # whole, and without each of the two folds
    # Its last layer is fitted; 30 rows are held out, to choose a penalty, measure, calibrate and measure again.
    distilled = (120 - 30 + 24) + 4 * 30 + (120 + 12)
    forwards = voting + zero_shot + embeddings + supervised + distilled
    steps = 16 * (3 * 2 + 1 + 2)  # voters, baseline, folds
    assert metrics(three.directory)["work"] == {"forwards": forwards, "steps": steps}
    assert three.work is not None
    done, _, taken = three.work.partition("; ")
    assert done == f"{forwards:,} rows went forward through a model, {steps:,} optimizer steps"
    memory, disk = re.fullmatch(r"(.*) GB of memory at the peak, (.*) MB on disk", taken).groups()
    files = [path.stat() for path in three.directory.rglob("*") if path.is_file()]
    size = sum({file.st_ino: file.st_size for file in files}.values())
    assert size < sum(file.st_size for file in files)  # the classifier's weights have two names
    assert 0.05 < float(memory) < 20
    assert float(disk) == pytest.approx(size / 1e6, abs=0.2)


def test_a_run_that_goes_on_counts_what_was_done_before(larger: Config, tmp_path: Path) -> None:
    settings = (*THREE, "ipet.accept_all=true", "train.steps=1", "distill.steps=1")
    whole = pet.run(larger(*settings), tmp_path / "whole", quiet=True)
    label(larger(*settings), tmp_path / "parts", quiet=True)
    parts = pet.run(larger(*settings), tmp_path / "parts", quiet=True)
    assert metrics(parts.directory) == metrics(whole.directory)
    assert metrics(parts.directory)["work"]["steps"] == 9


def test_a_subset_halves_the_work_of_four_generations_on_a_large_pool(tiny_model: Path, tmp_path: Path) -> None:
    pipeline = write_task(tmp_path / "task", tiny_model, train=2, unlabeled=200)
    settings = ("ipet.generations=4", "ipet.growth=2", "train.steps=1", "ipet.accept_all=true")
    forwards, sizes = [], []
    for choice in ("true", "false"):
        generations: list[Generation] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(RunPlace, "keep", lambda _, one, kept=generations: kept.append(one))
            config = pet.RunConfig.from_toml(pipeline, [*settings, f"ipet.subset={choice}"])
            label(config, tmp_path / choice, quiet=True)
        costs = (json.loads(path.read_text()) for path in tmp_path.glob(f"{choice}/jobs/*/work.json"))
        work = sum((Work(**cost) for cost in costs), Work())
        sizes.append([len(one.rows) for one in generations])
        forwards.append(work.forwards)
        assert work.steps == 4 * 2
        sets = [len(one.sets[0]) for one in generations]
        assert sets[:2] == [6, 12] and 12 <= sets[2] <= 24 and 12 <= sets[3] <= 48  # an untrained model is one-sided
    # Drawn are 6, 18, 42 rows; four times as many are labeled, and in the end all 600.
    assert sizes == [[24, 72, 168, 600], [600] * 4]
    others = 4 * 2 * (6 + 2 + 12)
    assert forwards == [2 * (24 + 72 + 168 + 600) + others, 2 * 2400 + others]
    assert forwards[0] <= forwards[1] / 2


def one_sided(asked: Asked) -> np.ndarray:
    """Scores of a voter that likes Tech whatever the text."""
    rng = rng_for(3, asked.spec.name, asked.part)
    return asked.truth(1.0) + rng.normal(size=(len(asked.rows), 3)) + [0.0, 0.5, 2.0]


def raw(generation: Generation, voter: int, part: str, plan: Plan) -> np.ndarray:
    rows = {"pool": plan.data.unlabeled, "test": plan.data.test, "content_free": plan.rows.content_free}
    return one_sided(Asked(plan.patterns[voter], part, rows[part], generation.number)).astype(np.float32)


def adjusted(config: pet.RunConfig) -> tuple[Plan, Generation]:
    found = run(config, one_sided)
    (generation,) = found.generations
    return found.plan, generation


@pytest.mark.parametrize("how", ["batch", "contextual"])
def test_calibration_takes_off_the_same_offset_from_pool_and_test_rows(larger: Config, how: str) -> None:
    plan, found = adjusted(larger(f"ensemble.calibration={how}"))
    for i, vote in enumerate(found.votes):
        by = raw(found, i, "pool" if how == "batch" else "content_free", plan)
        offset = -log_softmax(by).mean(axis=0)
        assert vote.scores == pytest.approx(log_softmax(raw(found, i, "pool", plan)) + offset, abs=1e-5)
        assert found.ensemble.test[i] == pytest.approx(log_softmax(raw(found, i, "test", plan)) + offset, abs=1e-5)


def test_trained_voters_are_not_calibrated_unless_it_is_set_and_untrained_ones_are(larger: Config) -> None:
    for choice in ("auto", "none"):
        plan, found = adjusted(larger(f"ensemble.calibration={choice}"))
        assert found.votes[0].scores.tobytes() == raw(found, 0, "pool", plan).tobytes()
        assert found.ensemble.test[1].astype(np.float32).tobytes() == raw(found, 1, "test", plan).tobytes()
    settings = larger()
    data = settings.data.model_copy(update={"train": None})
    plan, found = adjusted(settings.model_copy(update={"data": data}))
    pool = log_softmax(raw(found, 0, "pool", plan))
    assert found.votes[0].scores == pytest.approx(pool - pool.mean(axis=0), abs=1e-5)


@pytest.mark.parametrize(
    ("setting", "prior"),
    [
        ("uniform", [1 / 3] * 3),
        ("labels", [(8 + 1) / 27, (8 + 1) / 27, (8 + 1) / 27]),
        ("{Tech = 0.1, Sports = 0.7, Business = 0.2}", [0.7, 0.2, 0.1]),
    ],
)
@pytest.mark.parametrize("calibration", ["none", "batch"])
def test_with_a_prior_every_voters_scores_are_matched_to_it(
    larger: Config, setting: str, prior: list[float], calibration: str
) -> None:
    plan, found = adjusted(larger(f"ensemble.prior={setting}", f"ensemble.calibration={calibration}"))
    for i, vote in enumerate(found.votes):
        # They need no more.
        assert prior_offset(vote.scores, np.asarray(prior)) == pytest.approx(np.zeros(3), abs=1e-3)
        # On the test rows the same is added as on the pool, whatever their own ratio.
        added = vote.scores - log_softmax(raw(found, i, "pool", plan))
        assert np.ptp(added, axis=0) == pytest.approx(np.zeros(3), abs=1e-5)
        on_test = found.ensemble.test[i] - log_softmax(raw(found, i, "test", plan))
        assert on_test == pytest.approx(np.tile(added[0], (12, 1)), abs=1e-5)
        assert softmax(found.ensemble.test[i]).mean(axis=0) != pytest.approx(np.asarray(prior), abs=1e-3)


def test_an_unbalanced_label_ratio_is_the_prior_where_it_is_asked_for(tiny_model: Path, tmp_path: Path) -> None:
    pipeline = write_task(tmp_path, tiny_model, unlabeled=40)
    write_rows(tmp_path / "train.jsonl", [row for row in rows_of("train", 4) if row["label"] != "Tech"])
    _, found = adjusted(pet.RunConfig.from_toml(pipeline, ["ensemble.prior=labels"]))
    needed = prior_offset(found.votes[0].scores, np.array([5 / 11, 5 / 11, 1 / 11]))
    assert needed == pytest.approx(np.zeros(3), abs=1e-3)


def test_kept_models_are_stock_ones_that_vote_the_same(larger: Config, tmp_path: Path) -> None:
    plain = label(larger("train.steps=2"), tmp_path / "plain", quiet=True)
    assert not list(plain.directory.glob("jobs/*/model"))
    kept = label(larger("train.steps=2", "run.keep_models=true"), tmp_path / "kept", quiet=True)
    assert kept.pseudo_labels.read_bytes() == plain.pseudo_labels.read_bytes()
    plan = prepare(larger())
    jobs = json.loads((kept.directory / "manifest.json").read_text())["jobs"]
    assert len(jobs) == 2
    for pvp in distinct_pvps(plan.patterns):
        folder = kept.directory / "jobs" / jobs[f"voter/{pvp.name}"]
        AutoModelForMaskedLM.from_pretrained(folder / "model")  # as anyone would
        backbone = Backbone.masked_lm(find_model(str(folder / "model")), plan.machine.device)
        scores = PvpVoter(backbone, pvp, plan.config.model, plan.machine).scores(plan.data.unlabeled)
        assert scores.tobytes() == load_file(folder / "pool-00000.safetensors")["pool"].tobytes()


def test_a_run_goes_on_with_and_without_kept_models(larger: Config, tmp_path: Path) -> None:
    settings = ("train.steps=2",)
    for first, second, models in (("false", "true", 0), ("true", "false", 2)):
        root = tmp_path / first
        label(larger(*settings, f"run.keep_models={first}"), root, quiet=True)
        before = {name: data for name, data in content(root).items() if name != "config.toml"}
        label(larger(*settings, f"run.keep_models={second}"), root, quiet=True)
        assert {name: data for name, data in content(root).items() if name != "config.toml"} == before
        assert len(list(root.glob("jobs/*/model"))) == models
        told = "2 voters were finished before weights were kept, and theirs are gone" in (root / "run.log").read_text()
        assert told is (models == 0)
    # What was lost is done again as it is wanted now.
    shutil.rmtree(next(iter((tmp_path / "false" / "jobs").iterdir())))
    label(larger(*settings, "run.keep_models=true"), tmp_path / "false", quiet=True)
    assert len(list((tmp_path / "false").glob("jobs/*/model"))) == 1
