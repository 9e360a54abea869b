"""The model reads patterns filled with the labels of a first generation; voters start from there if that is sound."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from stand_ins import Asked, vote_with
from toy import content, write_rows

import pet
from pet.errors import ConfigError, DataError
from pet.forecast import outlook as forecast
from pet.labeling.guards import HeldOut
from pet.method import prompted as prompting
from pet.method.adapt import adapted_model
from pet.method.generation import Generation
from pet.method.place import RunPlace
from pet.method.plan.opening import foresee_run, open_place
from pet.method.plan.plan import prepare
from pet.method.prompted import kept_if_sound
from pet.pipeline import first_generation, label
from pet.runs.directory import RunDirectory

Config = Callable[..., pet.RunConfig]

PCP = ("adapt.method=pcp", "adapt.steps=4", "adapt.learning_rate=1e-2", "run.baseline=false")
JUDGED = ("ensemble.mean=calibrated", "train.steps=1")


@pytest.fixture(scope="module")
def run(toy_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> pet.RunResult:
    return pet.run(pet.RunConfig.from_toml(toy_pipeline, PCP), tmp_path_factory.mktemp("prompted") / "run", quiet=True)


def jobs_of(result: pet.RunResult) -> dict[str, str]:
    return dict(RunDirectory(result.directory).expected())


def read_by(result: pet.RunResult) -> str:
    """Return the key of the job that has read filled patterns, whether the run goes on from there or not."""
    names = {
        path.parent.name: json.loads(path.read_text())["name"] for path in result.directory.glob("jobs/*/job.json")
    }
    (key,) = (key for key, name in names.items() if name == "adapt")
    return key


def facts_of(result: pet.RunResult) -> dict[str, object]:
    found: dict[str, object] = json.loads((result.directory / "metrics.json").read_text())["adapt"]
    return found


def test_generation_0_votes_twice_and_the_run_goes_on_from_the_second_time(
    run: pet.RunResult, finished: pet.RunResult
) -> None:
    named, plain = jobs_of(run), jobs_of(finished)
    assert set(named) == {*plain, "adapt"} and not set(named.values()) & set(plain.values())
    kept = {path.name for path in (run.directory / "jobs").iterdir()}
    voters = {key for name, key in plain.items() if name.startswith("voter/")}
    assert voters < kept  # the first votes, which are those of a run without
    done = RunDirectory(run.directory).store().finished()
    assert {name: done[name] for name in named} == {name: 1 + name.startswith("voter/") for name in named}
    facts = facts_of(run)
    assert facts["steps"] == 4 and facts["rejected"] is None
    work = json.loads((run.directory / "metrics.json").read_text())["work"]
    assert work["steps"] == 4 + 2 * 2 * 16 + 16
    counted = prepare(pet.RunConfig.from_toml(run.directory / "config.toml")).workload
    assert Counter(job.name for job in counted.jobs()) == Counter(
        {name: done[name] for name in done if name != "trial"}
    )


def test_what_it_takes_is_told_and_planned(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "SHORT_RUN", 0.0)
    settings = config(*PCP)
    planned = {stage.name: stage.jobs for stage in foresee_run(prepare(settings), tmp_path / "run").forecast.stages}
    assert planned == {"voters": 4, "adapting": 1, "distilling": 1}
    root = label(settings, tmp_path / "run", quiet=True).directory
    stages = json.loads((root / "forecast.json").read_text())["stages"]
    assert [(stage["name"], stage["jobs"]) for stage in stages] == [("voters", 4), ("adapting", 1)]
    assert all(stage["predicted"] > 0 and stage["actual"] > 0 for stage in stages)
    log = (root / "run.log").read_text()
    assert 0 < log.index("adapted to the filled patterns in 4 steps") < log.index("start from the adapted model")


def test_what_is_missing_is_done_again_to_the_same_bytes(run: pet.RunResult, config: Config, tmp_path: Path) -> None:
    before = content(run.directory)
    pet.run(config(*PCP), run.directory, quiet=True)
    assert content(run.directory) == before
    copied = tmp_path / "copied"
    shutil.copytree(run.directory, copied)
    for path in list(copied.glob("jobs/*/job.json")):
        if json.loads(path.read_text())["name"] in ("adapt", "voter/toy/colon+words"):
            shutil.rmtree(path.parent)
    pet.run(config(*PCP), copied, quiet=True)
    assert content(copied) == before


def test_other_labels_make_another_job(run: pet.RunResult, config: Config, tmp_path: Path) -> None:
    # After fewer updates the same voters give other labels; nothing else that is read is another.
    other = label(config(*PCP, "train.steps=1"), tmp_path / "run", quiet=True)
    assert read_by(other) != read_by(run)


def test_weights_are_the_mean_of_trained_ones_and_the_start(
    run: pet.RunResult, config: Config, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompting, "TRAINED_SHARE", 1.0)
    whole = label(config(*PCP), tmp_path / "run", quiet=True)
    folders = (tiny_model, adapted_model(RunDirectory(whole.directory)), adapted_model(RunDirectory(run.directory)))
    start, trained, kept = (load_file(Path(str(folder)) / "model.safetensors") for folder in folders)
    for name, weight in kept.items():
        np.testing.assert_allclose(weight, (start[name] + trained[name]) / 2, atol=1e-6)
    assert abs(
        trained["bert.embeddings.word_embeddings.weight"] - start["bert.embeddings.word_embeddings.weight"]
    ).max()


def test_it_is_left_out_where_a_gold_row_held_out_is_told_no_more(
    larger: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, settings = Counter[tuple[str, str]](), larger(*PCP, *JUDGED)
    row = int(np.flatnonzero(prepare(settings).out_of_fold.any(axis=0))[0])

    def scores(one: Asked) -> np.ndarray:
        asked[one.spec.name, one.part] += 1
        found = one.truth()
        if one.part == "gold" and asked[one.spec.name, one.part] == 2:
            found[row] = one.wrong()[row]  # which no guard of generations would mind
        return found

    vote_with(monkeypatch, scores)
    result = label(settings, tmp_path / "run", quiet=True)
    assert set(asked.values()) == {3}
    assert "adapt" not in jobs_of(result) and adapted_model(RunDirectory(result.directory)) is None
    log = (result.directory / "run.log").read_text()
    assert "the voters start from the model as it was: on the adapted one, the accuracy on " in log
    plain = label(larger(*JUDGED, "run.baseline=false"), tmp_path / "plain", quiet=True)
    assert jobs_of(result) == jobs_of(plain)


def test_it_is_kept_where_gold_rows_are_told_better(
    larger: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Counter[tuple[str, str]]()

    def scores(one: Asked) -> np.ndarray:
        asked[one.spec.name, one.part] += 1
        return one.truth() if asked[one.spec.name, one.part] > 1 or one.part == "pool" else one.wrong()

    vote_with(monkeypatch, scores)
    assert "adapt" in jobs_of(label(larger(*PCP, *JUDGED), tmp_path / "run", quiet=True))


def test_it_is_left_out_where_all_rows_get_one_label(
    larger: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Counter[tuple[str, str]]()

    def scores(one: Asked) -> np.ndarray:
        asked[one.spec.name, one.part] += 1
        second = one.generation == 0 and asked[one.spec.name, one.part] == 2
        return one.only(0) if second else one.truth()

    vote_with(monkeypatch, scores)
    grown = ("ipet.generations=2", "ipet.growth=2", "ipet.accept_all=true")  # which is about generations
    settings = (*PCP, "data.train=''", "ipet.first_rows=10", "train.steps=1", *grown)
    result = label(larger(*settings), tmp_path / "run", quiet=True)
    assert "adapt" not in jobs_of(result)
    assert "on the adapted one, the label 'Business' has almost no rows" in (result.directory / "run.log").read_text()


def test_without_gold_rows_masked_words_decide(config: Config, tmp_path: Path) -> None:
    plan = prepare(config(*PCP, "data.train=''"))
    with open_place(plan, tmp_path / "run", quiet=True) as place:
        first = first_generation(plan, place)

        def kept(before: Generation, after: Generation, was: float, now: float) -> bool:
            place.jobs.runner.journal.keys["adapt"] = "0"
            facts = {"adapt": {"curve": [{"valid_loss": was}, {"valid_loss": 9.0}, {"valid_loss": now}]}}
            found: RunPlace = kept_if_sound(before, after, place, replace(place, adaptation=facts))
            assert found.adaptation["adapt"]["rejected"] or "adapt" in place.jobs.runner.journal.keys
            return found.adaptation["adapt"]["rejected"] is None

        def measured(*correct: bool) -> Generation:
            return replace(first, figures=replace(first.figures, held_out=HeldOut(np.array(correct))))

        assert kept(first, first, 2.5, 2.5) and not kept(first, first, 2.5, 2.6)
        # Where gold rows are held out, masked words do not matter.
        assert kept(measured(True, False), measured(False, True), 2.5, 2.6)
        assert not kept(measured(True, True), measured(False, True), 2.6, 2.5)


def test_pairs_and_words_of_several_tokens(config: Config, tmp_path: Path) -> None:
    (tmp_path / "verbalizers").mkdir()
    words = '[several]\nSports = ["sports team news"]\nBusiness = ["business"]\nTech = ["tech"]\n'
    (tmp_path / "verbalizers" / "own.toml").write_text(words)
    pattern = "prompts.patterns=['{text} || {soft:2} It was {mask}']"
    own = config(*PCP, pattern, "prompts.verbalizer=own/several", "prompts.multi_token=true", "train.steps=1")
    assert read_by(label(own.with_registries([tmp_path]), tmp_path / "run", quiet=True))


def test_a_single_row_is_too_few(config: Config, tmp_path: Path) -> None:
    write_rows(tmp_path / "one.jsonl", [{"text": "good news", "id": "only"}])
    with pytest.raises(DataError, match="The source filled patterns has no row to learn from or to measure on"):
        label(config(*PCP, "train.steps=1", f"data.unlabeled={tmp_path / 'one.jsonl'}"), tmp_path / "run", quiet=True)


@pytest.mark.parametrize("settings", [("train.preset=fast",), ("train.voters=[{learner='embedding'}]",)])
def test_without_a_pattern_it_is_refused(both_pipeline: Path, settings: tuple[str, ...]) -> None:
    config = pet.RunConfig.from_toml(both_pipeline, (*PCP, *settings))
    with pytest.raises(ConfigError, match=r'adapt.method = "pcp" reads patterns .* no voter of this run has a pattern'):
        prepare(config)
