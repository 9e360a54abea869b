"""How near the hardware's limit: `make bench`, as ratios inside one process; JSON and a table.

    python tests/benchmarks/speed.py [DATA_DIR] [--models pet-mini bert-base modernbert-base] [--texts agnews imdb]
                                     [--precisions fp32 bf16] [--rows 1024] [--plain-rows 16] [--repeats 3]
                                     [--device cpu] [--json FILE]

Texts are those of DATA_DIR (folders agnews and imdb), or made up with about their lengths. Base-size models are random.
For inference and for training steps:

    eta_pad      real tokens / tokens computed, padding included
    eta_gemm     useful operations per second of our forward (products with weights and attention, of real tokens) /
                 those of the matrix products of these very batches alone, in the same type and threads
    eta_e2e      the same for a file in, labels out: reading, tokenizing, computing, writing
    speedup_ref  rows per second against the plain path (256 tokens, 8 rows, all logits, float32; training: 16 rows)

Every figure is of medians, the parts measured in turn. `difference` is the largest one of scores to the plain path; of
a training step, that of the gradients, as a part of the largest.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from plain import (
    attention_flop,
    flop,
    gemm_seconds,
    gradient_difference,
    linear_shapes,
    padding_waste,
    plain_scores,
    plain_steps,
    seconds,
    settled,
)
from rich.console import Console
from rich.table import Table
from scoring import WORDS
from transformers import BertConfig, BertForMaskedLM, ModernBertConfig, ModernBertForMaskedLM

from pet.data.examples import Example
from pet.data.readers import ReadOptions, read_examples
from pet.data.source import parse_source
from pet.data.writers import write_table
from pet.learners.models.backbone import Backbone
from pet.learners.models.batching import Batch, length_groups, token_budget_batches
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource, find_model, quiet_transformers
from pet.learners.models.splicing import Encoded
from pet.learners.voters.pvp import PvpVoter
from pet.prompts.pvp import PVP
from pet.prompts.registry import load_patterns, load_verbalizers
from pet.settings.run import RunSettings
from pet.settings.task import ModelSettings
from pet.settings.training import TrainSettings

LENGTHS = {"agnews": (38, 10), "imdb": (230, 120)}
"""Words per text, mean and standard deviation, of texts that are made up."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
LABELS = ("World", "Sports", "Business", "Sci/Tech")
BATCH = 16


def texts_of(name: str, data: Path | None, count: int) -> list[Example]:
    """Return rows of a data set, or made-up ones of such lengths."""
    path = data / name / "unlabeled.jsonl.gz" if data else None
    if path and path.is_file():
        return list(read_examples(parse_source(str(path)), ReadOptions(role="input")).examples[:count])
    rng, (mean, spread) = random.Random(0), LENGTHS[name]
    sizes = [max(5, round(rng.gauss(mean, spread))) for _ in range(count)]
    return [Example(str(i), {"text": " ".join(rng.choices(WORDS, k=size))}) for i, size in enumerate(sizes)]


def model_of(name: str, folder: Path, device: torch.device) -> Backbone:
    """Load pet-mini, or write and load a random model of base size with its vocabulary."""
    if name == "pet-mini":
        return Backbone.masked_lm(find_model(name), device)
    tokenizer = Backbone.masked_lm(find_model("pet-mini"), torch.device("cpu")).tokenizer
    size, ids = len(tokenizer), {"pad_token_id": tokenizer.pad_token_id}
    if name == "bert-base":
        model: Any = BertForMaskedLM(BertConfig(vocab_size=size, **ids))
    else:
        ends = {"cls_token_id": tokenizer.cls_token_id, "sep_token_id": tokenizer.sep_token_id}
        model = ModernBertForMaskedLM(
            ModernBertConfig(vocab_size=size, bos_token_id=None, eos_token_id=None, **ids, **ends)
        )
    model.save_pretrained(folder / name)
    tokenizer.save_pretrained(folder / name)
    return Backbone.masked_lm(ModelSource(name, folder / name), device)


def voter_of(backbone: Backbone, precision: Any, device: torch.device) -> PvpVoter:
    """Return a voter under a pattern of AG News."""
    pvp = PVP(load_patterns().get("agnews/category"), load_verbalizers().get("agnews/words"))
    settings = RunSettings(device=str(device), precision=precision)
    return PvpVoter(backbone, pvp, ModelSettings(), Machine.pick(settings))


def inference(voter: PvpVoter, exact: PvpVoter, rows: list[Example], options: argparse.Namespace) -> dict[str, float]:
    """Measure the scoring of rows."""
    encoded = voter.encode(rows)
    lengths = [len(row) for row in encoded]
    budget = voter.machine.token_budget
    batches = token_budget_batches(lengths, budget.tokens, budget.rows)
    work = Work.of(voter, (_batch(voter, encoded, batch) for batch in batches))
    some, precision = rows[: options.plain_rows], voter.machine.precision
    times: dict[str, list[float]] = {"ours": [], "plain": [], "gemm": [], "file": []}
    for _ in range(options.repeats):
        times["gemm"].append(gemm_seconds(work.shapes, DTYPES[precision], False, voter.machine.device, repeats=3))
        times["ours"].append(seconds(lambda: voter.scores(rows))[0])
        spent, plain = seconds(lambda: plain_scores(exact, some))
        times["plain"].append(spent)
        times["file"].append(_file_to_labels(voter, rows))
    middle = {name: median(values) for name, values in times.items()}
    real = 1.0 - padding_waste(lengths, batches)
    limit = work.limit(real, middle["gemm"])
    ours = voter.scores(some)
    return {
        "eta_pad": real,
        "eta_gemm": limit / middle["ours"],
        "eta_e2e": limit / middle["file"],
        "speedup_ref": (middle["plain"] / len(some)) / (middle["ours"] / len(rows)),
        "difference": float(np.abs(ours - plain).max()),
        "rows_per_second": len(rows) / middle["ours"],
    }


