"""Classifiers on the vectors of an encoder that is not trained, in a process of its own, see `own_process`.

Asked for is a `way`, "logistic regression" or "self-training", with `train`, `pool` and `test` files of rows that have
a label and `fields`, an `encoder`, which is a folder, and its `max_length`.
"""

from typing import Any

import numpy as np
from own_process import TEST, StageClock, answer, rows_of

from pet.data.examples import Example
from pet.learners.models.encoder import Encoder, find_encoder
from pet.learners.models.machine import Machine
from pet.learners.models.sources import quiet_transformers
from pet.method.baselines import logistic_regression, self_training
from pet.settings.run import RunSettings


def classify(asked: dict[str, Any], clock: StageClock) -> dict[str, Any]:
    """Learn from the labeled rows, label the pool, and measure on the test rows."""
    quiet_transformers()
    with clock.during("reading"):
        train, pool, test = (rows_of(asked[name]) for name in ("train", "pool", "test"))
        labels = sorted({row["label"] for row in train})
    with clock.during("embedding"):
        encoder = Encoder.load(find_encoder(asked["encoder"]), Machine.pick(RunSettings()))
        vectors, others = (_vectors(encoder, rows, asked) for rows in (train, pool))
    with clock.during("training"):
        targets = np.asarray([labels.index(row["label"]) for row in train])
        tell = (vectors, targets, len(labels))
        trains = asked["way"] == "self-training"
        predict = self_training(*tell, others) if trains else logistic_regression(*tell)
    with clock.during("scoring"):
        predict(others)
    with clock.during(TEST):
        said = [labels[column] for column in predict(_vectors(encoder, test, asked)).argmax(axis=1)]
        right = [label == row["label"] for label, row in zip(said, test, strict=True)]
    return {"accuracy": sum(right) / len(right)}


def _vectors(encoder: Encoder, rows: list[dict[str, str]], asked: dict[str, Any]) -> np.ndarray:
    fields = asked["fields"]
    examples = [Example(str(place), {name: row[name] for name in fields}) for place, row in enumerate(rows)]
    return encoder.embed(examples, fields, asked["max_length"])


if __name__ == "__main__":
    answer(classify)
