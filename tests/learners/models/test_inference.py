from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from pet.data.examples import Example
from pet.errors import RunError
from pet.learners.models.inference import Inference
from pet.learners.models.machine import Machine
from pet.learners.models.splicing import Encoded

CPU = torch.device("cpu")
ROWS = [Example(f"row-{i}", {"text": "a" * (1 + i % 7)}) for i in range(40)]


def encode(rows: Sequence[Example]) -> list[Encoded]:
    empty = np.empty(0, np.int64)
    return [
        Encoded(np.arange(len(row.fields["text"]), dtype=np.int32), empty, empty, empty.astype(bool)) for row in rows
    ]


def lengths(rows: list[Encoded]) -> torch.Tensor:
    return torch.tensor([[float(len(row)), 1.0] for row in rows])


def test_rows_come_back_in_their_order_and_chunks_are_encoded_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pet.learners.models.batching.CHUNK_ROWS", 9)
    told: list[int] = []
    sizes = []

    def spy(rows: Sequence[Example]) -> list[Encoded]:
        sizes.append(len(rows))
        return encode(rows)

    found = Inference(Machine(CPU, "fp32"), spy, lengths).run(ROWS, 2, told.append)
    assert found[:, 0].tolist() == [1 + i % 7 for i in range(40)]
    assert (sum(told), sizes) == (40, [9, 9, 9, 9, 4])


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
    ],
)
def test_a_batch_that_does_not_fit_is_halved_and_done_again(error: Exception) -> None:
    machine, sizes = Machine(CPU, "fp32"), []

    def compute(rows: list[Encoded]) -> torch.Tensor:
        size = len(rows) * max(map(len, rows))
        if size > 20:
            raise error
        sizes.append(size)
        return lengths(rows)

    found = Inference(machine, encode, compute).run(ROWS, 2)
    assert found[:, 0].tolist() == [1 + i % 7 for i in range(40)]
    assert machine.token_budget.tokens == 16  # 4096, halved as often as was needed, and kept for the rows to come
    assert max(sizes) <= 20


def test_a_row_that_never_fits_is_named(refuses: Callable[..., None]) -> None:
    def compute(rows: list[Encoded]) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    run = lambda: Inference(Machine(CPU, "fp32"), encode, compute).run(ROWS, 2)  # noqa: E731
    refuses(RunError, run, "row-6", "7 tokens", "model.max_length")


def test_another_error_is_no_lack_of_memory() -> None:
    def compute(rows: list[Encoded]) -> torch.Tensor:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        Inference(Machine(CPU, "fp32"), encode, compute).run(ROWS, 2)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_score_that_is_no_number_names_its_row(refuses: Callable[..., None], value: float) -> None:
    def compute(rows: list[Encoded]) -> torch.Tensor:
        return torch.where(lengths(rows) == 3.0, value, lengths(rows))

    run = lambda: Inference(Machine(CPU, "fp32"), encode, compute).run(ROWS, 2)  # noqa: E731
    refuses(RunError, run, "row-2", "run.precision")
