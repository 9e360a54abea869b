"""What learns: masked language models under a PVP, and the stock classifier. Needs torch."""

import os

# Before torch is loaded: its threads sleep while they wait for each other. Spinning is a seventh faster on an idle
# machine, and three times slower as soon as anything else runs on it (a training on two cores, measured).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# oneDNN keeps what it has compiled for the last 1024 shapes, in two places, and batches of a large pool have that many:
# 0.6 MB each in bfloat16. Layers of a model share a few shapes; to compile these for each batch costs next to nothing.
os.environ.setdefault("LRU_CACHE_CAPACITY", "64")
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")

from pet.learners.backbone import Backbone
from pet.learners.classifier import ClassifierForm, TextClassifier
from pet.learners.embeddings import mean_pooled
from pet.learners.machine import Machine
from pet.learners.saved import load_voter, save_voter
from pet.learners.schedules import scheduled, scheduled_student, scheduled_voter
from pet.learners.simpler import logistic_regression, out_of_fold, self_training
from pet.learners.sources import ModelSource, find_model, model_digest, parameter_count, quiet_transformers
from pet.learners.training import TrainLog
from pet.learners.voter import Voter

__all__ = [
    "Backbone",
    "ClassifierForm",
    "Machine",
    "ModelSource",
    "TextClassifier",
    "TrainLog",
    "Voter",
    "find_model",
    "load_voter",
    "logistic_regression",
    "mean_pooled",
    "model_digest",
    "out_of_fold",
    "parameter_count",
    "quiet_transformers",
    "save_voter",
    "scheduled",
    "scheduled_student",
    "scheduled_voter",
    "self_training",
]
