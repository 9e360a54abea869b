"""Label words of several tokens: rows per second of the batched decoders against one row at a time, as `make bench`.

    python tests/benchmarks/several_masks.py [--model pet-mini] [--rows 200] [--plain-rows 40]

The plain path is the method as it is written: for each row, word and token a forward pass of the stock model, float32,
all logits. Both are measured in this process, in turn; `difference` is the largest one of their scores, in float32.
"""

import argparse
import json
import random
import time
from dataclasses import replace
from statistics import median

import numpy as np
import torch
from scoring import WORDS

from pet.data.examples import Example
from pet.learners.models.backbone import Backbone
from pet.learners.models.machine import Machine
from pet.learners.models.sources import find_model, quiet_transformers
from pet.learners.voters.pvp import PvpVoter
from pet.prompts.patterns import Pattern
from pet.prompts.pvp import PVP
from pet.prompts.verbalizers import Verbalizer
from pet.settings.run import RunSettings
from pet.settings.task import Decoder, ModelSettings

NAMES = (
    "card arrival",
    "exchange rate",
    "cash withdrawal",
    "lost or stolen phone",
    "top up failed",
    "age limit",
    "wrong amount",
    "country support",
    "direct debit",
    "change pin",
)
"""Names as customers' questions have them, of two to five tokens."""

DECODERS: tuple[Decoder, ...] = ("most-confident-first", "left-to-right")


@torch.inference_mode()
def plain_scores(voter: PvpVoter, row: Example, decoder: Decoder) -> list[float]:
    """Return the log-probability of each label's word, a forward pass for each token of each."""
    model, mask, found = voter.backbone.model, voter.backbone.tokenizer.mask_token_id, []
    encoded = voter.encode([row])[0]
    without, place = np.delete(encoded.input_ids, encoded.mask_positions).tolist(), int(encoded.mask_positions[0])
    for word in voter.words.ids[:, 0]:
        left, total = {i: int(token) for i, token in enumerate(word) if token >= 0}, 0.0
        ids = torch.tensor([without[:place] + [mask] * len(left) + without[place:]])
        while left:
            logs = model(input_ids=ids).logits[0].log_softmax(-1)
            said = {i: float(logs[place + i, token]) for i, token in left.items()}
            chosen = min(said) if decoder == "left-to-right" else max(said, key=lambda i: said[i])
            total += said[chosen]
            ids[0, place + chosen] = left.pop(chosen)
        found.append(total)
    return found


def seconds_of(count: int, work: object) -> float:
    """Return the seconds per row of a call, on so many rows."""
    assert callable(work)
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="pet-mini")
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--plain-rows", type=int, default=40)
    asked = parser.parse_args()
    quiet_transformers()
    rng = random.Random(0)
    rows = [Example(str(i), {"text": " ".join(rng.choices(WORDS, k=rng.randint(10, 60)))}) for i in range(asked.rows)]
    machine = Machine.pick(RunSettings())
    backbone = Backbone.masked_lm(find_model(asked.model), machine.device)
    pvp = PVP(Pattern("bench/p", "{text} It was {mask}."), Verbalizer.from_labels(NAMES))
    for decoder in DECODERS:
        exact = PvpVoter(backbone, pvp, ModelSettings(), replace(machine, precision="fp32", scoring=""), decoder)
        quick = PvpVoter(backbone, pvp, ModelSettings(), machine, decoder)
        some = rows[: asked.plain_rows]
        wanted = np.asarray([plain_scores(exact, row, decoder) for row in some])
        difference = float(np.abs(exact.scores(some) - wanted).max())
        turns = [
            (
                seconds_of(len(some), lambda: [plain_scores(exact, row, decoder) for row in some]),  # noqa: B023
                seconds_of(len(rows), lambda: exact.scores(rows)),  # noqa: B023
                seconds_of(len(rows), lambda: quick.scores(rows)),  # noqa: B023
            )
            for _ in range(3)
        ]
        plain, fp32, own = (median(times) for times in zip(*turns, strict=True))
        figures = {"plain_ms": plain * 1e3, "fp32_ms": fp32 * 1e3, "ms": own * 1e3}
        figures |= {"speedup_fp32": plain / fp32, "speedup": plain / own}
        told = {name: round(value, 2) for name, value in figures.items()}
        print(json.dumps({"decoder": decoder, **told, "precision": machine.inference, "difference": difference}))


if __name__ == "__main__":
    main()
