"""Voters of a run: those that do not fit are refused before any work, settings that none of them uses are told of."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy import write_rows

import pet
from pet.errors import ConfigError, ModelError
from pet.learners.models.backbone import Backbone
from pet.learners.voters.pvp import PvpVoter
from pet.method.plan.plan import prepare
from pet.pipeline import label
from pet.settings.training import TrainSettings

UNFIT = {"weights": "peft", "peft": {"peft_type": "LORRA"}}


def with_train(config: pet.RunConfig, train: dict[str, Any]) -> pet.RunConfig:
    said = {**config.train.model_dump(exclude_unset=True), **train}
    return config.model_copy(update={"train": TrainSettings.model_validate(said)})


@pytest.mark.parametrize("overrides", [(), ("adapt.method=mlm", "adapt.steps=1")])
def test_a_voter_of_a_table_without_a_name_is_refused_before_any_work(
    config: Callable[..., pet.RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: tuple[str, ...]
) -> None:
    def work(*_: object, **__: object) -> None:
        raise AssertionError("something was trained")

    monkeypatch.setattr("pet.learners.voters.pvp.PvpVoter.train", work)
    monkeypatch.setattr("pet.pretraining.training.Pretraining.train", work)
    tables = [{"patterns": ["toy/colon"]}, {"patterns": ["toy/category"], **UNFIT}]
    tables.append({"patterns": ["{text} {mask}"], "weights": "bitfit", "name": "bitfit"})
    with pytest.raises(ModelError, match="LORRA"):
        pet.run(with_train(config(*overrides), {"voters": tables}), tmp_path / "run", quiet=True)


IN_VAIN = [
    ({"preset": "p-tuning", "learning_rate": 0.5, "weight_decay": 0.5}, "learning_rate, weight_decay"),
    ({"preset": "lora", "prompt_learning_rate": 0.5}, "prompt_learning_rate"),
    (
        {"preset": "lora", "prompt_encoder": "lstm", "virtual_tokens": 9, "init": "uniform"},
        "virtual_tokens, init, prompt_encoder",
    ),
    ({"preset": "word-tuning", "init": "uniform", "prompt_encoder": "mlp"}, "init, prompt_encoder"),
    ({"preset": "bitfit", "rank": 3, "prefix_length": 5}, "rank, prefix_length"),
    ({"preset": "lora", "adapter_reduction": 4, "adapter_layout": "pfeiffer"}, "adapter_reduction, adapter_layout"),
    ({"preset": "unipelt", "adapter_layout": "pfeiffer"}, "adapter_layout"),
    ({"prefix_encoder": "mlp", "prefix_shifts_positions": True}, "prefix_shifts_positions, prefix_encoder"),
    ({"weights": "none", "output": "cls", "auxiliary_mlm": 0.1, "learning_rate": 0.5}, "learning_rate, auxiliary_mlm"),
    ({"preset": "prompt-tuning", "virtual_tokens": 9, "prompt_learning_rate": 0.5}, ""),
    ({"preset": "unipelt", "rank": 2, "adapter_reduction": 8, "prefix_length": 2, "prefix_shifts_positions": True}, ""),
    ({"preset": "lora", "output": "soft", "prompt_learning_rate": 0.5}, ""),
]


@pytest.mark.parametrize(("train", "names"), IN_VAIN)
def test_settings_that_a_voter_does_not_read_are_told_of(
    config: Callable[..., pet.RunConfig], train: dict[str, Any], names: str
) -> None:
    unset = {"learning_rate": None}  # the toy task sets one
    notes = prepare(with_train(config("prompts.patterns=toy/colon"), {**unset, **train})).notes
    (said,) = notes or ("",)
    assert said.rpartition("nothing of this voter reads it: ")[2] == names
    assert bool(said) == bool(names)


@pytest.mark.parametrize("pattern", ["{text} {tune:It was} {mask}", "{text} {soft:2 init=normal} {mask}"])
def test_a_pattern_that_says_itself_what_trains_leaves_input_unread(
    config: Callable[..., pet.RunConfig], pattern: str
) -> None:
    train = {"input": "prepend", "virtual_tokens": 7, "init": "uniform"}
    (note,) = prepare(with_train(config(f"prompts.patterns={pattern}"), train)).notes
    assert note.endswith("reads it: input, virtual_tokens, init")


def test_what_one_voter_reads_may_stand_for_all(config: Callable[..., pet.RunConfig]) -> None:
    tables = [{"patterns": "toy/colon", "weights": "lora"}, {"patterns": "toy/category"}]
    both = with_train(config(), {"rank": 3, "voters": tables})
    assert prepare(both).notes == ()
    (note,) = prepare(with_train(config(), {"rank": 3, "voters": [tables[0], {**tables[1], "rank": 4}]})).notes
    assert note == "toy/category+words: set, but nothing of this voter reads it: rank"


def test_voters_that_are_alike_are_told_of_together(config: Callable[..., pet.RunConfig]) -> None:
    (note,) = prepare(with_train(config(), {"rank": 3})).notes
    assert note == "toy/colon+words and 1 more: set, but nothing of these voters reads it: rank"


def test_a_finished_config_is_told_nothing_more(config: Callable[..., pet.RunConfig]) -> None:
    plan = prepare(with_train(config(), {"preset": "p-tuning", "learning_rate": None}))
    assert plan.config.train.learning_rate and prepare(plan.config).notes == plan.notes == ()


def test_adalora_divides_its_ranks_over_all_steps(config: Callable[..., pet.RunConfig]) -> None:
    peft = {"peft_type": "adalora", "tinit": 1, "tfinal": 1}
    train = {"weights": "peft", "peft": peft, "steps": 7}
    plan = prepare(with_train(config(), train))
    assert plan.voters[0].train.peft == {**peft, "total_step": 7}
    assert prepare(plan.config).voters == plan.voters
    with pytest.raises(ConfigError, match="total_step = 9, but the voter trains for 7 steps"):
        prepare(with_train(config(), {**train, "peft": {**peft, "total_step": 9}}))


def test_the_gates_that_are_told_are_the_mean_over_rows_of_the_pool(
    config: Callable[..., pet.RunConfig], tmp_path: Path
) -> None:
    train = {"preset": "unipelt", "steps": 3, "prefix_length": 2, "batch_size": 4}
    settings = with_train(config("prompts.patterns=toy/colon", "run.keep_models=true"), train)
    result = label(settings, tmp_path / "run", quiet=True)
    (told,) = (result.directory / "jobs").glob("*/model")
    facts = json.loads((told.parent / "training.json").read_text())
    plan = prepare(settings)
    backbone = Backbone.masked_lm(plan.source, plan.machine.device)
    voter: Any = PvpVoter.load(told, backbone, plan.machine)
    found = []
    for row in plan.data.unlabeled:
        voter.scores([row])
        found.append(voter.parts.delta.gates())
    assert set(facts["gates"]) == set(found[0]) == {"prefix", "adapter", "query", "value"}
    for part, means in facts["gates"].items():
        expected = np.concatenate([gates[part] for gates in found])
        assert means == pytest.approx(expected.mean(0), abs=2e-4) and expected.std(0).min() > 1e-3


def test_the_virtual_tokens_of_a_run_are_as_many_as_it_says(config: Callable[..., pet.RunConfig]) -> None:
    (spec,) = prepare(
        config("prompts.patterns=toy/colon", "train.preset=prompt-tuning", "train.virtual_tokens=3")
    ).voters
    assert spec.prompt.pattern.template == "{soft:3} {mask}: {text}"


DESCRIBED = "task.descriptions.Sports=matches, teams"


def test_voters_get_rows_that_explain_the_labels_where_they_learn_from_them(
    config: Callable[..., pet.RunConfig],
) -> None:
    plan = prepare(config(DESCRIBED, "train.descriptions=0.3", "train.seeds=2"))
    assert plan.notes == ()
    for spec in plan.voters:
        assert spec.trains(0)
        texts = [row.fields["text"] for row in spec.described if row.label == "Sports"]
        assert texts == ["matches, teams", "matches", "teams", "Sports", "team"]
    unexplained = prepare(config("train.descriptions=0.3"))
    assert not any(spec.described or spec.trains(0) for spec in unexplained.voters)


def test_descriptions_that_no_voter_learns_from_are_told_of(
    config: Callable[..., pet.RunConfig], toy_pipeline: Path, tmp_path: Path
) -> None:
    (note,) = prepare(config(DESCRIBED, "train.descriptions=0")).notes
    assert note == "no voter learns from the descriptions of the labels: train.descriptions is 0"
    task = tmp_path / "pairs"
    shutil.copytree(toy_pipeline.parent, task)
    for part in ("train", "unlabeled", "test"):
        rows = map(json.loads, (task / f"{part}.jsonl").read_text().splitlines())
        write_rows(task / f"{part}.jsonl", ({**row, "text_b": "more"} for row in rows))
    fields = ("task.fields.text=text", "task.fields.text_b=text_b")
    (note,) = prepare(pet.RunConfig.from_toml(task / "toy.toml", (DESCRIBED, "train.descriptions=0.3", *fields))).notes
    assert note == "no voter learns from the descriptions of the labels: a row has 2 texts"
