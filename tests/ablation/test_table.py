"""The table of an ablation, from figures that were made up."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pet.ablation.grid import Grid
from pet.ablation.result import AblationResult, RunFigures
from pet.ablation.table import ablation_notes, ablation_table, markdown


def result(grid: dict[str, list[Any]], figures: dict[tuple[int, int], tuple[float, float, float | None]]) -> Any:
    runs = [
        RunFigures(cell, seed, f"sample-{seed}/cell-{cell}", {}, one, other, one, other, 200, cpu)
        for (cell, seed), (one, other, cpu) in figures.items()
    ]
    samples = sorted({seed for _, seed in figures})
    return AblationResult.of(Path("runs/x"), Grid.of(grid), samples, runs)


TWO = {
    **{(0, 1): (0.70, 0.75, 10.0), (0, 2): (0.72, 0.73, 12.0)},
    **{(1, 1): (0.73, 0.75, 20.0), (1, 2): (0.77, 0.72, None)},
}


def test_a_line_per_cell_with_its_differences_to_the_first() -> None:
    lines = markdown(result({"train.preset": ["pet", "a|b"]}, TWO)).splitlines()
    cells = [[part.strip() for part in line.strip("| ").split(" | ")] for line in lines[:4]]
    compared = ["difference [95 %]", "better/worse", "p"]
    assert cells[0] == ["preset", "classifier", *compared, "ensemble", *compared, "CPU-seconds"]
    assert cells[2] == ["pet", "71.0 ± 1.4", "", "", "", "74.0 ± 1.4", "", "", "", "11.0"]
    # Differences of 3 and 5 points: 4 ± 12.706 times 1.414 / √2; of 0 and -1: one is equal.
    assert cells[3][0] == "a\\|b"
    assert cells[3][1:5] == ["75.0 ± 2.8", "+4.0 [-8.7, +16.7]", "2/0", "0.5"]
    assert cells[3][5:] == ["73.5 ± 2.1", "-0.5 [-6.9, +5.9]", "0/1", "1", "20.0"]
    assert lines[5].startswith("accuracy on 200 test rows, in percent: mean and standard deviation over 2 samples")
    assert "0.5 at least with 2 samples" in lines[6]


def test_nothing_in_it_is_markup_and_axes_of_one_name_are_told_apart() -> None:
    found = result({"train.learning_rate": [1e-4, 1e-3], "distill.learning_rate": ["[bold]", "[/red]"]}, {})
    console = Console(width=200, file=io.StringIO())
    console.print(ablation_table(found))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[0].split()[:2] == ["train.learning_rate", "distill.learning_rate"]
    assert [line.split() for line in lines[1:3]] == [["0.0001", "[bold]"], ["0.0001", "[/red]"]]


def test_a_cell_that_is_not_done_on_every_sample_is_compared_on_those_that_it_shares() -> None:
    found = result({"train.steps": [1, 2]}, {key: value for key, value in TWO.items() if key != (0, 1)})
    difference = found.cells[1].differences["classifier"]
    assert difference.mean == pytest.approx(0.05)
    assert "cpu_seconds" not in found.cells[1].differences
    assert found.cells[0].deviation("classifier") is None


def test_one_sample_says_how_little_it_tells() -> None:
    found = result({"train.steps": [1, 2]}, {key: value for key, value in TWO.items() if key[1] == 1})
    assert [note.partition(":")[0] for note in ablation_notes(found)][-1].startswith("one sample tells nothing")
    assert "| +3.0 | 1/0 | 1 |" in markdown(found)
