"""The sections of a pipeline: frozen tables of settings, one for each stage. Unknown keys are refused."""

from pet.settings.pretraining import AdaptSettings
from pet.settings.rows import DataSettings, ModelSettings, PromptSettings, TaskSettings
from pet.settings.run import EnsembleSettings, IpetSettings, RunSettings
from pet.settings.training import DistillSettings, OptimizerSettings, StudentSize, TrainSettings, VoterSettings

__all__ = [
    "AdaptSettings",
    "DataSettings",
    "DistillSettings",
    "EnsembleSettings",
    "IpetSettings",
    "ModelSettings",
    "OptimizerSettings",
    "PromptSettings",
    "RunSettings",
    "StudentSize",
    "TaskSettings",
    "TrainSettings",
    "VoterSettings",
]
