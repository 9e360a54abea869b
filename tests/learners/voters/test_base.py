"""What a voter has to offer: a stand-in of a few lines, asked as a stage asks."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pet.data.examples import Example
from pet.learners.models.backbone import Backbone
from pet.learners.models.machine import Machine
from pet.learners.models.training import TrainLog
from pet.learners.voters.base import Voter
from pet.learners.voters.pvp import PvpVoter
from pet.prompts.pvp import PVP
from pet.settings.task import ModelSettings
from pet.settings.training import TrainSettings


class Majority:
    """Gives every row the shares of the labels that it was trained on."""

    def __init__(self, labels: Sequence[str], counts: Sequence[int] = ()) -> None:
        self.labels, self.counts = labels, counts

    def check(self) -> None: ...

    def train(self, rows: Sequence[Example], *_: object, **__: object) -> TrainLog:
        self.counts = [sum(row.label == label for row in rows) for label in self.labels]
        return TrainLog(())

    def scores(self, rows: Sequence[Example], *_: object, **__: object) -> np.ndarray:
        return np.tile(np.asarray(self.counts, np.float32) / max(1, sum(self.counts)), (len(rows), 1))

    def facts(self, *_: object, **__: object) -> Mapping[str, object]:
        return {"counts": self.counts}

    def save(self, folder: Path) -> None:
        (folder / "voter.json").write_text(json.dumps([self.labels, self.counts]))

    @classmethod
    def load(cls, folder: Path) -> "Majority":
        return cls(*json.loads((folder / "voter.json").read_text()))


def as_a_stage_does(voter: Voter, rows: Sequence[Example], folder: Path) -> np.ndarray:
    voter.check()
    assert voter.train(rows[:3], TrainSettings(steps=1), np.random.default_rng(0), rows, lambda _: None).updates <= 1
    json.dumps(voter.facts(rows))
    voter.save(folder)
    found = voter.scores(rows)
    assert found.shape == (len(rows), 2) and found.dtype == np.float32
    return found


def test_a_stand_in_is_a_voter(rows: list[Example], tmp_path: Path) -> None:
    voter: Voter = Majority(("Sports", "Tech"))
    found = as_a_stage_does(voter, rows, tmp_path)
    assert np.allclose(found[0], [2 / 3, 1 / 3])
    assert np.array_equal(Majority.load(tmp_path).scores(rows), found)


def test_a_pvp_makes_a_voter(
    backbones: dict[str, Backbone], pvp: PVP, machine: Machine, rows: list[Example], tmp_path: Path
) -> None:
    voter: Voter = PvpVoter(backbones["bert"], pvp, ModelSettings(), machine)
    found = as_a_stage_does(voter, rows, tmp_path)
    backbones["bert"].reset()
    assert np.allclose(PvpVoter.load(tmp_path, backbones["bert"], machine).scores(rows), found, atol=1e-6)
