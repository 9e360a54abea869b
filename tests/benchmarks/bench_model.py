"""Two masked language models compared, as a table for the card of the second: `make bench-model MODEL=... DATA=...`.

    python tests/benchmarks/bench_model.py MODEL DATA_DIR [--baseline pet-mini] [--text FILE] [--seeds 0 1 2]

DATA_DIR has one folder per task with train, unlabeled and test .jsonl.gz files, and mlm-text/valid.txt.gz, unless
`--text` names another held-out text. Both models meet the same rows and patterns, sample by sample: 10 rows per label.
Masked accuracies compare only where the vocabularies are alike: a smaller one has easier pieces.
"""

import argparse
import json
from argparse import Namespace
from pathlib import Path
from statistics import mean, stdev

from accuracy import measure

from pet.learners.models.machine import Machine
from pet.learners.models.sources import find_model, quiet_transformers
from pet.pretraining.corpus import Corpus
from pet.pretraining.initial import InitialModel
from pet.pretraining.masking import held_out_batches
from pet.pretraining.objective import masked_accuracy
from pet.pretraining.text import documents
from pet.settings.run import RunSettings

TASKS = ("agnews", "mr", "trec6", "mpqa")
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
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--unlabeled", type=int, default=500)
    parser.add_argument("--max-test", type=int, default=1000)
    options = parser.parse_args()
    quiet_transformers()
    models = [str(Path(name).absolute()) if Path(name).is_dir() else name for name in (options.baseline, options.model)]
    text = options.text or str(options.data / "mlm-text" / "valid.txt.gz")
    old, new = (told(name, text, options.length) for name in models)
    lines = [row("masked accuracy, held-out text, 15 % masked", [(old, new)])]
    print(lines[0], flush=True)
    for task in options.tasks:
        found = [[figures(name, task, seed, options) for name in models] for seed in options.seeds]
        for key, title in LINES.items():
            pairs = [(one[key], other[key]) for one, other in found if key in one and key in other]
            if pairs:
                lines.append(row(f"{task}: {title}", pairs))
                print(lines[-1], flush=True)
    heads = [Path(name).name if Path(name).name != "model" else Path(name).parent.name for name in models]
    print(
        f"\nTest accuracy in percent, mean over {len(options.seeds)} samples; the difference with its standard error.\n"
    )
    print("\n".join([f"| | {heads[0]} | {heads[1]} | difference |", "| --- | ---: | ---: | ---: |", *lines]))


if __name__ == "__main__":
    main()
