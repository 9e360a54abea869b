"""Tokens per second of a training step of `pet pretrain`, against what the machine's matrix products allow.

    python tests/benchmarks/pretraining.py [--shape 6x384] [--rows 32] [--length 128] [--rounds 5] [--device auto]

The limit is measured in the same process, in turn with the steps: the products of such a step alone (forward, and two
backward), at the shapes and in the precision that it has them. A step adds attention, normalisation, activations, the
softmax over the vocabulary, the optimizer, and assembling and masking the rows.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch
from transformers import BertConfig, BertForMaskedLM

from pet.learners.models.machine import Machine
from pet.learners.models.sources import find_model, quiet_transformers
from pet.pretraining.corpus import Corpus
from pet.pretraining.initial import InitialModel
from pet.pretraining.training import Pretraining, PretrainingData
from pet.settings.pretraining import MaskingSettings, UpdateSettings
from pet.settings.run import RunSettings


def made_up(rows: int, length: int, vocabulary: int) -> Corpus:
    """Return rows of full length, random pieces between two ends."""
    ids = np.random.default_rng(0).integers(1000, vocabulary, size=(rows, length)).astype(np.uint16)
    ids[:, 0], ids[:, -1] = 101, 102
    starts = np.arange(rows + 1, dtype=np.int64) * length
    return Corpus(ids.reshape(-1), starts, np.zeros(rows, np.int32), ("made up",))


def training_of(options: argparse.Namespace, machine: Machine) -> Pretraining:
    """Return a training of random weights of a shape with pet-mini's tokenizer."""
    layers, hidden = map(int, options.shape.split("x"))
    tokenizer = InitialModel.load(find_model("pet-mini").folder, torch.device("cpu")).tokenizer
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 32,
        intermediate_size=4 * hidden,
    )
    start = InitialModel(BertForMaskedLM(config), tokenizer, "all").on(machine.device)
    corpus = made_up(50 * options.rows, options.length, len(tokenizer))
    data = PretrainingData(corpus, shares=np.ones(1), length=options.length, seed=0)
    updates = UpdateSettings(steps=10**6, batch_size=options.rows)
    return Pretraining(start, data, MaskingSettings(rate=options.rate), updates, machine)


def products(options: argparse.Namespace) -> Iterator[tuple[int, int, int, int]]:
    """Yield (times, n, i, o) of the products [n, i] x [i, o] of a forward pass; attention's own are left out."""
    layers, hidden = map(int, options.shape.split("x"))
    tokens = options.rows * options.length
    yield 4 * layers, tokens, hidden, hidden
    yield layers, tokens, hidden, 4 * hidden
    yield layers, tokens, 4 * hidden, hidden
    yield 1, int(tokens * options.rate), hidden, 16_000


def limit_seconds(options: argparse.Namespace, machine: Machine) -> float:
    """Return the seconds of a step's matrix products alone: each forward, and the two of its backward."""
    dtype = torch.bfloat16 if machine.precision == "bf16" else torch.float32
    total = 0.0
    for times, n, i, o in products(options):
        x, w, y = (torch.randn(*shape, device=machine.device).to(dtype) for shape in ((n, i), (o, i), (n, o)))
        for repeats in (1, times):  # the first warms up
            _wait(machine)
            begin = time.perf_counter()
            for _ in range(repeats):
                x @ w.T
                y @ w
                y.T @ x
            _wait(machine)
            spent = time.perf_counter() - begin
        total += spent
    return total


def _wait(machine: Machine) -> None:
    if machine.device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    """Measure in turn, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="6x384")
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--rate", type=float, default=0.2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    quiet_transformers()
    machine = Machine.pick(RunSettings(device=options.device))
    training = training_of(options, machine)
    training.model.train(training.updates.dropout)
    steps = training.steps(0)
    limits, spent = [], []
    for _ in range(options.rounds + 1):
        limits.append(limit_seconds(options, machine))
        begin = time.perf_counter()
        for _ in range(options.steps):
            training.loop.update(next(steps))
        _wait(machine)
        spent.append((time.perf_counter() - begin) / options.steps)
    step, limit = median(spent[1:]), median(limits[1:])
    flops = 6 * sum(times * n * i * o for times, n, i, o in products(options))
    found = {
        "machine": f"{machine.device.type}, {machine.precision}, {torch.get_num_threads()} threads",
        "tokens_per_second": round(options.rows * options.length / step),
        "limit_tokens_per_second": round(options.rows * options.length / limit),
        "share_of_the_limit": round(limit / step, 3),
        "shares": [round(one / other, 3) for one, other in zip(limits[1:], spent[1:], strict=True)],
        "limit_gflops": round(flops / limit / 1e9),
    }
    print(json.dumps(found, indent=2))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
