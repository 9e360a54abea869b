"""Axes as a person writes them, and the cells that they span."""

from typing import Any

import pytest

from pet.ablation.grid import Axis, Grid, axes_of
from pet.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("ensemble.calibration=none,batch", ("none", "batch")),
        ("ensemble.calibration = none , batch", ("none", "batch")),
        ('ensemble.calibration="none","batch"', ("none", "batch")),
        ("train.steps=20,40,80", (20, 40, 80)),
        ("train.learning_rate=1e-4,0.001", (1e-4, 0.001)),
        ("ipet.subset=true,false", (True, False)),
        ('ipet.generations=1,"auto"', (1, "auto")),
        ('prompts.patterns=["a/*"],["b/x", "b/y"]', (["a/*"], ["b/x", "b/y"])),
        ("ensemble.prior=none,{yes = 0.3, no = 0.7}", ("none", {"yes": 0.3, "no": 0.7})),
        ("task.descriptions.spam='ads, lures',\"a=b, c\"", ("ads, lures", "a=b, c")),
    ],
)
def test_values_are_toml_or_plain_words_and_commas_within_them_stay(text: str, values: tuple[Any, ...]) -> None:
    axis = Axis.from_text(text)
    assert axis.values == values
    assert axis.name == text.partition("=")[0].strip()


def test_a_key_may_be_quoted() -> None:
    axis = Axis.from_text('task.descriptions."v1.0 = x"=first,second')
    assert axis.keys == ("task", "descriptions", "v1.0 = x")
    assert axis.values == ("first", "second")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("calibration=none,batch", "'calibration' is not of the form section.key=value,value"),
        ("ensemble.calibration", "is not of the form section.key=value,value"),
        ("ensemble.calibration=", "is not of the form"),
        ("ensemble.calibration=none,", "is not of the form"),
        ("ensemble.calibration=none,,batch", "is not of the form"),
        (".calibration=none,batch", "is not of the form"),
        ("ensemble.calibration=none", "has one value, none: give two or more"),
        ('prompts.patterns=["a/*", "b/*"]', 'has one value, ["a/*", "b/*"]'),
        ("train.steps=20,40,20", "has a value twice: 20, 40, 20"),
        ("run.seed=1,2", "the samples are drawn by it: use --samples"),
        ("run.workers=1,2", "it changes no label"),
    ],
)
def test_an_axis_that_is_none_is_refused_in_a_sentence(text: str, part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Axis.from_text(text)
    assert part in str(caught.value)


def test_two_axes_of_one_setting_are_refused_and_so_is_none() -> None:
    with pytest.raises(ConfigError, match=r"--axis train\.steps is there twice"):
        axes_of(["train.steps=1,2", "train.steps=3,4"])
    with pytest.raises(ConfigError, match="nothing to compare"):
        Grid.of({})


def test_the_cells_are_all_combinations_the_first_values_first() -> None:
    grid = Grid.of(axes_of(["ensemble.calibration=none,batch", "ensemble.mean=raw,calibrated", "train.steps=1,2"]))
    assert len(grid.cells) == 8
    assert [cell.number for cell in grid.cells] == list(range(8))
    assert str(grid.cells[0]) == "ensemble.calibration=none, ensemble.mean=raw, train.steps=1"
    assert grid.cells[1].changes == {"ensemble": {"calibration": "none", "mean": "raw"}, "train": {"steps": 2}}
    assert grid.cells[7].changes == {"ensemble": {"calibration": "batch", "mean": "calibrated"}, "train": {"steps": 2}}
    assert grid.as_json() == {
        "ensemble.calibration": ["none", "batch"],
        "ensemble.mean": ["raw", "calibrated"],
        "train.steps": [1, 2],
    }