def training(voter: PvpVoter, exact: PvpVoter, rows: list[Example], options: argparse.Namespace) -> dict[str, float]:
    """Measure optimizer steps of 16 rows: four of ours and a plain one in turn."""
    labeled = [replace(row, label=LABELS[i % 4]) for i, row in enumerate(rows[: 4 * BATCH])]
    encoded = voter.encode(labeled)
    lengths = np.asarray([len(row) for row in encoded])
    overhead = voter.machine.group_overhead
    groups = [
        np.arange(start, start + BATCH)[group]
        for start in range(0, len(labeled), BATCH)
        for group in length_groups(lengths[start : start + BATCH].tolist(), overhead)
    ]
    batches = [voter.backbone.training_batch([encoded[i] for i in group]) for group in groups]
    work = Work.of(voter, batches)
    settings = TrainSettings(steps=4, learning_rate=1e-4, batch_size=BATCH).with_preset()
    ours, plain, gemm, steps = [], [], [], len(labeled) // BATCH
    for _ in range(options.repeats):
        gemm.append(gemm_seconds(work.shapes, DTYPES[voter.machine.precision], True, voter.machine.device, repeats=3))
        ours += _step_seconds(voter, labeled, settings)
        plain.append(seconds(lambda: plain_steps(exact, labeled, 1, BATCH))[0])
    real = float(lengths.sum()) / sum(batch.inputs["input_ids"].numel() for batch in batches)
    return {
        "eta_pad": real,
        "eta_gemm": work.limit(real, median(gemm)) / steps / median(ours),
        "speedup_ref": median(plain) / median(ours),
        "difference": gradient_difference(voter, exact, labeled[:BATCH]),
    }


@dataclass(frozen=True)
class Work:
    """What batches compute: the shapes of their products with weights, and the operations of attention."""

    shapes: list[tuple[int, int, int]]
    attention: float

    @classmethod
    def of(cls, voter: PvpVoter, batches: Iterable[Batch]) -> "Work":
        """Count the work of some batches."""
        found, attention = [], 0.0
        for batch in batches:
            found += linear_shapes(voter, batch)
            attention += attention_flop(voter, batch)
        return cls(found, attention)

    def limit(self, real: float, gemm: float) -> float:
        """Return the seconds of all useful operations at the rate of the products, which take `gemm` seconds."""
        return gemm * (real + self.attention / flop(self.shapes))


def _step_seconds(voter: PvpVoter, labeled: list[Example], settings: TrainSettings) -> list[float]:
    """Return the seconds of each step but the first."""
    ends: list[float] = []
    voter.train(labeled, settings, np.random.default_rng(0), advance=lambda _: ends.append(settled()))
    return np.diff(ends).tolist()


def _batch(voter: PvpVoter, encoded: list[Encoded], rows: np.ndarray) -> Batch:
    return voter.backbone.batch([encoded[i] for i in rows])


def _file_to_labels(voter: PvpVoter, rows: list[Example]) -> float:
    """Return the seconds from a file of texts to a file of labels."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.jsonl", Path(folder) / "out.parquet"
        source.write_text("".join(json.dumps({"text": row.fields["text"]}) + "\n" for row in rows), encoding="utf-8")

        def work() -> None:
            examples = read_examples(parse_source(str(source)), ReadOptions(role="input")).examples
            labels = voter.scores(examples).argmax(axis=1)
            write_table(target, {"id": [row.id for row in examples], "label": [LABELS[k] for k in labels]})

        return seconds(work)[0]


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--models", nargs="+", default=["pet-mini", "bert-base", "modernbert-base"])
    parser.add_argument("--texts", nargs="+", default=["agnews", "imdb"], choices=list(LENGTHS))
    parser.add_argument("--precisions", nargs="+", default=list(DTYPES), choices=list(DTYPES))
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--plain-rows", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    quiet_transformers()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models:
            backbone = model_of(name, Path(folder), options.device)
            exact = voter_of(backbone, "fp32", options.device)
            for texts in options.texts:
                # Models of base size take ten times as long: fewer rows say nearly as much.
                count = options.rows if name == "pet-mini" else options.rows // 8
                rows = texts_of(texts, options.data, max(BATCH, count))
                for precision in options.precisions:
                    voter = voter_of(backbone, precision, options.device)
                    place = {"model": name, "texts": texts, "precision": precision}
                    found.append({**place, "work": "inference", **inference(voter, exact, rows, options)})
                    found.append({**place, "work": "training", **training(voter, exact, rows, options)})
                    print(json.dumps(found[-2:]), flush=True)
    show(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2), encoding="utf-8")


def show(found: list[dict[str, object]]) -> None:
    """Print one line per model, texts, precision and kind of work."""
    table = Table("model", "texts", "precision", "work", "eta_pad", "eta_gemm", "eta_e2e", "speedup_ref", "difference")
    for row in found:
        values = [row.get(str(column.header), "") for column in table.columns]
        table.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in values))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
