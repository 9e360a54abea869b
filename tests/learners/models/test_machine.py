from collections.abc import Callable
from typing import Any

import pytest
import torch

from pet.errors import ConfigError
from pet.learners.models.machine import Machine, is_out_of_memory, reproducible, reproducibly
from pet.settings.run import RunSettings


def pick(
    monkeypatch: pytest.MonkeyPatch,
    cuda: bool = False,
    cuda_bf16: bool = False,
    cpu_bf16: bool = False,
    **settings: Any,
) -> Machine:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: cuda_bf16 > including_emulation)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": cpu_bf16})
    return Machine.pick(RunSettings(**settings))


@pytest.mark.parametrize(
    ("hardware", "settings", "device", "precision"),
    [
        ({}, {}, "cpu", "fp32"),
        ({"cpu_bf16": True}, {}, "cpu", "bf16"),
        ({"cpu_bf16": True}, {"precision": "fp32"}, "cpu", "fp32"),
        ({}, {"precision": "bf16"}, "cpu", "fp32"),
        ({"cpu_bf16": True}, {"precision": "bf16"}, "cpu", "bf16"),
        ({"cuda": True, "cuda_bf16": True}, {}, "cuda", "bf16"),
        ({"cuda": True}, {}, "cuda", "fp32"),
        ({"cuda": True, "cuda_bf16": True}, {"device": "cpu"}, "cpu", "fp32"),
    ],
)
def test_pick(
    monkeypatch: pytest.MonkeyPatch, hardware: dict[str, Any], settings: dict[str, Any], device: str, precision: str
) -> None:
    machine = pick(monkeypatch, **hardware, **settings)
    assert (machine.device.type, machine.precision) == (device, precision)


def test_a_gpu_takes_larger_batches() -> None:
    budgets = [Machine(torch.device(name), "fp32").token_budget.tokens for name in ("cpu", "cuda")]
    assert 0 < budgets[0] < budgets[1]


@pytest.mark.parametrize("name", ["cuda", "cuda:7", "gpu", "", "tpu:0"])
def test_a_device_that_is_not_there(refuses: Callable[..., None], name: str) -> None:
    if name.startswith("cuda") and torch.cuda.device_count() > 7:
        pytest.skip("there are eight GPUs here")
    if name == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    refuses(ConfigError, lambda: Machine.pick(RunSettings(device=name)), f'run.device = "{name}"', '"auto"')


def test_devices_with_a_number() -> None:
    assert Machine.pick(RunSettings(device="cpu")).device == torch.device("cpu")


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("could not create a primitive"), True),  # oneDNN, seen where memory was limited
        (RuntimeError("could not create a primitive descriptor for the matmul primitive"), False),
        (RuntimeError("std::bad_alloc"), True),
        (MemoryError(), True),
        (RuntimeError("shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_which_errors_are_about_memory(error: Exception, full: bool) -> None:
    assert is_out_of_memory(error) is full


def test_a_gpu_takes_algorithms_that_give_the_same_bits_while_it_trains() -> None:
    with reproducible(torch.device("cuda")):
        assert torch.get_deterministic_debug_mode() == 2
    with reproducible(torch.device("cpu")):
        assert torch.get_deterministic_debug_mode() == 0
    assert torch.get_deterministic_debug_mode() == 0


def test_an_operation_without_such_an_algorithm_is_done_again_with_any() -> None:
    left = []

    def gradient() -> list[float]:
        left.append(1)
        return torch.zeros(3).put_(torch.tensor([1]), torch.tensor([5.0])).tolist()

    with reproducible(torch.device("cuda")):
        with pytest.warns(UserWarning, match="put_ does not have a deterministic implementation"):
            assert reproducibly(gradient, left.clear) == [0.0, 5.0, 0.0]
        assert left == [1]  # what the first attempt left is taken back
    with pytest.raises(RuntimeError, match="another"):
        reproducibly(lambda: (_ for _ in ()).throw(RuntimeError("another")), left.clear)
