"""SetFit (2209.11055) in a process of its own, see `own_process`; its Python needs setfit, and nothing of this project.

Asked for are `train`, `pool` and `test` files of rows that have a label and `fields`, an `encoder`, which is a folder
of sentence-transformers, its `max_length`, and a `seed`. All is as SetFit has it by default: one epoch of pairs, 16 of
them a step, logistic regression at the end. Where that would be more than `MOST_STEPS` steps, as with many labels, each
row is drawn for `ITERATIONS` pairs of either kind.
"""

import math
import tempfile
from collections import Counter
from collections.abc import Sequence
from typing import Any

from own_process import REST, STARTING, TEST, StageClock, answer, rows_of

BATCH = 16
MOST_STEPS, ITERATIONS = 2000, 20


def default_steps(labels: Sequence[str]) -> int:
    """Return the steps of an epoch: of the pairs of equal and of different labels, the fewer are drawn as often.

    >>> default_steps(["a"] * 8 + ["b"] * 8)
    9
    """
    equal = sum(count * (count + 1) // 2 for count in Counter(labels).values())
    different = len(labels) * (len(labels) + 1) // 2 - equal
    return math.ceil(2 * max(equal, different) / BATCH)


def classify(asked: dict[str, Any], clock: StageClock) -> dict[str, Any]:
    """Learn from the labeled rows, label the pool, and measure on the test rows."""
    with clock.during(STARTING):  # not above: the tests read this file without setfit
        from datasets import Dataset
        from setfit import SetFitModel, Trainer, TrainingArguments

    with clock.during("reading"):
        train, pool, test = (rows_of(asked[name]) for name in ("train", "pool", "test"))
        labels = [row["label"] for row in train]
        model = SetFitModel.from_pretrained(asked["encoder"], labels=sorted(set(labels)))
        body = model.model_body
        body.max_seq_length = min(body.max_seq_length or asked["max_length"], asked["max_length"])

    def texts(rows: Sequence[dict[str, str]]) -> list[str]:
        return [f" {body.tokenizer.sep_token} ".join(row[name] for name in asked["fields"]) for row in rows]

    many = default_steps(labels) > MOST_STEPS
    with clock.during("training"), tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
            batch_size=BATCH,
            num_iterations=ITERATIONS if many else None,
            seed=asked["seed"],
            report_to="none",
            save_strategy="no",
            show_progress_bar=False,
        )
        columns = [model.labels.index(label) for label in labels]
        trainer = Trainer(model, arguments, train_dataset=Dataset.from_dict({"text": texts(train), "label": columns}))
        trainer.train()
    with clock.during("scoring"):
        model.predict(texts(pool))
    with clock.during(TEST):
        right = [label == row["label"] for label, row in zip(model.predict(texts(test)), test, strict=True)]
    with clock.during(REST):
        return {"accuracy": sum(right) / len(right), "steps": trainer.st_trainer.state.global_step, "iterations": many}


if __name__ == "__main__":
    answer(classify)
