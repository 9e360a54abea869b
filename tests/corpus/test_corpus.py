"""What every command does with the files of the corpus: as its table says, and never by an error of Python's own."""

import gzip
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from corpus.awkward import Awkward, corpus
from mistakes import command
from tiny import save_tiny
from toy import PATTERNS
from typer.testing import Result

import pet
from pet.data.readers import ReadOptions, read_examples
from pet.data.source import parse_source
from pet.errors import DataError, visible
from pet.pretraining.text import documents

SETTINGS = """
[task]
name = "corpus"
[data]
unlabeled = "POOL"
[prompts]
patterns = ["toy/colon"]
registry = ["REGISTRY"]
multi_token = true
[model]
name = "MODEL"
max_length = 24
[encoder]
name = "none"
[ensemble]
calibration = "none"
[train]
steps = 1
batch_size = 4
[distill]
size = "logistic"
batch_size = 4
[run]
device = "cpu"
precision = "fp32"
workers = 1
baseline = false
"""
POOL = ("a game of my team", "shares and profit rise", "the robot and its code", "a goal, a score", "rates of a bank")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few steps, of a tiny model that knows any text, without its labeled rows."""
    folder = tmp_path_factory.mktemp("corpus")
    model = save_tiny("roberta", folder / "model")
    (folder / "registry" / "patterns").mkdir(parents=True)
    (folder / "registry" / "patterns" / "toy.toml").write_text(PATTERNS, encoding="utf-8")
    pool = folder / "pool.txt"  # whatever the column of the texts is called
    pool.write_text("\n".join(POOL), encoding="utf-8")
    places = {"POOL": pool, "REGISTRY": folder / "registry", "MODEL": model}
    text = SETTINGS
    for name, place in places.items():
        text = text.replace(name, place.as_posix())
    (folder / "corpus.toml").write_text(text, encoding="utf-8")
    return folder / "corpus.toml"


def assert_outcome(result: Result, refused: tuple[str, ...]) -> None:
    """Check that a command has ended well, or with one sentence that has the words."""
    assert "(unexpected" not in result.output and "Traceback" not in result.output
    if not refused:
        assert result.exit_code == 0, result.output
        return
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: ")
    for word in refused:
        assert word in line


@pytest.mark.parametrize("name", corpus())
def test_every_command_does_what_the_table_says(
    name: str, pipeline: Path, finished: pet.RunResult, tmp_path: Path
) -> None:
    case = corpus()[name]
    source = tmp_path / case.file
    source.write_bytes(case.content)
    changes = [word for change in (f"data.train={source}", *case.sets) for word in ("--set", change)]
    check = command("check", pipeline, *changes)
    assert_outcome(check, case.refused)
    run = command("run", pipeline, *changes, "--output-dir", tmp_path / "run")
    assert_outcome(run, case.refused)
    assert not (case.refused and (tmp_path / "run" / "jobs").exists())  # it is told before anything trains
    if not case.refused:
        counts = ", ".join(f"{label!r} {count}".replace("\\\\", "\\") for label, count in case.labels.items())
        assert f"{sum(case.labels.values())} labeled ({counts})" in check.stdout
        for word in case.told:
            assert word in check.stdout and word in run.stderr
    model = finished.directory if case.refused else tmp_path / "run"
    predict = command("predict", model, source, "--output", tmp_path / "out.parquet")
    assert_outcome(predict, () if case.predicted else case.refused[:1])
    evaluate = command("evaluate", model, source)
    assert_outcome(evaluate, () if evaluate.exit_code == 0 else ("",))
    assert evaluate.exit_code == 0 or case.refused
    if case.predicted:
        assert f"{case.predicted} rows labeled in {visible(str(tmp_path))}" in predict.stderr


@pytest.mark.parametrize("name", corpus())
def test_a_file_that_is_packed_says_the_same(name: str, tmp_path: Path) -> None:
    case = corpus()[name]
    assert read(case, tmp_path / "plain") == read(packed(case), tmp_path / "packed")


def packed(case: Awkward) -> Awkward:
    """Return a file as .gz; one that is or seems to be packed stays as it is."""
    if case.file.endswith(".gz") or case.content[:2] == b"\x1f\x8b":
        return case
    return replace(case, file=f"{case.file}.gz", content=gzip.compress(case.content))


def read(case: Awkward, folder: Path) -> object:
    """Return the labels of a file, or the sentence that refuses it, without the name of the file."""
    folder.mkdir()
    (folder / case.file).write_bytes(case.content)
    with suppress(DataError):
        assert all(documents(str(folder / case.file)))  # as text to train a model on
    options = ReadOptions("train", label_column=next((s.split("=")[1] for s in case.sets if "label_" in s), "label"))
    try:
        found = read_examples(parse_source(str(folder / case.file)), options)
    except DataError as error:
        return str(error).replace(str(folder), "").replace(".gz", "")
    return Counter(row.label for row in found.examples)
