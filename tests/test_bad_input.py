"""Everything wrong that can be handed in: one sentence on stderr that says what to try, exit code 2, no traceback."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mistakes import CASES, Toy, command, other_folder
from stand_ins import vote_with
from toy import content, rows_of, write_rows, write_task
from typer.testing import Result

import pet


@pytest.fixture
def toy(tmp_path: Path, tiny_model: Path) -> Toy:
    write_task(tmp_path / "task", tiny_model)
    return Toy(tmp_path / "task", tiny_model)


def assert_refused(result: Result, *parts: str) -> None:
    lines = [line for line in result.stderr.strip().splitlines() if not re.match(r"job \d+ of \d+", line)]
    assert result.exit_code == 2, result.output
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    assert "Traceback" not in result.output
    assert result.stdout == ""
    for part in parts:
        assert part in lines[0]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.mark.parametrize("name", CASES)
def test_each_mistake_is_one_sentence_and_exit_code_2(toy: Toy, name: str) -> None:
    mistake, parts = CASES[name]
    mistake(toy)
    before = content(toy.folder)
    result = toy.run()
    assert_refused(result, *parts)
    # Before anything long starts: nothing was made but, at most, an empty run.
    assert not list((toy.folder / "run").glob("jobs/*"))
    assert {name: data for name, data in content(toy.folder).items() if name in before} == before


@pytest.mark.parametrize("place", ["front", "end"])
def test_debug_shows_where(toy: Toy, place: str) -> None:
    CASES["missing file"][0](toy)
    words = ["label", str(toy.folder / "toy.toml")]
    result = command(*(["--debug", *words] if place == "front" else [*words, "--debug"]))
    assert isinstance(result.exception, pet.PetError)  # Python prints its traceback when the command runs by itself


def test_debug_prints_a_traceback_in_a_shell(tmp_path: Path) -> None:
    code = "from pet.cli import app; app()"
    words = ["label", "none.toml", "--output-dir", str(tmp_path / "run")]
    plain = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert (plain.returncode, plain.stderr.count("\n")) == (2, 1)
    debug = subprocess.run([sys.executable, "-c", code, *words, "--debug"], capture_output=True, text=True, check=False)
    assert debug.returncode != 0
    assert "Traceback" in debug.stderr and "ConfigError: No pipeline 'none.toml'" in debug.stderr


def test_a_mistake_is_mended_and_the_same_command_goes_on(toy: Toy) -> None:
    for name in ("a word of several tokens", "a causal model and a pattern whose mask is first", "missing file"):
        CASES[name][0](toy)
        assert toy.run().exit_code == 2
        write_task(toy.folder, toy.model)
    assert toy.run().exit_code == 0


def test_a_byte_order_mark_is_no_mistake(toy: Toy) -> None:
    path = toy.folder / "train.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert toy.run().exit_code == 0


def test_a_label_without_a_labeled_row_is_a_warning(toy: Toy) -> None:
    toy.rows("train", [row for row in rows_of("train", 4) if row["label"] != "Tech"])
    result = toy.run()
    assert result.exit_code == 0
    assert "labels without a labeled row: 'Tech'" in result.stderr


def test_more_labels_than_labeled_rows_is_a_warning(toy: Toy) -> None:
    toy.rows("train", rows_of("train", 1)[:2])
    result = toy.run(command_name="run")
    assert result.exit_code == 0, result.output
    assert "labels without a labeled row: 'Tech'" in result.stderr


def test_one_labeled_row_of_each_label_is_enough_and_generations_say_what_is_not_measured(toy: Toy) -> None:
    toy.rows("train", rows_of("train", 1))
    assert toy.run(command_name="run").exit_code == 0
    result = toy.run("--set", "ipet.generations=2", "--set", "ipet.growth=2", "--force")
    assert result.exit_code == 0, result.output
    assert "no gold rows are held out, so nothing measures the generations on them" in result.stderr
    assert "8 labeled rows of each label are needed, and 'Sports' has 1" in result.stderr


def test_bad_rows_are_left_out_on_request_and_written_down(toy: Toy) -> None:
    rows = rows_of("unlabeled", 4)
    toy.rows("unlabeled", [*rows, {"id": "bad", "text": None}, {"id": "worse", "text": "a\0b"}])
    assert_refused(toy.run(), "line 13")
    result = toy.run("--on-bad-row", "skip")
    assert result.exit_code == 0
    rejected = toy.folder / "run" / "rejected.jsonl"
    assert "2 of 14 unlabeled rows left out" in result.stderr
    assert str(rejected) in result.stderr
    found = [json.loads(line) for line in rejected.read_text(encoding="utf-8").splitlines()]
    assert [(row["line"], row["row"]["id"]) for row in found] == [(13, "bad"), (14, "worse")]
    assert "no text in the column 'text'" in found[0]["reason"]


def test_signs_of_templates_and_models_in_a_text_are_plain_text(toy: Toy) -> None:
    strange = ["[MASK] [MASK]", "</s> <mask>", "{text} {mask}", "a || b", "{{", "[SEP][CLS]"]
    toy.rows("unlabeled", [{"text": text} for text in strange])
    toy.rows("train", [*rows_of("train", 4), {"text": "[MASK] {mask} ||", "label": "Tech"}])
    assert toy.run(command_name="run").exit_code == 0


def test_another_run_in_the_directory_is_refused_unless_forced(toy: Toy) -> None:
    assert toy.run().exit_code == 0
    before = content(toy.folder / "run")
    assert_refused(toy.run("--set", "run.seed=7"), "holds another run", "run.seed was 42 and is 7", "--force")
    assert content(toy.folder / "run") == before
    assert toy.run("--set", "run.seed=7", "--force").exit_code == 0
    assert content(toy.folder / "run") != before


def test_force_removes_nothing_of_others(toy: Toy) -> None:
    other_folder(toy)
    assert_refused(toy.run("--force"), "--force does not remove files of others")
    assert (toy.folder / "run" / "thesis.txt").read_text() == "years of work"


def test_a_label_that_no_voter_gives_is_refused_and_the_work_done_is_kept(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("--set", "ipet.generations=2", "--set", "ipet.growth=2")
    with monkeypatch.context() as patch:
        vote_with(patch, lambda asked: asked.truth() - 50.0 * np.eye(3)[2])
        result = toy.run(*settings)
    lines = result.stderr.splitlines()
    assert result.exit_code == 2 and result.stdout == ""
    assert lines[-1] == (
        "error: No voter gives the label 'Tech' to any of 36 rows, so nothing can be learned of it: change its words, "
        "add labeled rows of it, or use --accept-all to take the rows that score highest for it."
    )
    assert "Traceback" not in result.output
    jobs = content(toy.folder / "run" / "jobs")
    assert sum(name.endswith("_SUCCESS") for name in jobs) == 2
    # The way out that it names goes on in the same place, from the work that is done.
    assert toy.run(*settings, "--accept-all").exit_code == 0
    assert content(toy.folder / "run" / "jobs").items() > jobs.items()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["rnu", "x"], "No such command 'rnu'"),
        (["run"], "Missing argument 'CONFIG'"),
        (["run", "quickstart", "--ouput-dir", "x"], "No such option: --ouput-dir"),
        (["run", "quickstart", "--on-bad-row", "maybe"], "Invalid value for '--on-bad-row'"),
        (["predict", "model", "input"], "Missing option '--output'"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2(arguments: list[str], part: str) -> None:
    result = command(*arguments)
    assert result.exit_code == 2
    assert part in " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in result.output
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["run", "quickstrat"], "Did you mean quickstart?"),
        (["run", "none.toml"], "No pipeline 'none.toml'"),
        (["label", "quickstart", "--set", "steps=3"], "is not of the form section.key=value"),
        (["label", "quickstart", "--set", "train.stepz=3"], "Did you mean steps?"),
        (["check", "quickstart", "--registry", "nowhere"], "nowhere"),
        (["patterns", "agnews/colum"], "agnews/"),
        (["verbalizers", "agnews/wrds"], "Did you mean agnews/words?"),
        (["pipelines", "quickstrat"], "Did you mean quickstart?"),
        (["distill", "nowhere"], "is no run directory"),
        (["predict", "nowhere", "in.csv", "--output", "out.csv"], "There is no folder nowhere"),
        (["evaluate", "nowhere", "in.csv"], "There is no folder nowhere"),
    ],
)
def test_every_command_says_what_it_did_not_find(
    arguments: list[str], part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_refused(command(*arguments), part)


def test_predict_and_evaluate_say_what_is_wrong_with_their_input(finished: pet.RunResult, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "in.jsonl", [{"txt": "game", "other": 1}])
    out = tmp_path / "out.csv"
    assert_refused(command("predict", finished.directory, rows, "--output", out), "has no column 'text'", "rename")
    assert_refused(command("evaluate", finished.directory, rows), "has no column 'text'", "rename")
    good = write_rows(tmp_path / "good.jsonl", [{"text": "game"}])
    assert_refused(command("predict", finished.directory, good, "--output", tmp_path / "out.odt"), ".csv, .tsv, .jsonl")
    assert_refused(command("predict", finished.directory, good, "--output", tmp_path / "no" / "out.csv"), "cannot be")
    assert_refused(command("evaluate", finished.directory, good), "has no column 'label'", "rename")


@pytest.mark.parametrize("moment", [1, 12, 30])
def test_a_full_disk_tears_nothing_and_the_run_resumes(
    toy: Toy, finished: pet.RunResult, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = moment
    original = os.fsync

    def full(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        result = toy.run(command_name="run")
    assert_refused(result, "disk is full" if "disk is full" in result.stderr else "No space left on device")
    assert not list((toy.folder / "run").rglob(".tmp-*"))
    assert toy.run(command_name="run").exit_code == 0
    labels = (toy.folder / "run" / "pseudo_labels.parquet").read_bytes()
    assert labels == finished.pseudo_labels.read_bytes()
