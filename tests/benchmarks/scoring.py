"""Our scorer against the plain path, in one process: `make bench`.

    python tests/benchmarks/scoring.py [--model pet-mini] [--texts FILE] [--rows 256] [--repeats 3]

The plain path pads every row to 256 tokens, takes 8 rows at a time and computes vocabulary logits at all positions, in
float32 with the same weights. The two are timed in turn and compared by their medians; the numbers are ratios, since
seconds of one machine say nothing about another. Without a file, texts of the lengths of news items are made up.
"""

import argparse
import json
import random
import statistics
from functools import partial
from pathlib import Path

import numpy as np
import torch
from plain import padding_waste, plain_scores, seconds

from pet.data.examples import Example
from pet.data.readers import ReadOptions, read_examples
from pet.data.source import parse_source
from pet.learners.models.backbone import Backbone
from pet.learners.models.batching import token_budget_batches
from pet.learners.models.machine import Machine
from pet.learners.models.sources import find_model, quiet_transformers
from pet.learners.voters.pvp import PvpVoter
from pet.prompts.pvp import PVP
from pet.prompts.registry import load_patterns, load_verbalizers
from pet.settings.run import RunSettings
from pet.settings.task import ModelSettings

TEXT = "the market said its new game of a team in year for company on with people after report who would win"
WORDS = TEXT.split()


def made_up(count: int) -> list[Example]:
    """Return rows with about as many words as news items have (headline and lead: 38 on average)."""
    rng = random.Random(0)
    lengths = [max(8, round(rng.gauss(38, 10))) for _ in range(count)]
    return [Example(str(i), {"text": " ".join(rng.choices(WORDS, k=size))}) for i, size in enumerate(lengths)]


def compare(voters: dict[str, PvpVoter], examples: list[Example], repeats: int) -> dict[str, object]:
    """Time the plain path and our scorers in turn; return ratios of medians and the largest difference of scores."""
    times: dict[str, list[float]] = {"plain": [], **{name: [] for name in voters}}
    scores: dict[str, np.ndarray] = {}
    for _ in range(repeats):
        spent, scores["plain"] = seconds(partial(plain_scores, voters["fp32"], examples))
        times["plain"].append(spent)
        for name, voter in voters.items():
            spent, scores[name] = seconds(partial(voter.scores, examples))
            times[name].append(spent)
    middle = {name: statistics.median(values) for name, values in times.items()}
    lengths = [len(row) for row in voters["fp32"].encode(examples)]
    batches = token_budget_batches(lengths, voters["fp32"].machine.token_budget.tokens)
    return {
        "rows": len(examples),
        "tokens_per_row": round(float(np.mean(lengths)), 1),
        "padding_waste": round(padding_waste(lengths, batches), 4),
        "rows_per_second": {name: round(len(examples) / value, 1) for name, value in middle.items()},
        "times_faster": {name: round(middle["plain"] / middle[name], 2) for name in voters},
        "largest_difference": {name: float(np.abs(scores[name] - scores["plain"]).max()) for name in voters},
        "same_label": {name: float((scores[name].argmax(1) == scores["plain"].argmax(1)).mean()) for name in voters},
    }


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pet-mini")
    parser.add_argument("--texts", type=Path, default=None)
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    quiet_transformers()
    if options.texts:
        read = read_examples(parse_source(str(options.texts)), ReadOptions(role="input"))
        examples = list(read.examples[: options.rows])
    else:
        examples = made_up(options.rows)
    pvp = PVP(load_patterns().get("agnews/category"), load_verbalizers().get("agnews/words"))
    backbone = Backbone.masked_lm(find_model(options.model), torch.device("cpu"))
    voters = {
        precision: PvpVoter(
            backbone, pvp, ModelSettings(), Machine.pick(RunSettings(device="cpu", precision=precision))
        )
        for precision in ("fp32", "bf16")
    }
    print(json.dumps(compare(voters, examples, options.repeats), indent=2))


if __name__ == "__main__":
    main()
