"""What a training step of a variant costs, as a share of a step that trains all weights, in one process.

    python tests/benchmarks/steps.py [--size base|mini] [--rows 8] [--rounds 3]

The model is random, of the size of BERT base, or pet-mini; the texts are made up. The variants take turns, and medians
over all their steps are compared. "plain dropout" is a full step with torch's own masks of dropout.
"""

import argparse
import json
import tempfile
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import median
from unittest.mock import patch

import numpy as np
import torch
from plain import settled
from scoring import made_up
from transformers import BertConfig, BertForMaskedLM

from pet.data.examples import Example
from pet.learners.models import training
from pet.learners.models.backbone import Backbone
from pet.learners.models.fast.dropout import QuickDropout
from pet.learners.models.machine import Machine
from pet.learners.models.sources import ModelSource, find_model, quiet_transformers
from pet.learners.voters.pvp import PvpVoter
from pet.prompts.inputs import with_input
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.verbalizers import Verbalizer
from pet.settings.run import RunSettings
from pet.settings.task import ModelSettings
from pet.settings.training import TrainSettings

VARIANTS = ("pet", "lora", "bitfit", "adapter", "unipelt", "prefix-tuning", "prompt-tuning", "word-tuning", "warp")
PLAIN = "plain dropout"


def random_base(folder: Path) -> ModelSource:
    """Write a random model of the size of BERT base with pet-mini's vocabulary."""
    small = find_model("pet-mini")
    tokenizer = Backbone.masked_lm(small, torch.device("cpu")).tokenizer
    tokenizer.save_pretrained(folder)
    BertForMaskedLM(BertConfig(vocab_size=len(tokenizer))).save_pretrained(folder)
    return ModelSource("random-base", folder)


def step_seconds(backbone: Backbone, machine: Machine, preset: str, rows: list[Example]) -> list[float]:
    """Train three steps of a variant; return the seconds of all but the first."""
    settings = TrainSettings(
        preset=preset,
        steps=3,
        batch_size=len(rows),
        learning_rate=1e-4,
        prompt_learning_rate=1e-2,
        restarts=1,
    ).with_preset()
    pattern = with_input(Pattern("a/b", "{text} It was {mask}."), settings.input or "hard", 5)
    pvp = PVP(pattern, Verbalizer("a/c", {"good": ("good",), "bad": ("bad",)}))
    voter = PvpVoter(backbone, pvp, ModelSettings(), machine, variant=settings)
    times: list[float] = []
    voter.train(rows, settings, np.random.default_rng(0), advance=lambda _: times.append(settled()))
    return np.diff(times).tolist()


def main() -> None:
    """Measure, and print one line per variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["base", "mini"], default="base")
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    quiet_transformers()
    machine = Machine.pick(RunSettings())
    rows = [replace(row, label=("good", "bad")[i % 2]) for i, row in enumerate(made_up(options.rows))]
    found: dict[str, list[float]] = {name: [] for name in (*options.variants, PLAIN)}
    with tempfile.TemporaryDirectory() as folder:
        source = random_base(Path(folder)) if options.size == "base" else find_model("pet-mini")
        backbone = Backbone.masked_lm(source, machine.device)
        for _ in range(options.rounds):
            for name, times in found.items():
                with patch.object(training, "QuickDropout", nullcontext if name == PLAIN else QuickDropout):
                    times += step_seconds(backbone, machine, "pet" if name == PLAIN else name, rows)
    whole = median(found["pet"])
    for name, times in found.items():
        print(f"{name:<16} {median(times) / whole:6.2f} of a full step ({1000 * median(times):,.0f} ms)")
    if options.json:
        ratios = {name: median(times) / whole for name, times in found.items()}
        options.json.write_text(json.dumps(ratios, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
