"""Which labels of new texts to accept: by a wished precision, or by their confidence."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from toy import rows_of, write_rows
from typer.testing import CliRunner, Result

import pet
from pet.cli import app
from pet.errors import ModelError, UsageError
from pet.labeling.acceptance import AcceptanceCurve, AcceptancePoint

TEXTS = [str(row["text"]) for row in rows_of("test", 4)]


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def middle(model: Path) -> float:
    """A confidence that some of the texts have and others have not."""
    return sorted(one.confidence for one in pet.predict(model, TEXTS))[6]


@pytest.fixture(scope="module")
def model(finished: pet.RunResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier whose curve says: half of the rows at a precision of 0.9, all at 0.6."""
    assert finished.model is not None
    folder = Path(shutil.copytree(finished.model, tmp_path_factory.mktemp("accepting") / "model"))
    points = AcceptancePoint(middle(folder), 0.9, 0.5), AcceptancePoint(0.0, 0.6, 1.0)
    config = json.loads((folder / "config.json").read_text())
    config["pet"]["acceptance"] = AcceptanceCurve(points).rows()
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_texts_from_python(model: Path) -> None:
    at = middle(model)
    for found in (pet.predict(model, TEXTS, min_precision=0.8), pet.predict(model, TEXTS, abstain=at)):
        assert [one.accept for one in found] == [one.confidence >= at for one in found]
        assert {one.accept for one in found} == {True, False}
    assert all(one.accept for one in pet.predict(model, TEXTS, min_precision=0.5))
    assert {one.accept for one in pet.predict(model, TEXTS)} == {None}


def test_a_file_has_a_column_that_says_it(model: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "in.jsonl", [{"text": text, "accept": "mine"} for text in TEXTS])
    for flag, wish in (("--min-precision", 0.85), ("--abstain", middle(model))):
        output = tmp_path / f"out{flag}.csv"
        result = command("predict", model, rows, "--output", output, flag, wish)
        assert result.exit_code == 0, result.output
        assert result.stderr.splitlines()[-1] == "6 rows to accept, 6 to review"
        with output.open(newline="") as file:
            found = list(csv.DictReader(file))
        assert [row["pet_accept"] for row in found].count("true") == 6
        assert {row["pet_accept"] for row in found} == {"true", "false"}
        assert list(found[0])[-6:-3] == ["label", "confidence", "pet_accept"] and found[0]["accept"] == "mine"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--min-precision", 0.95), "reaches the precision 0.95, expected at most 0.900 (for 50% of the rows)"),
        (("--min-precision", 0.9, "--abstain", 0.7), "expected one: choose"),
        (("--min-precision", 95), "The minimal precision is 95, expected a share from 0 to 1"),
        (("--abstain", -1), "The confidence to abstain below is -1, expected a share from 0 to 1"),
    ],
)
def test_a_wish_that_cannot_be_met_is_one_sentence(
    model: Path, tmp_path: Path, flags: tuple[object, ...], said: str
) -> None:
    rows = write_rows(tmp_path / "in.jsonl", rows_of("test", 4))
    result = command("predict", model, rows, "--output", tmp_path / "out.csv", *flags)
    assert result.exit_code == 2 and said in result.stderr and result.stderr.count("\n") == 1
    assert not (tmp_path / "out.csv").exists()


def test_a_classifier_without_a_curve_says_so(finished: pet.RunResult) -> None:
    assert finished.model is not None
    with pytest.raises(ModelError, match="does not say how precise it is"):
        pet.predict(finished.model, TEXTS, min_precision=0.5)
    with pytest.raises(UsageError, match="expected one: choose"):
        pet.predict(finished.model, TEXTS, min_precision=0.5, abstain=0.5)
    assert pet.predict(finished.model, TEXTS, abstain=0.0)[0].accept is True
