"""`pet ablate`: what goes where, and every mistake as one sentence with exit code 2, before anything is trained."""

import json
from pathlib import Path

import pytest
from mistakes import Toy
from toy import rows_of, write_task
from typer.testing import Result

CALIBRATION = ("--axis", "ensemble.calibration=none,batch")
QUICK = ("--set", "train.steps=1", "--set", "distill.steps=1", "--set", "run.baseline=false")


@pytest.fixture
def toy(tmp_path: Path, tiny_model: Path) -> Toy:
    write_task(tmp_path / "task", tiny_model, train=6)
    toy = Toy(tmp_path / "task", tiny_model)
    toy.settings("[prompts]", "examples_per_label = 4\n[prompts]")
    return toy


def refused(toy: Toy, result: Result) -> str:
    """Return the one line that a mistake is answered with; nothing was trained."""
    (line,) = result.stderr.strip().splitlines()
    assert result.exit_code == 2, result.output
    assert line.startswith("error: ") and "Traceback" not in result.output
    assert result.stdout == ""
    assert not list(toy.folder.glob("**/jobs/*"))
    return line


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (("--axis", "ensemble.calibratoin=none,batch"), ("--axis: unknown key 'calibratoin'", "Did you mean calib")),
        (("--axis", "ensembl.calibration=none,batch"), ("--axis: unknown section [ensembl]", "Did you mean ensemble?")),
        (("--axis", "calibration=none,batch"), ("is not of the form section.key=value,value",)),
        (("--axis", "ensemble.calibration=none"), ("has one value, none: give two or more",)),
        (("--axis", "ensemble.calibration=none,btch"), ("--axis: ensemble.calibration: input should be", "'btch'")),
        ((*CALIBRATION, "--axis", "train.steps=4,-1"), ("--axis: train.steps", "found -1")),
        ((*CALIBRATION, *CALIBRATION), ("is there twice",)),
        (("--axis", 'ensemble.prior="none",{Sports = 0.5, Biz = 0.5}'), ("Biz",)),
        (("--axis", "run.seed=1,2"), ("the samples are drawn by it: use --samples",)),
        (("--axis", "data.max_test=3,4"), ("changes the test rows",)),
        (("--axis", "data.train=task/train.jsonl,task/other.jsonl"), ("changes which labeled rows are drawn",)),
        (("--axis", "model.name=pet-mini,nowhere/none"), ("nowhere/none",)),
        ((*CALIBRATION, "--set", "data.test="), ("compares accuracy on test rows: name their file in [data] test",)),
        ((*CALIBRATION, "--samples", "0"), ("--samples 0: expected a whole number from 1 on",)),
        (
            (*CALIBRATION, "--set", "data.examples_per_label=6"),
            ("do not give 5 samples of 6 per label: seeds 42 and 43 draw the same", "lower data.examples_per_label"),
        ),
        (
            ("--axis", "data.examples_per_label=2,6", "--samples", "2"),
            ("do not give 2 samples of 6 per label", "--samples"),
        ),
        ((*CALIBRATION, "--set", "data.train="), ("Without labeled rows there are no 5 samples",)),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    toy: Toy, options: tuple[str, ...], parts: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(toy.folder.parent)
    toy.rows("other", rows_of("train", 6, seed=1))
    line = refused(toy, toy.run(*options, command_name="ablate"))
    assert all(part in line for part in parts), line


def test_samples_of_rows_that_are_not_drawn_are_refused_but_one(toy: Toy) -> None:
    toy.settings("examples_per_label = 4\n", "")
    line = refused(toy, toy.run(*CALIBRATION, command_name="ablate"))
    assert "no 5 samples of them: set data.examples_per_label" in line
    result = toy.run(*CALIBRATION, *QUICK, "--samples", "1", command_name="ablate")
    assert result.exit_code == 0, result.output
    assert "one sample tells nothing of what other labeled rows would do" in result.stdout


def test_a_folder_of_other_things_or_of_a_run_is_refused(toy: Toy) -> None:
    (toy.folder / "run").mkdir()
    (toy.folder / "run" / "thesis.txt").write_text("years of work")
    for options in (CALIBRATION, (*CALIBRATION, "--force")):
        line = refused(toy, toy.run(*options, command_name="ablate"))
        assert "is not empty and holds no ablation of pet (it has 'thesis.txt')" in line
    assert (toy.folder / "run" / "thesis.txt").read_text() == "years of work"


def test_another_grid_or_other_settings_in_the_folder_are_refused_and_the_same_is_gone_on_with(toy: Toy) -> None:
    options = (*QUICK, "--samples", "1")
    first = toy.run(*CALIBRATION, *options, command_name="ablate")
    assert first.exit_code == 0, first.output
    table = first.stdout.splitlines()
    assert table[0].split()[:3] == ["calibration", "classifier", "difference"]
    assert [line.split()[0] for line in table[1:3]] == ["none", "batch"]
    assert f"every figure           {toy.folder / 'run' / 'ablation.json'}" in table
    assert [line.partition(":")[0] for line in first.stderr.splitlines()] == [
        f"sample 1 of 1, cell {number} of 2 (ensemble.calibration={value})"
        for number, value in ((1, "none"), (2, "batch"))
    ]
    assert "\x1b" not in first.stdout + first.stderr
    figures = (toy.folder / "run" / "ablation.json").read_text("utf-8")
    for others, part in (
        (("--axis", "ensemble.calibration=batch,none"), "its axes are ensemble.calibration=none,batch, not ensemble.c"),
        ((*CALIBRATION, "--axis", "train.steps=1,2"), "not ensemble.calibration=none,batch and train.steps=1,2"),
        ((*CALIBRATION, "--set", "ensemble.mean=calibrated"), 'ensemble.mean was "raw" and is "calibrated"'),
    ):
        result = toy.run(*options, *others, command_name="ablate")
        assert (result.exit_code, result.stdout) == (2, "")
        (line,) = result.stderr.splitlines()
        assert "holds another ablation" in line and part in line and "--force" in line
        assert (toy.folder / "run" / "ablation.json").read_text("utf-8") == figures
    again = toy.run(*CALIBRATION, *options, command_name="ablate")
    assert (again.exit_code, again.stdout, again.stderr) == (0, first.stdout, "")
    # The data have changed: each run says so itself.
    toy.rows("unlabeled", rows_of("unlabeled", 5, seed=3))
    changed = toy.run(*CALIBRATION, *options, command_name="ablate")
    assert changed.exit_code == 2 and "holds another run (the data files have changed)" in changed.stderr
    assert toy.run(*CALIBRATION, *options, "--force", command_name="ablate").exit_code == 0


def test_values_of_an_axis_are_shown_as_they_are(toy: Toy) -> None:
    axis = 'prompts.patterns=["toy/colon"],["toy/category", "toy/colon"]'
    result = toy.run("--axis", axis, *QUICK, "--samples", "1", command_name="ablate")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[1].startswith('["toy/colon"] ') and lines[2].startswith('["toy/category", "toy/colon"] ')
    found = json.loads((toy.folder / "run" / "ablation.json").read_text("utf-8"))
    assert found["axes"] == {"prompts.patterns": [["toy/colon"], ["toy/category", "toy/colon"]]}
    markdown = (toy.folder / "run" / "ablation.md").read_text("utf-8")
    assert '| ["toy/category", "toy/colon"] |' in markdown
