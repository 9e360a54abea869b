"""The gaps of a config, filled with what the data and the models tell."""

from collections.abc import Sequence

from pet.data.dataset import TaskData
from pet.learners.models.sources import ModelSource
from pet.learners.students.linear import takes_mean
from pet.learners.voters.spec import VoterSpec
from pet.settings.config import RunConfig


def with_student(config: RunConfig, encoder: ModelSource | None) -> RunConfig:
    """Return a config in which the classifier of a fast run is the one that takes seconds, where there can be such."""
    if config.train.is_fast and config.distill.size == "auto" and encoder and takes_mean(encoder.config):
        return config.model_copy(update={"distill": config.distill.model_copy(update={"size": "logistic"})})
    return config


def without_gaps(config: RunConfig, data: TaskData, voters: Sequence[VoterSpec], generations: int) -> RunConfig:
    """Return a config that says all that is known now."""
    found = {
        "task": config.task.model_copy(update={"labels": data.task.labels, "fields": dict(data.columns)}),
        "ipet": config.ipet.model_copy(update={"generations": generations}),
        # With tables of voters it stays as it is: they would take too much from one without gaps.
        "train": config.train if config.train.voters or not voters else voters[0].train,
    }
    return config.model_copy(update=found)
