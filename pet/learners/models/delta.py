"""What a way to train a backbone's weights has to offer."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from pet.errors import ModelError
from pet.learners.models.batching import Batch


class Delta(nn.Module):
    """What of a model's weights trains for one voter: some of its own tensors, or small new ones beside it.

    The model is shared by many voters. `attach` gets it ready and freezes what does not train, `detach` leaves it as it
    was found, bit for bit; between them, forward passes run inside `during`. New tensors are parameters of the delta
    itself and stay with it when it is detached. A new delta changes nothing, or as little as its method allows.
    `reserved` is the number of the model's positions that it takes from the input.
    """

    reserved: int = 0

    model: Any

    def __init__(self, model: Any) -> None:
        super().__init__()
        object.__setattr__(self, "model", model)  # no submodule: its weights are not the delta's

    def attach(self) -> None:
        """Freeze the model; what trains beside it are the delta's own parameters."""
        self.model.requires_grad_(False)

    def detach(self) -> None:
        """Leave the model as it was before `attach`."""
        self.model.requires_grad_(True)

    @contextmanager
    def during(self, batch: Batch) -> Iterator[object]:  # noqa: ARG002
        """While active, forward passes of the model on `batch` compute with the delta."""
        yield None

    def updated(self, step: int) -> None:
        """Follow an update of the optimizer, the first is 0; to be called before its gradients are cleared."""

    def tensors(self) -> dict[str, nn.Parameter]:
        """Return what trains, by names that a saved file can rely on; valid while attached."""
        return dict(self.named_parameters())


def copies_of(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the values of tensors as they are now, by the same names."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def copy_into(own: Mapping[str, torch.Tensor], saved: Mapping[str, torch.Tensor]) -> None:
    """Copy saved values into tensors of the same names, in place.

    Raises `ModelError` if names or shapes differ.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in own.items()}
    found = {name: tuple(tensor.shape) for name, tensor in saved.items()}
    if differing := sorted(name for name in shapes.keys() | found.keys() if shapes.get(name) != found.get(name)):
        name = differing[0]
        raise ModelError(
            f"The saved voter has {name!r} of shape {found.get(name, 'none')}, expected {shapes.get(name, 'none')}: it "
            "was trained with other settings or another model."
        )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(saved[name])


@contextmanager
def drawn_from(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """While active, new tensors on the CPU (and on a GPU, if it is named) are drawn from `seed`.

    The generators then go on as if nothing was drawn.
    """
    on_gpu = device is not None and device.type == "cuda"
    with torch.random.fork_rng([device] if on_gpu else []):
        # `torch.manual_seed` also seeds the GPUs, which are not forked otherwise.
        (torch.manual_seed if on_gpu else torch.default_generator.manual_seed)(seed)
        yield
