"""Whole files and folders."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pet.runs.atomic import (
    SUCCESS,
    folder_problem,
    is_leftover,
    publish_folder,
    remove_leftovers,
    remove_whole,
    write_atomically,
    write_folder,
    write_json,
    write_text,
)


def fill(folder: Path) -> None:
    (folder / "sub").mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"abc")
    (folder / "sub" / "b.txt").write_text("b")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def noted(name: str, calls: list[str]) -> Callable[..., Any]:
    """Return a function of `os` that notes that it was called."""
    real = getattr(os, name)

    def wrapper(*args: Any) -> Any:
        calls.append(name)
        return real(*args)

    return wrapper


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    seen: list[str] = []

    def write(temporary: Path) -> None:
        temporary.write_text("new")
        seen.append(path.read_text())

    write_atomically(path, write)
    assert (seen, path.read_text(), names(tmp_path)) == (["old"], "new", ["x.txt"])


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")

    def write(temporary: Path) -> None:
        temporary.write_text("half")
        raise error

    with pytest.raises(error):
        write_atomically(path, write)
    assert (path.read_text(), names(tmp_path)) == ("old", ["x.txt"])


def test_files_are_flushed_before_they_are_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, noted(name, calls))
    write_text(tmp_path / "x", "x")
    assert calls == ["fsync", "replace", "fsync"]


def test_json_is_strict_and_keeps_any_text(tmp_path: Path) -> None:
    value = {"name": "Zürich \ud800", "n": [1, 2.5, None]}
    write_json(tmp_path / "x.json", value)
    assert json.loads((tmp_path / "x.json").read_bytes()) == value
    assert "Zürich" in (tmp_path / "x.json").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "y.json", float("nan"))
    assert names(tmp_path) == ["x.json"]


def test_a_published_folder_lists_its_files(tmp_path: Path) -> None:
    fill(tmp_path / "temporary")
    publish_folder(tmp_path / "temporary", tmp_path / "final")
    listed = json.loads((tmp_path / "final" / SUCCESS).read_text())
    assert {name: entry["size"] for name, entry in listed.items()} == {"a.bin": 3, "sub/b.txt": 1}
    assert folder_problem(tmp_path / "final") is None
    assert names(tmp_path) == ["final"]


def test_everything_in_a_folder_is_flushed_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "temporary")
    calls: list[str] = []
    for name in ("fsync", "rename"):
        monkeypatch.setattr(os, name, noted(name, calls))
    publish_folder(tmp_path / "temporary", tmp_path / "final")
    # Two files, _SUCCESS, two folders; no earlier folder to set aside; the parent folder last.
    assert calls == ["fsync"] * 5 + ["rename", "rename", "fsync"]


@pytest.mark.parametrize("complete", [True, False])
def test_publishing_replaces_what_was_there(tmp_path: Path, complete: bool) -> None:
    final = tmp_path / "final"
    final.mkdir()
    (final / "old").write_text("old")
    if complete:
        (final / SUCCESS).write_text("{}")
    write_folder(final, fill)
    assert names(final) == [SUCCESS, "a.bin", "sub"]
    assert names(tmp_path) == ["final"]


def test_owner_only_files_get_the_usual_permissions(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        (folder / "a.bin").write_bytes(b"abc")
        (folder / "a.bin").chmod(0o600)

    (tmp_path / "usual").write_text("")
    write_folder(tmp_path / "final", write)
    assert (tmp_path / "final" / "a.bin").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize(
    ("name", "damage", "problem"),
    [
        ("a.bin", None, "a.bin is missing"),
        ("a.bin", b"ab", "a.bin has 2 bytes instead of 3"),
        ("a.bin", b"abX", "a.bin has another content than was written"),
        (SUCCESS, None, "_SUCCESS is missing"),
        (SUCCESS, b'{"a.bin": ', "_SUCCESS cannot be read"),
        (SUCCESS, b'{"a.bin": 3}', "_SUCCESS cannot be read"),
        (SUCCESS, b"[1]", "_SUCCESS cannot be read"),
    ],
)
def test_damage_is_found(tmp_path: Path, name: str, damage: bytes | None, problem: str) -> None:
    final = tmp_path / "final"
    write_folder(final, fill)
    (final / name).unlink() if damage is None else (final / name).write_bytes(damage)
    assert folder_problem(final) == problem


def test_only_our_own_leftovers_are_removed(tmp_path: Path) -> None:
    fill(tmp_path / ".tmp-0123456789abcdef-99")
    for name in (".tmp-x.json-99-0a1b2c3d", ".tmp-notes", "x", ".tmp-x-99-backup"):
        (tmp_path / name).write_text("")
    remove_leftovers(tmp_path)
    remove_leftovers(tmp_path / "not there")
    assert names(tmp_path) == [".tmp-notes", ".tmp-x-99-backup", "x"]
    assert not is_leftover("config.toml")


def test_a_link_is_removed_and_not_what_it_points_to(tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    remove_whole(tmp_path / "link")
    remove_whole(tmp_path / "not there")
    assert names(tmp_path) == ["elsewhere"]
    assert names(tmp_path / "elsewhere") == ["a.bin", "sub"]


def test_a_folder_that_another_process_has_just_published_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two machines may do one job, where one was taken for dead."""
    final, rename = tmp_path / "final", os.rename

    def too_late(source: Path, target: Path) -> None:
        if target == final and not final.exists():
            shutil.copytree(source, final)
        rename(source, target)

    monkeypatch.setattr(os, "rename", too_late)
    write_folder(final, lambda folder: write_text(folder / "a", "a"))
    assert folder_problem(final) is None
    assert [path.name for path in tmp_path.iterdir()] == ["final"]
