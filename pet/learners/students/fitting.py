"""Convex fits in a few numbers per label: logistic regression on soft labels, and the calibration of a classifier."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from pet.labeling.label_sets import sigmoid
from pet.labeling.votes import softmax
from pet.learners.models.losses import soften

_MOST_ITERATIONS = 200


@dataclass(frozen=True)
class Linear:
    """A linear layer: `weights` float64 [k, h], `bias` float64 [k]; `independent` ones give each label by itself."""

    weights: np.ndarray
    bias: np.ndarray
    independent: bool = False

    def probabilities(self, vectors: np.ndarray) -> np.ndarray:
        """Return float32 [n, k] of vectors [n, h]."""
        return (sigmoid if self.independent else softmax)(vectors @ self.weights.T + self.bias)


@dataclass(frozen=True)
class SoftTargets:
    """What logistic regression learns: vectors [n, h], probabilities [n, k], at a temperature.

    `independent` probabilities are of labels of which a row may have several; there is no temperature for them.
    """

    vectors: np.ndarray
    probs: np.ndarray
    temperature: float = 1.0
    independent: bool = False


def logistic_regression(targets: SoftTargets, penalty: float, start: Linear | None = None) -> Linear:
    """Return multinomial logistic regression on soft labels, exactly, from a start; of independent ones one per label.

    It minimises the mean over rows of KL(soft(q/T) || soft(p/T)) * T^2, or of the binary cross-entropies of all labels,
    plus `penalty` / 2 times the sum of squared weights; the bias is free.
    """
    vectors = torch.from_numpy(np.asarray(targets.vectors, np.float64))
    alone = targets.independent
    probs = targets.probs if alone else soften(targets.probs, targets.temperature)
    wanted = torch.from_numpy(probs.astype(np.float64))
    k, h, temperature = wanted.shape[1], vectors.shape[1], targets.temperature
    begin = start or Linear(np.zeros((k, h)), np.zeros(k))
    weights, bias = (torch.tensor(part, requires_grad=True) for part in (begin.weights, begin.bias))

    def loss() -> torch.Tensor:
        logits = vectors @ weights.T + bias
        if alone:
            entropy = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
            return entropy.sum(dim=1).mean() + penalty / 2 * weights.square().sum()
        logs = functional.log_softmax(logits / temperature, dim=1)
        return -(temperature**2) * (wanted * logs).sum(dim=1).mean() + penalty / 2 * weights.square().sum()

    minimize(loss, [weights, bias])
    return Linear(weights.detach().numpy(), bias.detach().numpy(), alone)


def scale_and_offsets(said: np.ndarray, wanted: np.ndarray, shrinkage: float) -> tuple[float, np.ndarray]:
    """Return what makes softmax(scale * log(said) + offsets) nearest to `wanted`: a number > 0, and float64 [k].

    Both are probabilities [n, k]; near is the sum over rows of KL(wanted || ...). `shrinkage` / 2 times the squares of
    log(scale) and the offsets is added: it counts like so many rows that say that nothing is to be changed.
    """
    logs = torch.from_numpy(np.log(np.clip(np.asarray(said, np.float64), 1e-10, None)))
    probs = torch.from_numpy(np.asarray(wanted, np.float64))
    power = torch.zeros((), dtype=torch.float64, requires_grad=True)
    offsets = torch.zeros(probs.shape[1], dtype=torch.float64, requires_grad=True)

    def loss() -> torch.Tensor:
        found = functional.log_softmax(power.exp() * logs + offsets, dim=1)
        return -(probs * found).sum() + shrinkage / 2 * (power.square() + offsets.square().sum())

    minimize(loss, [power, offsets])
    return float(power.detach().exp()), offsets.detach().numpy()


def minimize(loss: Callable[[], torch.Tensor], tensors: Sequence[torch.Tensor]) -> None:
    """Change leaf tensors to where a smooth convex loss of them is smallest (L-BFGS with strong Wolfe conditions)."""
    optimizer = torch.optim.LBFGS(
        tensors,
        max_iter=_MOST_ITERATIONS,
        tolerance_grad=1e-5,
        tolerance_change=1e-8,
        line_search_fn="strong_wolfe",
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(closure)  # type: ignore[no-untyped-call]
