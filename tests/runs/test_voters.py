"""Voters of a run: those that do not fit are refused before any work, settings that none of them uses are told of."""

import pytest

import pet
from pet.config import TrainSettings
from pet.errors import ConfigError

UNFIT = {"weights": "prefix", "prefix_length": 20}  # more than half of the 32 tokens of a row


def with_train(config, train):
    said = {**config.train.model_dump(exclude_unset=True), **train}
    return config.model_copy(update={"train": TrainSettings.model_validate(said)})


@pytest.mark.parametrize("overrides", [(), ("adapt.method=mlm", "adapt.steps=1")])
def test_a_voter_of_a_table_without_a_name_is_refused_before_any_work(config, tmp_path, monkeypatch, overrides):
    def work(*_, **__):
        raise AssertionError("something was trained")

    monkeypatch.setattr("pet.learners.Voter.train", work)
    monkeypatch.setattr("pet.runs.adaptation._work", work)
    tables = [{"patterns": ["toy/colon"]}, {"patterns": ["toy/category"], **UNFIT}]
    tables.append({"patterns": ["{text} {mask}"], "weights": "bitfit", "name": "bitfit"})
    with pytest.raises(ConfigError, match="half"):
        pet.run(with_train(config(*overrides), {"voters": tables}), tmp_path / "run", quiet=True)
