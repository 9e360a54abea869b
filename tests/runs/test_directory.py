"""Run directories: created, resumed, refused, forced."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from pet.errors import ConfigError, RunError
from pet.runs.directory import RESULTS, RunDirectory
from pet.runs.jobs import Job

CONFIG = "[train]\nsteps = 100\n"
IDENTITY = {"config": "c", "data": "d", "model": "m", "code": "v"}


def fill(folder: Path) -> None:
    (folder / "votes.bin").write_bytes(b"123")


def opened(
    root: Path, config: str = CONFIG, identity: Mapping[str, str] = IDENTITY, force: bool = False
) -> RunDirectory:
    """Open and close."""
    with RunDirectory.open(root, config, identity, force) as directory:
        return directory


def with_results(root: Path) -> RunDirectory:
    """Make a run directory with one of everything, and a file of the person."""
    with RunDirectory.open(root, CONFIG, IDENTITY) as directory:
        directory.expect({"a": "0a"})
        directory.store().run(Job("a", "0a"), fill)
    for name in ("model", "generations"):
        (root / name).mkdir()
        (root / name / "file").write_text("x")
    for name in ("pseudo_labels.parquet", "metrics.json", "report.html", "rejected.jsonl", "run.log"):
        (root / name).write_text("x")
    (root / "notes.txt").write_text("mine")
    return directory


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def test_the_places_of_a_run() -> None:
    root = Path("run")
    directory = RunDirectory(root)
    places = (
        directory.config_path,
        directory.manifest_path,
        directory.log_path,
        directory.jobs,
        directory.pseudo_labels,
        directory.model,
        directory.metrics_path,
        directory.rejected_path,
    )
    assert [path.relative_to(root).as_posix() for path in places] == [
        "config.toml",
        "manifest.json",
        "run.log",
        "jobs",
        "pseudo_labels.parquet",
        "model",
        "metrics.json",
        "rejected.jsonl",
    ]
    assert {path.name for path in places} <= set(RESULTS)


def test_a_new_directory_records_what_it_is_made_from(tmp_path: Path) -> None:
    directory = opened(tmp_path / "a" / "b")
    assert names(directory.root) == [".lock", "config.toml", "jobs", "manifest.json"]
    manifest = json.loads(directory.manifest_path.read_text())
    assert manifest == {"format": "pet-run", "format_version": 1, "identity": IDENTITY, "jobs": {}, "written": {}}
    assert directory.config_path.read_text() == CONFIG


@pytest.mark.parametrize("force", [False, True])
def test_the_same_run_is_resumed(tmp_path: Path, force: bool) -> None:
    root = tmp_path / "run"
    with_results(root)
    before = names(root)
    with RunDirectory.open(root, CONFIG, IDENTITY, force) as directory:
        assert directory.missing() == []
        assert directory.store().done(Job("a", "0a"))
    assert names(root) == before


def test_expected_jobs_are_missing_until_they_are_done(tmp_path: Path) -> None:
    with RunDirectory.open(tmp_path, CONFIG, IDENTITY) as directory:
        directory.expect({"a": "0a", "b": "0b"})
        directory.expect({"b": "0c", "c": "0d"})
        assert directory.missing() == ["a", "b", "c"]
        directory.store().run(Job("b", "0c"), fill)
        assert directory.missing() == ["a", "c"]
    directory = opened(tmp_path)
    assert directory.missing() == ["a", "c"]
    (directory.jobs / "0c" / "votes.bin").write_bytes(b"124")
    assert directory.missing() == ["a", "b", "c"]
    directory.manifest_path.unlink()
    with pytest.raises(RunError, match="is gone or damaged"):
        directory.missing()


@pytest.mark.parametrize(
    ("config", "changed", "said"),
    [
        ("[train]\nsteps = 50\n", {"config": "x"}, "train.steps was 100 and is 50"),
        (CONFIG, {"data": "x"}, "the data files have changed"),
        (CONFIG, {"model": "x"}, "the model has changed"),
        (CONFIG, {"code": "x"}, "it was made by another version of pet"),
    ],
)
def test_another_run_is_refused_and_left_alone(tmp_path: Path, config: str, changed: dict[str, str], said: str) -> None:
    root = tmp_path / "run"
    with_results(root)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError) as caught:
        opened(root, config, {**IDENTITY, **changed})
    assert str(caught.value) == (
        f"{root} holds another run ({said}): choose another --output-dir, or add --force to delete its results, "
        "pseudo_labels.parquet with what was changed in it by hand among them, and start anew. "
        "(`pet distill` and `pet explain` read it as it is.)"
    )
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_labels_that_nobody_has_changed_are_not_said_to_be_lost(tmp_path: Path) -> None:
    with_results(tmp_path / "run").labels_written()
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path / "run", CONFIG, {**IDENTITY, "data": "x"})
    assert str(caught.value).endswith("and start anew. (`pet distill` and `pet explain` read it as it is.)")
    assert "by hand" not in str(caught.value)
    (tmp_path / "run" / "pseudo_labels.parquet").unlink()
    with pytest.raises(ConfigError, match=r"and start anew\.$"):
        opened(tmp_path / "run", CONFIG, {**IDENTITY, "data": "x"})


def test_force_removes_the_results_and_nothing_else(tmp_path: Path) -> None:
    root = tmp_path / "run"
    with_results(root)
    other = {**IDENTITY, "config": "x"}
    directory = opened(root, "[train]\nsteps = 50\n", other, force=True)
    assert names(root) == [".lock", "config.toml", "jobs", "manifest.json", "notes.txt"]
    assert list(directory.jobs.iterdir()) == []
    assert directory.config_path.read_text() == "[train]\nsteps = 50\n"
    assert json.loads(directory.manifest_path.read_text())["identity"] == other
    assert directory.missing() == []


def test_force_does_not_follow_links(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "weights").write_text("precious")
    opened(tmp_path / "run")
    (tmp_path / "run" / "model").symlink_to(elsewhere)
    opened(tmp_path / "run", CONFIG, {**IDENTITY, "data": "x"}, force=True)
    assert (elsewhere / "weights").read_text() == "precious"
    assert not (tmp_path / "run" / "model").is_symlink()


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    "files",
    [
        {"thesis.txt": "x"},
        {"config.toml": "[mine]"},
        {"model": "x", "config.toml": CONFIG},
        {"manifest.json": '{"name": "a web page"}'},
        {".tmp-notes": "x"},
        {".lock": "", "run.log": "x"},
    ],
)
def test_a_folder_of_other_things_is_refused_also_with_force(
    tmp_path: Path, files: dict[str, str], force: bool
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match="is not empty and holds no run of pet") as caught:
        opened(tmp_path, force=force)
    assert caught.value.exit_code == 2
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == files


@pytest.mark.parametrize(
    "leftovers",
    [
        [],
        [".lock", ".lock-owner.json"],
        [".lock", ".tmp-manifest.json-99-0a1b2c3d"],
        [".lock", ".tmp-.lock-owner.json-99-0a1b2c3d"],
        [".lock", "config.toml"],
        [".DS_Store", ".gitignore", ".gitkeep"],
    ],
)
def test_a_folder_with_the_beginnings_of_a_run_counts_as_empty(tmp_path: Path, leftovers: list[str]) -> None:
    for name in leftovers:
        (tmp_path / name).write_text(CONFIG)
    directory = opened(tmp_path)
    assert directory.manifest_path.is_file() and directory.config_path.read_text() == CONFIG
    assert not list(tmp_path.glob(".tmp-*"))


def test_leftovers_of_dead_runs_are_removed(tmp_path: Path) -> None:
    directory = opened(tmp_path)
    for folder in (tmp_path / ".tmp-model-99", directory.jobs / ".tmp-0123456789abcdef-99"):
        folder.mkdir()
        (folder / "half").write_text("x")
    opened(tmp_path)
    assert not list(tmp_path.rglob(".tmp-*"))


def test_the_settings_are_written_again_when_they_are_lost_or_edited(tmp_path: Path) -> None:
    directory = opened(tmp_path)
    directory.config_path.unlink()
    assert opened(tmp_path).config_path.read_text() == CONFIG
    directory.config_path.write_bytes(b"\xff\xfe edited")
    assert opened(tmp_path).config_path.read_text() == CONFIG


def test_a_root_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match=r"cannot be created .it is a file, or lies below one"):
            opened(root)
    with pytest.raises(ConfigError, match="cannot be created"):
        opened(tmp_path / ("x" * 300))


def test_the_lock_is_held_only_while_open(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), RunDirectory.open(tmp_path, CONFIG, IDENTITY):
        raise ZeroDivisionError
    opened(tmp_path)
