"""Commands on models of families that cannot do everything, and the page of the docs that tells of all families."""

from pathlib import Path

import pytest
import torch
from families import columns, tried
from mistakes import command
from tiny_families import MODEL_TYPES, save_family
from toy import content, write_task

import pet
from pet.learners.models.sources import quiet_transformers

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "families.md"
FLOAT32 = "does not compute in bfloat16: it computes in float32"
QUICK = ("train.steps=1", "distill.steps=1", "distill.size=same", "run.baseline=false", "run.workers=1")


def task_on(family: str, folder: Path) -> Path:
    return write_task(folder / "task", save_family(family, folder / "model"))


def options(*settings: str) -> list[str]:
    return [part for setting in (*QUICK, *settings) for part in ("--set", setting)]


@pytest.fixture
def bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that multiplies bfloat16."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})


@pytest.mark.parametrize("name", ["check", "label", "plan"])
def test_a_preset_that_does_not_work_is_refused_before_anything_is_trained(tmp_path: Path, name: str) -> None:
    place: list[str | Path] = [] if name == "check" else ["--output-dir", tmp_path / "run"]
    result = command(name, task_on("bart", tmp_path), *place, *options("train.preset=p-tuning"))
    assert result.exit_code == 2, result.output
    (line,) = [line for line in result.output.splitlines() if "does not work on 'bart' models" in line]
    assert line.startswith("must change: " if name == "check" else "error: ")
    assert not list((tmp_path / "run").glob("jobs/*/scores*"))


@pytest.mark.usefixtures("bfloat16")
@pytest.mark.parametrize("precision", ["auto", "bf16"])
def test_a_run_on_a_model_that_fails_in_bfloat16_says_so_and_computes_in_float32(
    tmp_path: Path, precision: str
) -> None:
    pipeline = task_on("deberta", tmp_path)
    result = command("run", pipeline, "--output-dir", tmp_path / "run", *options(f"run.precision={precision}"))
    assert result.exit_code == 0, result.output
    assert result.stderr.count(FLOAT32) == 1
    exact = pet.run(pet.RunConfig.from_toml(pipeline, [*QUICK, "run.precision=fp32"]), tmp_path / "exact", quiet=True)
    found = content(tmp_path / "run")
    assert found["model/model.safetensors"] == content(exact.directory)["model/model.safetensors"]
    assert FLOAT32 in command("check", pipeline, *options(f"run.precision={precision}")).output


@pytest.mark.usefixtures("bfloat16")
def test_so_does_pretraining(tmp_path: Path) -> None:
    model, text = save_family("deberta", tmp_path / "model"), tmp_path / "text.txt"
    text.write_text("\n\n".join("the game was good and the team won the match " * 3 for _ in range(40)))
    result = command(
        *("pretrain", tmp_path / "run", "--from", model, "--text", text, "--steps", "1", "--set", "text.length=32")
    )
    assert result.exit_code == 0, result.output
    assert FLOAT32 in result.stderr


@pytest.mark.skipif(not PAGE.is_file(), reason="the page is out of reach")
def test_the_page_has_every_family_once() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    assert f"| family | {' | '.join(columns())} |" in lines
    named = [line.split()[1].rstrip(":") for line in lines if line.startswith(("| ", "- "))]
    assert sorted(name for name in named if name in MODEL_TYPES) == list(MODEL_TYPES)


@pytest.mark.skipif(not PAGE.is_file(), reason="the page is out of reach")
@pytest.mark.parametrize("family", ["bert", "fnet", "longformer", "ibert"])
def test_the_page_says_what_is_found(tmp_path: Path, family: str) -> None:
    quiet_transformers()
    assert tried(family, tmp_path).line() in PAGE.read_text(encoding="utf-8").splitlines()
