"""What of a voter trains, at which rate and by which loss: by hand on a BERT of 2 layers and 32 hidden numbers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from voters import settings_of, voter_of

from pet.data.examples import Example
from pet.errors import RunError
from pet.learners.models.backbone import Backbone
from pet.learners.models.machine import Machine
from pet.learners.models.masked_lm import mask_logits
from pet.learners.voters.adapet import decoupled_label_loss
from pet.prompts.pvp import PVP

L, H = 2, 32  # layers, hidden size
LORA = 2 * 2 * H  # queries and values, numbers per rank and layer
GATES = 4 * (H + 1)  # of UniPELT, per layer


def adapter(width: int) -> int:
    return 2 * H * width + width + H


NUMBERS = [
    ({"preset": "lora", "rank": 3}, L * LORA * 3),
    ({"preset": "adapter", "adapter_reduction": 8}, L * 2 * adapter(4)),
    ({"preset": "adapter", "adapter_reduction": 8, "adapter_layout": "pfeiffer"}, L * adapter(4)),
    ({"preset": "prefix-tuning", "prefix_length": 5, "prefix_encoder": "none"}, 5 * 2 * L * H),
    (
        {"preset": "unipelt", "prefix_length": 5, "rank": 3, "adapter_reduction": 8},
        5 * 2 * L * H + L * (GATES + adapter(4) + LORA * 3),
    ),
    ({"preset": "p-tuning-v2", "prefix_length": 5}, 5 * 2 * L * H + 2 * H + 2),
    ({"preset": "prompt-tuning", "virtual_tokens": 3}, 3 * H),
    ({"preset": "word-tuning"}, 3 * H),  # It was .
    ({"preset": "warp"}, 2 * H + 2 * H + 2),  # two virtual tokens; two label vectors with biases
    ({"weights": "none", "output": "weighted"}, 2 * 2),  # two labels of up to two words
    ({"weights": "none"}, 0),
]


@pytest.mark.parametrize(("values", "numbers"), NUMBERS)
def test_so_many_numbers_train(trained: Callable[..., Any], values: dict[str, Any], numbers: int) -> None:
    assert trained(steps=1, **values).facts() == {"trained_numbers": numbers}


@pytest.mark.parametrize(
    ("values", "vectors", "rates"),
    [
        ({"preset": "lora"}, 0, "learning_rate (now 0.03)"),
        ({"preset": "word-tuning"}, 1, "prompt_learning_rate (now 0.07)"),
        (
            {"preset": "word-tuning", "weights": "bitfit"},
            1,
            "learning_rate (now 0.03) or prompt_learning_rate (now 0.07)",
        ),
        ({"output": "soft"}, 2, "learning_rate (now 0.03) or prompt_learning_rate (now 0.07)"),
    ],
)
def test_vectors_train_at_the_prompt_rate_and_do_not_decay(
    trained: Callable[..., Any], values: dict[str, Any], vectors: int, rates: str
) -> None:
    settings = settings_of(**values, learning_rate=0.03, prompt_learning_rate=0.07, weight_decay=0.5)
    parts = trained(**values, steps=1).parts
    own = {id(tensor) for tensor in (*(parts.prompt.parameters() if parts.prompt else ()), *parts.output.parameters())}
    found = parts.trained(settings)
    assert len(own) == vectors and found.rates == rates
    for group in found.groups:
        for tensor in group["params"]:
            decay = 0.5 if tensor.dim() > 1 else 0.0
            assert (group["lr"], group["weight_decay"]) == ((0.07, 0.0) if id(tensor) in own else (0.03, decay))


def test_a_loss_that_is_not_finite_tells_the_rates_of_what_trains(
    backbones: dict[str, Backbone], pvp: PVP, machine: Machine, rows: list[Example], refuses: Callable[..., None]
) -> None:
    settings = settings_of("word-tuning", prompt_learning_rate=1e38, steps=9)
    voter = voter_of(backbones["bert"], pvp, machine, settings)
    train = lambda: voter.train(rows, settings, np.random.default_rng(0))  # noqa: E731
    refuses(RunError, train, "became nan", "lower prompt_learning_rate (now 1e+38), or")


def test_the_loss_of_adapet_is_the_sum_of_its_two(
    backbones: dict[str, Backbone], pvp: PVP, machine: Machine, rows: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a label-conditioned loss of exactly 3, in a model without dropout."""
    monkeypatch.setattr(
        "pet.learners.voters.objectives.label_conditioned_loss", lambda *_: torch.tensor(3.0, requires_grad=True)
    )
    settings = settings_of("adapet", steps=1, batch_size=len(rows))
    voter = voter_of(backbones["modernbert"], pvp, machine, settings)
    found = voter.train(rows, settings, np.random.default_rng(0)).losses
    voter.backbone.reset()
    targets = torch.tensor([voter.words.labels.index(row.label) for row in rows])
    with torch.inference_mode():
        logits = mask_logits(voter.backbone.model, voter.backbone.batch(voter.encode(rows)), "fp32")
    assert found == pytest.approx([3.0 + float(decoupled_label_loss(logits, voter.words, targets))], abs=1e-5)


def test_adalora_hears_of_the_updates(trained: Callable[..., Any]) -> None:
    peft = {"peft_type": "ADALORA", "total_step": 6, "tinit": 1, "tfinal": 1, "init_r": 4, "target_r": 2}
    voter = trained(weights="peft", peft=peft, steps=6)
    singular = [value for name, value in voter.parts.tensors().items() if "lora_E" in name]
    assert [len(values) for values in singular] == 2 * L * [4]
    assert sum(int((values != 0).sum()) for values in singular) == 2 * L * 2
