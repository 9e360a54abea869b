"""`manifest.json`: what a run directory was made from, and which jobs it must hold in the end."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pet.runs.atomic import write_json

ADDITIONS = (
    "run.keep_models",
    "run.executor",
    "run.address",
    "run.workers",
    "run.gpus_per_voter",
    "run.report_to",
    "ipet.accept_all",
    "votes",
    "data.reviewed",
)
"""Settings that may be changed while a run is under way: no job is named by them.

What people have labeled meanwhile is part of the rows that jobs are named by, where they depend on it.
Unless `run.threads` says how many a voter has, with other workers it has other threads, and sums are rounded otherwise:
the last bits of what is computed from then on may differ.
"""

VECTORS = "vectors/"
"""How a job is called here, with the encoder behind it, that has the vectors of the pool as it is now."""

FORMAT_VERSION = 1
"""Counts the changes to the layout of run directories."""

_FORMAT = "pet-run"
_CHANGED = {
    "config": "a pattern, its words or an encoder has changed",
    "data": "the data files have changed",
    "model": "the model has changed",
    "code": "it was made by another version of pet",
}
_SETTINGS = "the settings have changed"
_DRAWN_BY = ("data.", "task.", "prompts.verbalizer", "run.seed")
"""Settings that decide which rows are drawn of the same files, and which labels they have."""


@dataclass(frozen=True)
class Manifest:
    """`identity`: a digest each of config, data, model and code. `jobs`: every expected job, name -> key.

    `written`: the digest of a result that a person may change, as it was written, by its name. `rows`: the digest of
    the data with what people have labeled since, where they have.
    """

    identity: Mapping[str, str]
    jobs: Mapping[str, str] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION
    written: Mapping[str, str] = field(default_factory=dict)
    rows: str = ""

    @property
    def data(self) -> str:
        """The digest of the data that the labels rest on."""
        return self.rows or self.identity.get("data", "")

    @classmethod
    def from_file(cls, path: Path) -> "Manifest | None":
        """Read a manifest; None where there is none, or where the file is something else of the same name."""
        try:
            content = json.loads(path.read_bytes())
            if content["format"] != _FORMAT:
                return None
            version, written = int(content["format_version"]), dict(content.get("written", {}))
            rows = str(content.get("rows", ""))
            return cls(dict(content["identity"]), dict(content["jobs"]), version, written, rows)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Write the manifest as a whole.

        Raises `RunError` if the disk is full or may not be written.
        """
        parts = {"identity": dict(self.identity), "jobs": dict(self.jobs), "written": dict(self.written)}
        more = {"rows": self.rows} if self.rows else {}
        write_json(path, {"format": _FORMAT, "format_version": self.format_version, **parts, **more})

    def changes(self, identity: Mapping[str, str], settings: Mapping[str, str] | None) -> list[str]:
        """Return in words how another identity differs; `settings` are the changed ones (see `changed_settings`).

        That the data files have changed is said only where nothing else decides that other rows are read or drawn.
        """
        known = [name for name in _CHANGED if name in self.identity or name in identity]
        others = sorted((set(self.identity) | set(identity)) - set(known))
        changed = [name for name in known + others if self.identity.get(name) != identity.get(name)]
        drawn_anew = any(name.startswith(_DRAWN_BY) for name in settings or ())
        if "data" in changed and len(changed) > 1 and ("code" in changed or drawn_anew):
            changed.remove("data")
        named = _SETTINGS if settings is None else _in_words(settings) or _CHANGED["config"]
        texts = {**_CHANGED, "config": named}
        found = [texts.get(name, f"the {name} has changed") for name in changed]
        if self.format_version != FORMAT_VERSION and "code" not in changed:
            found.append(_CHANGED["code"])
        return found


def changed_settings(before: str, after: str) -> dict[str, str] | None:
    r"""Return the settings in which two TOML texts differ, each with both values in words; None if one is no TOML.

    >>> changed_settings("[train]\nsteps = 100", "[train]\nsteps = 50")
    {'train.steps': 'train.steps was 100 and is 50'}
    """
    try:
        found = [one for one in setting_differences(before, after) if one[0] not in ADDITIONS]
    except tomllib.TOMLDecodeError:
        return None
    return {name: f"{name} was {_shown(old)} and is {_shown(new)}" for name, old, new in found}


def setting_changes(before: str, after: str) -> str | None:
    r"""Name the first settings in which two TOML texts differ, with both values; None where none does.

    >>> setting_changes("[train]\nsteps = 100", "[train]\nsteps = 50")
    'train.steps was 100 and is 50'
    """
    return _in_words(changed_settings(before, after) or {}) or None


def _in_words(changed: Mapping[str, str]) -> str:
    shown = list(changed.values())[:3]
    return ", ".join([*shown, *([f"{len(changed) - 3} more differ"] if len(changed) > 3 else [])])


def setting_differences(before: str, after: str) -> list[tuple[str, Any, Any]]:
    r"""Return the settings in which two TOML texts differ: the name, and both values; None where one is not set.

    Raises `tomllib.TOMLDecodeError` if one of them is no TOML.

    >>> setting_differences("[train]\nsteps = 100", "[train]\nsteps = 50\nseeds = 2")
    [('train.steps', 100, 50), ('train.seeds', None, 2)]
    """
    old, new = flat_settings(tomllib.loads(before)), flat_settings(tomllib.loads(after))
    return [(name, old.get(name), new.get(name)) for name in {**new, **old} if old.get(name) != new.get(name)]


def flat_settings(tables: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the settings of nested tables by their paths.

    >>> flat_settings({"train": {"steps": 50}})
    {'train.steps': 50}
    """
    found: dict[str, Any] = {}
    for key, value in tables.items():
        name = f"{prefix}{key}"
        found.update(flat_settings(value, f"{name}.") if isinstance(value, dict) else {name: value})
    return found


def _shown(value: object) -> str:
    if value is None:  # which TOML does not have
        return "not set"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."
