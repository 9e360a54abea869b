"""Whole runs whose voters are prompt variants: mixed ensembles, generations, and what they leave on disk."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from toy import THREE
from typer.testing import CliRunner

import pet
from pet.cli import app
from pet.config import TrainSettings
from pet.errors import ConfigError
from pet.learners import Backbone, load_voter
from pet.reports.explain import explain
from pet.runs.plan import prepare
from pet.variants import PRESETS

Config = Callable[..., pet.RunConfig]
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


def with_train(pipeline: Path, train: dict[str, object], *overrides: str) -> pet.RunConfig:
    config = pet.RunConfig.from_toml(pipeline, overrides)
    said = {**config.train.model_dump(exclude_unset=True), **train}
    return config.model_copy(update={"train": TrainSettings.model_validate(said)})


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
    assert pet.predict(mixed.directory, [{"text": "the coach won"}])


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
    backbone = Backbone.masked_lm(plan.inputs.source, plan.inputs.machine.device)
    jobs = json.loads((mixed.directory / "manifest.json").read_text())["jobs"]
    for name in NAMES:
        folder = mixed.directory / "jobs" / jobs[f"generation-2/voter/{name}"] / "model"
        assert (folder / "model.safetensors").exists() == (name in (NAMES[3], "toy/category+words@adapet"))
        scores = load_voter(folder, backbone, plan.inputs.machine).scores(plan.data.test)
        votes = pq.read_table(mixed.directory / "generations" / "2" / "votes.parquet")
        assert name in votes.column_names
        assert scores.shape == (len(plan.data.test), 3)


@pytest.mark.slow
def test_explain_shows_what_a_variant_read(mixed: pet.RunResult) -> None:
    row = pq.read_table(mixed.pseudo_labels).column("id")[-1].as_py()
    found = explain(mixed.directory, row)
    patterns = {voter.name: voter.pattern.template for voter in found.generations[-1].voters}
    assert patterns[NAMES[0]] == "{mask}: {text}"
    assert {voter.pattern.template for voter in found.askers.values()} == set(patterns.values())
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


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_is_one_line(config: Config, preset: str) -> None:
    train = prepare(config(f"train.preset={preset}")).voters[0].train
    parts = {name: getattr(train, name) for name in PRESETS[preset]}  # type: ignore[index]
    assert parts == dict(PRESETS[preset])  # type: ignore[index]
    assert train.steps
    assert train.learning_rate
    assert train.prompt_learning_rate is not None


@pytest.mark.parametrize("size", [1, 4, 16])
@pytest.mark.parametrize("template", ["{{soft:{}}} {{text}} {{mask}}", "{{text}} {{soft:{}}} {{mask}}"])
def test_a_study_of_lengths_and_places_is_one_line(config: Config, tmp_path: Path, size: int, template: str) -> None:
    written = template.format(size)
    plan = prepare(config(f"prompts.patterns={written}", "train.preset=prompt-tuning"))
    assert [spec.prompt.pattern.template for spec in plan.voters] == [written]
    both = prepare(config(f'prompts.patterns=["{written}", "toy/colon"]', "train.preset=prompt-tuning"))
    assert [spec.pvp.pattern.template for spec in both.voters] == ["{mask}: {text}", written]


def test_virtual_tokens_that_cannot_learn_are_refused(config: Config) -> None:
    with pytest.raises(ConfigError, match="virtual tokens, but prompt_learning_rate = 0 and frozen weights"):
        prepare(config("train.preset=prompt-tuning", "train.prompt_learning_rate=0"))
    prepare(config("train.preset=prompt-tuning", "train.prompt_learning_rate=0", "train.weights=bitfit"))


REFUSED = [
    ({"preset": "lorra"}, "preset: expected one of pet, p-tuning, prompt-tuning"),
    ({"weights": "biases"}, "weights: input should be 'full'"),
    ({"init": "zeros"}, "init: input should be 'uniform'"),
    ({"virtual_tokens": 0}, "virtual_tokens: input should be greater than or equal to 1"),
    ({"virtual_tokens": -2}, "virtual_tokens: input should be greater than or equal to 1"),
    ({"weights": "peft"}, "belong together"),
    ({"peft": {"peft_type": "IA3"}}, "belong together"),
    ({"preset": "adapet", "output": "soft"}, "adapet"),
    ({"preset": "adapet", "auxiliary_mlm": 0.1}, "adapet"),
    ({"voters": [{"preset": "lora", "rang": 3}]}, "unknown key 'rang' in [train.voters.0]"),
    ({"preset": "adapet", "voters": [{"output": "soft"}]}, "voters.0, with what it takes from [train]: loss"),
    ({"auxiliary_mlm": 0.2, "voters": [{"preset": "adapet"}]}, "voters.0, with what it takes from [train]: expected"),
    ({"preset": "unipelt", "prefix_encoder": "mlp"}, 'expected prefix_encoder = "none"'),
    ({"weights": "head", "output": "cls"}, 'weights = "head" is the head before the vocabulary, which'),
    ({"virtual_tokens": 600}, "train.virtual_tokens: input should be less than or equal to 512, found 600"),
    ({"voters": [{"virtual_tokens": 600}]}, "train.voters.0.virtual_tokens: input should be less than"),
    ({"voters": [{"name": "../x"}]}, "expected letters, digits"),
    ({"voters": [{"name": "a#1"}]}, "expected letters, digits"),
]


@pytest.mark.parametrize(("train", "said"), REFUSED)
def test_settings_that_mean_nothing_are_refused(train: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        pet.RunConfig.from_mapping({"train": train})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_takes_from_train_what_it_does_not_say() -> None:
    train = pet.RunConfig.from_mapping(
        {
            "train": {
                "weights": "peft",
                "peft": {"peft_type": "IA3"},
                "learning_rate": 0.5,
                "steps": 7,
                "rank": 3,
                "voters": [{"preset": "lora"}, {"weights": "lora"}, {"steps": 2}, {"peft": {"peft_type": "LOHA"}}],
            }
        }
    ).train
    own, other, fewer, loha = (train.of(table) for table in train.voters)
    assert (own.with_preset().weights, own.peft, own.learning_rate, own.steps, own.rank) == ("lora", None, None, 7, 3)
    assert (other.with_preset().weights, other.peft, other.learning_rate) == ("lora", None, 0.5)
    assert (fewer.weights, fewer.peft, fewer.steps) == ("peft", {"peft_type": "IA3"}, 2)
    assert loha.peft == {"peft_type": "LOHA"}


def test_a_table_may_leave_out_what_its_variant_cannot_have() -> None:
    """Neither does the loss of ADAPET go with the auxiliary loss, nor do adapters with gradient checkpointing."""
    tables = [{}, {"preset": "adapet", "auxiliary_mlm": 0}, {"preset": "adapter", "gradient_checkpointing": False}]
    train = {"auxiliary_mlm": 0.1, "gradient_checkpointing": True, "voters": tables}
    config = pet.RunConfig.from_mapping({"train": train})
    again = pet.RunConfig.from_mapping(config.model_dump(exclude_none=True))
    for found in (config.train, again.train):
        plain, adapet, adapter = (found.of(table) for table in found.voters)
        assert (plain.auxiliary_mlm, adapet.auxiliary_mlm, adapter.auxiliary_mlm) == (0.1, 0.0, 0.1)
        assert (plain.gradient_checkpointing, adapter.gradient_checkpointing) == (True, False)


def test_voters_of_one_name_are_refused(larger_pipeline: Path) -> None:
    twice = {"voters": [{"preset": "lora"}, {"preset": "lora", "rank": 2}]}
    with pytest.raises(ConfigError, match=r"Two voters are called 'toy/c.*@lora'"):
        prepare(with_train(larger_pipeline, twice))
    named = {"voters": [{"preset": "lora"}, {"preset": "lora", "rank": 2, "name": "lora-2"}]}
    assert len(prepare(with_train(larger_pipeline, named)).voters) == 4


def run(*arguments: object) -> tuple[int, str, str]:
    found = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return found.exit_code, found.stdout, found.stderr


BAD = [
    (("train.preset=prefix-tuning", "train.prefix_length=20"), "half"),
    (("train.weights=peft", 'train.peft={peft_type="PROMPT_TUNING", num_virtual_tokens=4}'), "prompt-tuning"),
    (("train.weights=peft", 'train.peft={peft_type="LORRA"}'), "LORA"),
]


@pytest.mark.parametrize(("changes", "said"), BAD)
def test_what_does_not_fit_the_model_is_one_sentence(
    tmp_path: Path, toy_pipeline: Path, changes: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["pet"])
    options = [part for change in changes for part in ("--set", change)]
    code, _, err = run("run", toy_pipeline, "--output-dir", tmp_path / "run", *options)
    assert code == 2
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("changes", "learns"),
    [
        (("train.weights=none",), False),
        (("train.weights=none", "train.output=calibrated"), False),
        (("train.weights=none", "train.output=weighted"), True),  # toy/words has two words for a label
        (("train.weights=none", "train.output=proto"), True),
        (("train.weights=none", "train.output=soft"), True),
        (("train.preset=word-tuning", "prompts.patterns={text} {mask}"), False),
        (("train.preset=word-tuning",), True),
        (("train.preset=bitfit",), True),
    ],
)
def test_where_nothing_learns_the_plan_says_so(config: Config, changes: tuple[str, ...], learns: bool) -> None:
    plan = prepare(config(*changes))
    assert all(spec.learns == learns for spec in plan.voters)
    assert any("nothing trains" in note for note in plan.notes) != learns


def test_patterns_of_no_table_are_told_of(config: Config) -> None:
    notes = prepare(config('train.voters=[{patterns = "toy/colon", preset = "bitfit"}]')).notes
    assert notes == ("in no [[train.voters]] table, so not used: toy/category",)
    assert prepare(config('train.voters=[{preset = "bitfit"}]')).notes == ()


def test_voters_of_which_nothing_learns_vote_as_untrained_ones(tmp_path: Path, config: Config) -> None:
    result = pet.run(config("train.weights=none", *QUICK[1:]), tmp_path / "run", quiet=True)
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


def test_a_voter_that_does_not_fit_is_refused_before_any_trains(
    tmp_path: Path, toy_pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*_: object, **__: object) -> None:
        raise AssertionError("a voter was trained")

    monkeypatch.setattr("pet.learners.Voter.train", train)
    tables = {"voters": [{"preset": "pet"}, {"preset": "prefix-tuning", "prefix_length": 20}]}
    with pytest.raises(ConfigError, match="half"):
        pet.run(with_train(toy_pipeline, tables), tmp_path / "run", quiet=True)


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
    ],
)
def test_explain_prompt_refuses_in_one_sentence(toy_pipeline: Path, arguments: tuple[object, ...], said: str) -> None:
    code, _, err = run("explain-prompt", *arguments, "--config", toy_pipeline)
    assert code == 2
    assert said in err
