"""The wheel holds everything that a run needs, under one package."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from pet.library import BUILTIN, BUNDLED_MODELS, pipeline_files

ROOT = Path(__file__).parent.parent
FOLDERS = ("patterns", "verbalizers", "pipelines", "data")
in_checkout = pytest.mark.skipif(not (ROOT / "pet").is_dir(), reason="the sources are out of reach")


def test_the_four_folders_are_found_where_the_package_is() -> None:
    assert all((BUILTIN / name).is_dir() for name in FOLDERS)
    assert (BUNDLED_MODELS / "pet-mini" / "model.safetensors").stat().st_size > 30_000_000
    assert (BUNDLED_MODELS / "e5-small" / "packed.safetensors").stat().st_size > 60_000_000
    assert "quickstart" in pipeline_files()


def test_the_bundled_data_has_the_promised_rows_and_no_label_in_the_pool() -> None:
    folder = BUILTIN / "data" / "quickstart"
    counts = {
        name: len((folder / f"{name}.jsonl").read_text("utf-8").splitlines()) for name in ("train", "unlabeled", "test")
    }
    assert counts == {"train": 50, "unlabeled": 700, "test": 200}
    assert '"label"' not in (folder / "unlabeled.jsonl").read_text("utf-8")


@in_checkout
def test_no_ignore_rule_empties_the_wheel() -> None:
    # hatchling obeys .gitignore: a line such as `data/` would leave the folder out without a word.
    lines = (ROOT / ".gitignore").read_text("utf-8").split()
    assert not {line.strip("/*") for line in lines} & {*FOLDERS, "pet"}


@in_checkout
def test_dependencies_have_lower_bounds_only_and_the_constraints_pin_each() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    }
    for dependency in project["dependencies"]:
        name = dependency.split(">=")[0]
        assert ">=" in dependency and "==" not in dependency
        assert name in pinned


@in_checkout
@pytest.mark.slow
def test_the_wheel_holds_the_package_and_its_folders_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)],
        check=True,
    )
    (wheel,) = tmp_path.glob("pet_labeling-*.whl")
    assert wheel.stat().st_size < 110_000_000  # 97 million when e5-small was added
    names = zipfile.ZipFile(wheel).namelist()
    for path in [path for name in FOLDERS for path in (ROOT / name).rglob("*") if path.is_file()]:
        assert f"pet/_builtin/{path.relative_to(ROOT).as_posix()}" in names
    sources = [path for path in (ROOT / "pet").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert {path.relative_to(ROOT).as_posix() for path in sources} <= set(names)
    assert {name.split("/")[0] for name in names} == {"pet", wheel.name.rsplit("-py3", 1)[0] + ".dist-info"}
    assert not [name for name in names if name.endswith(".pyc")]
