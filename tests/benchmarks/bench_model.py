"""Two models compared, as a table for the card of the second: `make bench-model MODEL=... DATA=...`.

    python tests/benchmarks/bench_model.py MODEL DATA_DIR [--baseline pet-mini] [--text FILE] [--seeds 0 1 2]

DATA_DIR has one folder per task with train, unlabeled and test .jsonl.gz files, and mlm-text/valid.txt.gz, unless
`--text` names another held-out text. Both models meet the same rows and patterns, sample by sample: 10 rows per label.
Masked accuracies compare only where the vocabularies are alike: a smaller one has easier pieces. As encoders, without
patterns, they meet 8 rows per label of every set that is there; where one has no masked-LM head, that is all.
"""

import argparse
import gzip
import json
from argparse import Namespace
from itertools import islice
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import torch
from accuracy import measure
from sklearn.linear_model import LogisticRegression

from pet.data.examples import Example
from pet.errors import ModelError
from pet.learners.models.backbone import Backbone
from pet.learners.models.encoder import Encoder
from pet.learners.models.machine import Machine
from pet.learners.models.sources import find_model, quiet_transformers
from pet.pretraining.corpus import Corpus
from pet.pretraining.initial import InitialModel
from pet.pretraining.masking import held_out_batches
from pet.pretraining.objective import masked_accuracy
from pet.pretraining.text import documents
from pet.settings.run import RunSettings

TASKS = ("agnews", "mr", "trec6", "mpqa")
EMBEDDED = ("agnews", "mr", "trec6", "mpqa", "imdb", "banking77", "newsgroups20", "eprstmt")
EMBEDDED_ROWS, EMBEDDED_LENGTH = 8, 256
LINES = {
    "zero-shot (calibrated)": "zero-shot, batch calibration",
    "ensemble": "PET, 10 rows per label",
    "embeddings + logistic regression": "logistic regression on mean-pooled embeddings",
}


def told(model: str, text: str, length: int) -> float:
    """Return the masked accuracy in percent on a text: 15 % of the tokens masked, by a fixed seed."""
    machine = Machine.pick(RunSettings())
    start = InitialModel.load(find_model(model).folder, machine.device)
    corpus = Corpus.from_documents({"text": documents(text)}, start.tokenizer, length)
    tokens = int(corpus.tokens.sum())
    batches = held_out_batches(corpus, start.tokenizer, length, tokens, machine.token_budget.tokens)
    return 100 * masked_accuracy(start.model, batches, machine)[1]


def figures(model: str, task: str, seed: int, options: Namespace) -> dict[str, float]:
    """Return accuracies in percent of one sample of one task."""
    changes = [f"model.name={json.dumps(model)}", "distill.steps=0"]  # the final classifier is not reported
    settings = Namespace(**{**vars(options), "set": changes, "dev": False, "per_label": 10})
    found = measure(task, seed, "pet", settings)
    return {name: 100 * found[name] for name in LINES if name in found}


def has_head(model: str) -> bool:
    """Say whether a model is a masked language model, trained head included."""
    try:
        Backbone.masked_lm(find_model(model), torch.device("cpu"))
    except ModelError:
        return False
    return True


def read(folder: Path, part: str, most: int | None = None) -> list[Example]:
    """Return the first rows of a file of a task; a text of two parts has two fields."""
    with gzip.open(folder / f"{part}.jsonl.gz", "rt", encoding="utf-8") as file:
        found = [json.loads(line) for line in islice(file, most)]
    names = [name for name in ("text", "text_a", "text_b") if name in found[0]]
    return [Example(str(i), {name: one[name] for name in names}, one.get("label")) for i, one in enumerate(found)]


def drawn(rows: list[Example], seed: int) -> list[Example]:
    """Return `EMBEDDED_ROWS` rows of each label, or all that a label has."""
    mixed = [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]
    labels = sorted({str(row.label) for row in rows})
    return [row for label in labels for row in [row for row in mixed if row.label == label][:EMBEDDED_ROWS]]


def as_encoder(model: str, task: str, options: Namespace) -> list[float]:
    """Return accuracies in percent, one per sample, of logistic regression on a model's vectors of one task.

    They are centred on the mean of the pool and brought to length 1; C = 10.
    """
    encoder, folder = Encoder.load(find_model(model), Machine.pick(RunSettings())), options.data / task
    train, test = read(folder, "train"), read(folder, "test", options.max_test)
    samples = [drawn(train, seed) for seed in options.seeds]

    def embed(rows: list[Example]) -> np.ndarray:
        return encoder.embed(rows, tuple(rows[0].fields), EMBEDDED_LENGTH)

    centre = embed(read(folder, "unlabeled", options.unlabeled)).mean(axis=0)

    def features(rows: list[Example]) -> np.ndarray:
        vectors = embed(rows) - centre
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    measured, found = features(test), []
    for sample in samples:
        regression = LogisticRegression(C=10, max_iter=2000).fit(features(sample), [row.label for row in sample])
        found.append(100 * float(np.mean(regression.predict(measured) == [row.label for row in test])))
    return found


def row(name: str, pairs: list[tuple[float, float]]) -> str:
    """Return a line of the table: both means, and the mean difference with its standard error over the samples."""
    differences = [new - old for old, new in pairs]
    error = f" ± {stdev(differences) / len(differences) ** 0.5:.1f}" if len(differences) > 1 else ""
    old, new = (mean(values) for values in zip(*pairs, strict=True))
    return f"| {name} | {old:.1f} | {new:.1f} | {mean(differences):+.1f}{error} |"


def main() -> None:
    """Measure, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("--baseline", default="pet-mini")
    parser.add_argument("--text", default=None)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=TASKS)
    parser.add_argument("--embedded", nargs="*", default=list(EMBEDDED))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--unlabeled", type=int, default=500)
    parser.add_argument("--max-test", type=int, default=1000)
    options = parser.parse_args()
    quiet_transformers()
    models = [str(Path(name).absolute()) if Path(name).is_dir() else name for name in (options.baseline, options.model)]
    lines: list[str] = []

    def add(title: str, pairs: list[tuple[float, float]]) -> None:
        if pairs:
            lines.append(row(title, pairs))
            print(lines[-1], flush=True)

    if all(map(has_head, models)):
        text = options.text or str(options.data / "mlm-text" / "valid.txt.gz")
        old, new = (told(name, text, options.length) for name in models)
        add("masked accuracy, held-out text, 15 % masked", [(old, new)])
        for task in options.tasks:
            found = [[figures(name, task, seed, options) for name in models] for seed in options.seeds]
            for key, title in LINES.items():
                add(f"{task}: {title}", [(one[key], other[key]) for one, other in found if key in one and key in other])
    for task in options.embedded:
        if (options.data / task / "unlabeled.jsonl.gz").is_file():
            old_ones, new_ones = (as_encoder(name, task, options) for name in models)
            title = f"{task}: logistic regression on embeddings, {EMBEDDED_ROWS} rows per label"
            add(title, list(zip(old_ones, new_ones, strict=True)))
    heads = [Path(name).name if Path(name).name != "model" else Path(name).parent.name for name in models]
    print(
        f"\nTest accuracy in percent, mean over {len(options.seeds)} samples; the difference with its standard error.\n"
    )
    print("\n".join([f"| | {heads[0]} | {heads[1]} | difference |", "| --- | ---: | ---: | ---: |", *lines]))


if __name__ == "__main__":
    main()
