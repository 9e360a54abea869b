"""The plain path that everything is compared with, and the machine's limit: what its matrix products alone would take.

Plain: every row padded to 256 tokens, 8 rows at a time, vocabulary logits at all positions, float32, the same weights.
"""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch.nn import functional

from pet.data.examples import Example
from pet.learners.models.batching import Batch, collate
from pet.learners.models.families import layers
from pet.learners.models.fast.last_layer import last_layer_at_masks
from pet.learners.models.masked_lm import mean_over_words, word_values
from pet.learners.models.splicing import Encoded
from pet.learners.models.words import LabelWords
from pet.learners.voters.objectives import LabeledRows, pet_objective
from pet.learners.voters.pvp import PvpVoter
from pet.settings.training import TrainSettings

LENGTH = 256


def settled() -> float:
    """Wait until a GPU, where there is one, has done what it was given; return the time, in seconds."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


Found = TypeVar("Found")


def seconds(work: Callable[[], Found]) -> tuple[float, Found]:
    """Return the time a call takes, and its result."""
    start = settled()
    result = work()
    return settled() - start, result


def plain_logits(voter: PvpVoter, rows: Sequence[Encoded], length: int = LENGTH) -> tuple[torch.Tensor, Batch]:
    """Return logits at the masks, [b, p, v], of rows padded to `length`, from logits at all positions."""
    tokenizer = voter.backbone.tokenizer
    batch = collate(rows, tokenizer.pad_token_id, voter.backbone.uses_segments, voter.machine.device, length)
    logits = voter.backbone.model(**batch.inputs).logits[batch.rows, batch.positions]
    return logits.view(len(batch), batch.slots, -1), batch


def word_scores(logits: torch.Tensor, words: LabelWords) -> torch.Tensor:
    """Return label scores [b, k] from logits at the masks [b, p, v]."""
    return mean_over_words(word_values(logits, words), words)


def padding_waste(lengths: Sequence[int], batches: Sequence[np.ndarray]) -> float:
    """Return the share of computed tokens that are padding, in [0, 1)."""
    sizes = np.asarray(lengths)
    return 1.0 - float(sizes.sum()) / sum(len(batch) * int(sizes[batch].max()) for batch in batches)


def plain_scores(voter: PvpVoter, examples: list[Example], length: int = LENGTH) -> np.ndarray:
    """Score as the original does: fixed padding, 8 rows, full logits at all positions."""
    encoded = voter.encode(examples)
    with torch.inference_mode():
        found = [
            word_scores(plain_logits(voter, encoded[start : start + 8], length)[0], voter.words).cpu().numpy()
            for start in range(0, len(encoded), 8)
        ]
    return np.concatenate(found)


def _plain_loss(voter: PvpVoter, encoded: Sequence[Encoded], examples: Sequence[Example]) -> torch.Tensor:
    columns = {label: k for k, label in enumerate(voter.words.labels)}
    logits, _ = plain_logits(voter, encoded)
    targets = torch.tensor([columns[str(example.label)] for example in examples], device=logits.device)
    return functional.cross_entropy(word_scores(logits, voter.words), targets)


def gradient_difference(ours: PvpVoter, plain: PvpVoter, examples: list[Example]) -> float:
    """Return the largest difference of a step's gradients to those of the plain path, per largest gradient.

    Of the cross-entropy alone, and without dropout. Both voters have the same model.
    """
    model, settings = ours.backbone.model, TrainSettings(auxiliary_mlm=0.0, steps=1).with_preset()
    targets = np.asarray([ours.words.labels.index(str(example.label)) for example in examples])
    ours.backbone.reset()
    parts = ours.new_parts()
    labeled = LabeledRows(ours.encode(examples), targets)
    loss = pet_objective(parts, ours.machine, labeled, settings, lambda: [], np.random.default_rng(0))
    tensors = parts.trained(settings).tensors
    found, everything = [], np.arange(len(examples))
    for summands in (lambda: loss(everything), lambda: [_plain_loss(plain, plain.encode(examples), examples)]):
        model.eval().zero_grad()
        for summand in summands():
            summand.backward()
        found.append(torch.cat([tensor.grad.flatten() for tensor in tensors if tensor.grad is not None]))
    model.zero_grad()
    return float((found[0] - found[1]).abs().max() / found[1].abs().max())


def plain_steps(voter: PvpVoter, examples: list[Example], steps: int, batch_size: int) -> None:
    """Train as the original does: float32, every row padded, logits at all positions."""
    voter.backbone.reset()
    model = voter.backbone.model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    encoded = voter.encode(examples)
    for step in range(steps):
        rows = [(step * batch_size + i) % len(encoded) for i in range(batch_size)]
        _plain_loss(voter, [encoded[i] for i in rows], [examples[i] for i in rows]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.eval()


def linear_shapes(voter: PvpVoter, batch: Batch) -> list[tuple[int, int, int]]:
    """Return (rows, inputs, outputs) of every matrix product with weights that our path makes of one batch."""
    model, shapes = voter.backbone.model, []
    with last_layer_at_masks(model, batch) as picked:
        few = layers(model)[-1] if picked else None
    for layer in layers(model):
        for name, module in layer.named_modules():
            if isinstance(module, torch.nn.Linear):
                # Of the last layer, keys and values alone are made of every token.
                every = layer is not few or name.endswith(("key", "value"))
                rows = batch.inputs["input_ids"].numel() if every else len(batch.rows)
                shapes.append((rows, module.in_features, module.out_features))
    return shapes


def gemm_seconds(
    shapes: Sequence[tuple[int, int, int]], dtype: torch.dtype, training: bool, device: torch.device, repeats: int = 5
) -> float:
    """Return what the products of these shapes alone take: the median over repeats of each, summed.

    In training, those of the gradients of inputs and weights come on top.
    """
    total, known = 0.0, {}
    at_once = 20 if device.type == "cuda" else 1  # a product is short there beside the wait for it

    def random(rows: int, columns: int) -> torch.Tensor:
        return torch.randn(rows, columns, device=device).to(dtype)

    def timed(product: Callable[[], object]) -> float:
        return seconds(lambda: [product() for _ in range(at_once)])[0] / at_once

    for rows, inputs, outputs in shapes:
        if (rows, inputs, outputs) not in known:
            x, w, y = random(rows, inputs), random(outputs, inputs), random(rows, outputs)
            products = [lambda x=x, w=w: functional.linear(x, w)]
            if training:
                products += [lambda y=y, w=w: y @ w, lambda x=x, y=y: y.t() @ x]
            with torch.inference_mode():
                times = [[timed(product) for _ in range(repeats)] for product in products]
            known[rows, inputs, outputs] = sum(map(float, np.median(times, axis=1)))
        total += known[rows, inputs, outputs]
    return total


def flop(shapes: Sequence[tuple[int, int, int]]) -> float:
    """Return the floating point operations of these products."""
    return float(sum(2 * rows * inputs * outputs for rows, inputs, outputs in shapes))


def attention_flop(voter: PvpVoter, batch: Batch) -> float:
    """Return the operations of attention over a batch, padding not counted: queries with keys, and with values.

    A local layer sees its window alone, and the last one asks for the masks alone where our path does.
    """
    model = voter.backbone.model
    config, total = model.config, 0
    with last_layer_at_masks(model, batch) as picked:
        pass
    window = getattr(config, "local_attention", None) or 2**30
    kinds = getattr(config, "layer_types", None) or ["full_attention"] * config.num_hidden_layers
    for length in _lengths(batch):
        for layer, kind in enumerate(kinds):
            queries = batch.slots if picked and layer == len(kinds) - 1 else length
            total += 4 * queries * min(length, length if kind == "full_attention" else window) * config.hidden_size
    return float(total)


def _lengths(batch: Batch) -> list[int]:
    """Return the tokens of each row."""
    mask, ids = batch.inputs.get("attention_mask"), batch.inputs["input_ids"]
    return [ids.shape[1]] * len(ids) if mask is None else mask.sum(dim=1).tolist()
