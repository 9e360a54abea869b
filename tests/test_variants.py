"""Whole runs whose voters are prompt variants: mixed ensembles, generations, and what they leave on disk."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from toy import THREE
from variant_runs import Config, run, with_train

import pet
from pet.learners.models.backbone import Backbone
from pet.learners.voters.pvp import PvpVoter
from pet.method.plan.plan import prepare
from pet.reports.explain import explain
from pet.settings.variants import PRESETS

REST = sorted(set(PRESETS) - {"pet", "lora", "p-tuning", "word-tuning"})
MIXED = {
    "steps": 4,
    "restarts": 1,
    "prefix_length": 2,
    "voters": [
        {"preset": "lora", "patterns": ["toy/colon"]},
        {"preset": "p-tuning", "patterns": ["toy/category"]},
        {"preset": "word-tuning", "name": "words", "patterns": ["toy/category"]},
        {"preset": "pet", "patterns": ["toy/colon"], "steps": 2},
        *({"preset": preset, "patterns": ["toy/category"], "steps": 1} for preset in REST),
    ],
}
NAMES = [
    "toy/colon+words@lora",
    "toy/category+words@p-tuning",
    "toy/category+words@words",
    "toy/colon+words",
    *(f"toy/category+words@{preset}" for preset in REST),
]
QUICK = ("train.steps=2", "distill.steps=2", "run.baseline=false", "ipet.accept_all=true")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, larger_pipeline: Path) -> pet.RunResult:
    """A run of three generations with a voter of every preset; do not change it."""
    config = with_train(larger_pipeline, MIXED, *THREE, *QUICK[1:], "run.keep_models=true")
    return pet.run(config, tmp_path_factory.mktemp("mixed") / "run", quiet=True)


@pytest.mark.slow
def test_an_ensemble_of_variants_labels_and_distills(mixed: pet.RunResult) -> None:
    labels = pq.read_table(mixed.pseudo_labels)
    assert [name for name in labels.column_names if name.startswith("vote_")] == [f"vote_{name}" for name in NAMES]
    manifest = json.loads((mixed.directory / "manifest.json").read_text())
    assert {f"{prefix}voter/{name}" for prefix in ("", "generation-1/", "generation-2/") for name in NAMES} == set(
        manifest["jobs"]
    )
    assert mixed.model is not None
    assert pet.predict(mixed.directory, ["the coach won"])


@pytest.mark.slow
def test_every_voter_trained_for_its_own_steps(mixed: pet.RunResult) -> None:
    jobs = json.loads((mixed.directory / "manifest.json").read_text())["jobs"]
    steps = {
        name: json.loads((mixed.directory / "jobs" / jobs[f"voter/{name}"] / "training.json").read_text())["updates"]
        for name in NAMES
    }
    assert steps == dict(zip(NAMES, (4, 4, 4, 2, *(1 for _ in REST)), strict=True))


@pytest.mark.slow
def test_kept_voters_are_deltas_that_load(mixed: pet.RunResult, larger_pipeline: Path) -> None:
    plan = prepare(with_train(larger_pipeline, MIXED))
    backbone = Backbone.masked_lm(plan.source, plan.machine.device)
    jobs = json.loads((mixed.directory / "manifest.json").read_text())["jobs"]
    for name in NAMES:
        folder = mixed.directory / "jobs" / jobs[f"generation-2/voter/{name}"] / "model"
        assert (folder / "model.safetensors").exists() == (name in (NAMES[3], "toy/category+words@adapet"))
        scores = PvpVoter.load(folder, backbone, plan.machine).scores(plan.data.test)
        votes = pq.read_table(mixed.directory / "generations" / "2" / "votes.parquet")
        assert name in votes.column_names
        assert scores.shape == (len(plan.data.test), 3)


@pytest.mark.slow
def test_explain_shows_what_a_variant_read(mixed: pet.RunResult) -> None:
    row = pq.read_table(mixed.pseudo_labels).column("id")[-1].as_py()
    found = explain(mixed.directory, row)
    patterns = {voter.name: voter.pattern.template for voter in found.generations[-1].voters}
    assert patterns[NAMES[0]] == "{mask}: {text}"
    assert {pattern.template for pattern, _ in found.askers.values()} == set(patterns.values())
    assert "{soft:" in patterns[NAMES[1]]
    assert "{tune:" in patterns[NAMES[2]]


@pytest.mark.slow
def test_an_ipet_run_with_lora_keeps_a_fraction_of_the_bytes(tmp_path: Path, larger_pipeline: Path) -> None:
    sizes = {}
    for preset in ("pet", "lora"):
        changes = {"preset": preset, "steps": 1, "learning_rate": 0.01, "rank": 1}
        config = with_train(larger_pipeline, changes, *THREE, *QUICK[1:], "run.keep_models=true")
        pet.run(config, tmp_path / preset, quiet=True)
        models = (tmp_path / preset / "jobs").rglob("model/*.safetensors")
        voters = [path for path in models if (path.parent / "voter.json").exists()]
        assert {path.name for path in voters} >= {"voter.safetensors"}
        sizes[preset] = sum(path.stat().st_size for path in voters)
    assert sizes["lora"] < 0.1 * sizes["pet"]  # a model of 2 layers and 32 hidden numbers; far less in larger ones


def test_variants_start_from_zero_labels(tmp_path: Path, larger_pipeline: Path) -> None:
    changes = {"preset": "p-tuning", "steps": 2, "prompt_learning_rate": 0.01}
    config = with_train(larger_pipeline, changes, *QUICK[1:], "ipet.generations=2", "ipet.growth=2")
    config = config.model_copy(update={"data": config.data.model_copy(update={"train": None})})
    result = pet.run(config, tmp_path / "run", quiet=True)
    reports = [json.loads((result.directory / "generations" / str(i) / "report.json").read_text()) for i in (0, 1)]
    # Untrained vectors would say nothing: the pattern's own words vote first.
    assert "{soft:" not in reports[0]["voters"][0]["template"]
    assert "{soft:" in reports[1]["voters"][0]["template"]


def test_voters_of_which_nothing_learns_vote_as_untrained_ones(tmp_path: Path, config: Config) -> None:
    result = pet.run(config("train.weights=none", "distill.steps=2", "run.baseline=true"), tmp_path / "run", quiet=True)
    assert result.summary is not None
    zero_shot, *_, ensemble = [row for row in result.summary.rows if row.name in ("zero-shot (calibrated)", "ensemble")]
    assert zero_shot.test is not None
    assert zero_shot.test == ensemble.test  # both are calibrated on the pool


def test_zero_labels_keep_no_untrained_voter(tmp_path: Path, larger_pipeline: Path) -> None:
    overrides = ("ipet.generations=2", "ipet.growth=2", "run.keep_models=true")
    config = with_train(larger_pipeline, {"preset": "lora", "steps": 1}, *QUICK[1:], *overrides)
    config = config.model_copy(update={"data": config.data.model_copy(update={"train": None})})
    root = pet.run(config, tmp_path / "run", quiet=True).directory
    assert len(list((root / "jobs").rglob("voter.json"))) == 2  # those of generation 1


def test_the_steps_of_starts_that_were_not_kept_are_counted(tmp_path: Path, toy_pipeline: Path) -> None:
    changes = {"preset": "prefix-tuning", "prefix_length": 2, "restarts": 3, "steps": 2, "learning_rate": 0.01}
    result = pet.run(with_train(toy_pipeline, changes, *QUICK[1:]), tmp_path / "run", quiet=True)
    figures = json.loads((result.directory / "metrics.json").read_text())
    assert figures["work"]["steps"] == 2 * 3 * 2 + 2  # two voters and the classifier


@pytest.mark.slow
def test_explain_prompt_shows_every_token(toy_pipeline: Path, mixed: pet.RunResult) -> None:
    code, out, _ = run("explain-prompt", "{text} It was {mask}.", "--config", toy_pipeline, "--row", 2)
    lines = [line.split() for line in out.splitlines()]
    assert code == 0
    assert lines[0] == ["id", "token", "kind", "segment"]
    assert [line[2] for line in lines if line[1] in ("it", "was", ".")][-3:] == ["literal"] * 3
    assert sum(line[2] == "mask" for line in lines[1:]) == 1
    assert {line[2] for line in lines[1:]} == {"special", "text", "literal", "mask"}


def test_explain_prompt_leaves_out_bad_rows_where_asked(toy_pipeline: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": ""}\n{"text": "second row"}\n')
    asked = ("explain-prompt", "{text} {mask}", "--config", toy_pipeline, "--set", f"data.unlabeled={rows}")
    assert run(*asked)[0] == 2
    code, out, _ = run(*asked, "--on-bad-row", "skip")
    assert code == 0 and out.count("\n") > 2


def test_explain_prompt_shows_what_is_cut(toy_pipeline: Path) -> None:
    code, out, _ = run("explain-prompt", "{text} {mask}", "--config", toy_pipeline, "--set", "model.max_length=8")
    assert code == 0
    whole = [line.split() for line in out.splitlines()[1:]]
    assert sum(line[-1] != "cut" for line in whole) == 8
    assert all(line[2] == "text" for line in whole if line[-1] == "cut")


@pytest.mark.slow
def test_explain_prompt_tells_the_nearest_words_of_a_saved_voter(toy_pipeline: Path, mixed: pet.RunResult) -> None:
    jobs = json.loads((mixed.directory / "manifest.json").read_text())["jobs"]
    folder = mixed.directory / "jobs" / jobs["voter/toy/category+words@words"] / "model"
    code, out, _ = run("explain-prompt", folder, "--config", toy_pipeline)
    tuned = [line for line in out.splitlines() if " tune " in line]
    assert code == 0
    assert len(tuned) >= 3
    # A few steps move a word's vector a little: the word itself is still the nearest.
    assert all(line.split()[1] == line.split()[4] for line in tuned if line.split()[1].isalpha())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("{text} {mask}", "--row", 99), "--row 99: expected one from 1 to 12"),
        (("toy/colour",), "toy/colon"),
        (("toy/*",), "2 patterns fit 'toy/*', expected one: take toy/colon or toy/category"),
        (("{text} {mask} {soft:0}",), "{soft:0}"),
        (("{body} {mask}",), "body"),
        (("{text} foo",), "The template '{text} foo' has no {mask}"),
        (("mine/short",), "your own need their folder: --registry"),
    ],
)
def test_explain_prompt_refuses_in_one_sentence(toy_pipeline: Path, arguments: tuple[object, ...], said: str) -> None:
    code, _, err = run("explain-prompt", *arguments, "--config", toy_pipeline)
    assert code == 2
    assert said in err
