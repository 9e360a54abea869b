"""The settings of prompt variants in a config: what each says, what is refused, and what the plan makes of them."""

from pathlib import Path

import pytest
from variant_runs import Config, run, with_train

import pet
from pet.errors import ConfigError
from pet.method.plan.plan import prepare
from pet.settings.variants import PRESETS


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_is_one_line(config: Config, preset: str) -> None:
    train = prepare(config(f"train.preset={preset}")).voters[0].train
    parts = {name: getattr(train, name) for name in PRESETS[preset]}
    assert parts == dict(PRESETS[preset])
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


def test_a_voter_that_does_not_fit_is_refused_before_any_trains(
    tmp_path: Path, toy_pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*_: object, **__: object) -> None:
        raise AssertionError("a voter was trained")

    monkeypatch.setattr("pet.learners.voters.pvp.PvpVoter.train", train)
    tables = {"voters": [{"preset": "pet"}, {"preset": "prefix-tuning", "prefix_length": 20}]}
    with pytest.raises(ConfigError, match="half"):
        pet.run(with_train(toy_pipeline, tables), tmp_path / "run", quiet=True)
