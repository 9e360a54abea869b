"""`manifest.json`: what a run directory was made from, and which jobs it must hold in the end."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pet.runs.atomic import write_json

ADDITIONS = ("run.keep_models", "run.workers", "ipet.accept_all")
"""Settings that may be changed while a run is under way: no job is named by them.

With other workers, so with other threads, sums are rounded otherwise: the last bits of what is computed from then on
may differ.
"""

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

    `written`: the digest of a result that a person may change, as it was written, by its name.
    """

    identity: Mapping[str, str]
    jobs: Mapping[str, str] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION
    written: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_file(cls, path: Path) -> "Manifest | None":
        """Read a manifest; None where there is none, or where the file is something else of the same name."""
        try:
            content = json.loads(path.read_bytes())
            if content["format"] != _FORMAT:
                return None
            version, written = int(content["format_version"]), dict(content.get("written", {}))
            return cls(dict(content["identity"]), dict(content["jobs"]), version, written)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Write the manifest as a whole.

        Raises `RunError` if the disk is full or may not be written.
        """
        parts = {"identity": dict(self.identity), "jobs": dict(self.jobs), "written": dict(self.written)}
        write_json(path, {"format": _FORMAT, "format_version": self.format_version, **parts})

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
        old, new = _flat(tomllib.loads(before)), _flat(tomllib.loads(after))
    except tomllib.TOMLDecodeError:
        return None
    names = [name for name in {**new, **old} if old.get(name) != new.get(name) and name not in ADDITIONS]
    return {name: f"{name} was {_shown(old, name)} and is {_shown(new, name)}" for name in names}


def setting_changes(before: str, after: str) -> str | None:
    r"""Name the first settings in which two TOML texts differ, with both values; None where none does.

    >>> setting_changes("[train]\nsteps = 100", "[train]\nsteps = 50")
    'train.steps was 100 and is 50'
    """
    return _in_words(changed_settings(before, after) or {}) or None


def _in_words(changed: Mapping[str, str]) -> str:
    shown = list(changed.values())[:3]
    return ", ".join([*shown, *([f"{len(changed) - 3} more differ"] if len(changed) > 3 else [])])


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        found.update(_flat(value, f"{name}.") if isinstance(value, dict) else {name: value})
    return found


def _shown(settings: Mapping[str, Any], name: str) -> str:
    if name not in settings:
        return "not set"
    text = json.dumps(settings[name], ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."
