"""What a finished classifier is: read from its folder, and where a run is given, from that."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pet.errors import ModelError
from pet.learners.students.base import ClassifierForm, read_form
from pet.learners.students.sketch import read_sketch
from pet.method.about import ABOUT, FORMAT_VERSION
from pet.using.predict import model_folder

NOT_RECORDED = "not recorded"
_PRECISIONS = (0.99, 0.95, 0.9, 0.8)


@dataclass(frozen=True)
class Info:
    """What a classifier in a folder is: what it reads and says, and what it `tells` of itself (see `about`).

    `kind` is its model type; `sketch` says how many rows of its pool it keeps the facts of (None: none).
    """

    folder: Path
    kind: str
    form: ClassifierForm
    tells: Mapping[str, Any]
    sketch: int | None

    @property
    def thresholds(self) -> list[dict[str, float]]:
        """The confidences from which labels are right as often as is wished, and for what share of the rows."""
        curve = self.form.acceptance
        points = [(precision, curve.reaching(precision)) for precision in _PRECISIONS] if curve else []
        return [{"wished": precision, **asdict(point)} for precision, point in points if point]

    def as_json(self) -> dict[str, object]:
        """Return plain values; what is not recorded is null."""
        form, tells = self.form, self.tells
        return {
            "folder": str(self.folder),
            "model_type": self.kind,
            "task": tells.get("task"),
            "labels": tells.get("labels") or dict.fromkeys(form.labels),
            "columns": dict(form.columns),
            "label_column": form.label_column,
            "id_column": form.id_column,
            "max_length": form.max_length,
            "thresholds": self.thresholds if form.acceptance else None,
            "sketch_rows": self.sketch,
            **{name: tells.get(name) for name in _TOLD},
        }


_TOLD = ("base_model", "students", "calibration", "settings", "data", "versions")


def info(model: str | Path) -> Info:
    """Return what a classifier is: of a run directory, or of a model folder.

    Raises `ModelError` if there is none, or what it tells of itself is damaged or of a newer version.
    """
    folder = model_folder(model)
    form = read_form(folder)
    kind = str(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type", NOT_RECORDED))
    sketch = read_sketch(folder, len(form.labels))
    return Info(folder, kind, form, _tells(folder), len(sketch.facts) if sketch else None)


def _tells(folder: Path) -> Mapping[str, Any]:
    path = folder / ABOUT
    if not path.is_file():
        return {}
    found: Any = None
    with suppress(OSError, ValueError):
        found = json.loads(path.read_bytes())
    if not isinstance(found, dict) or not isinstance(found.get("labels"), dict):
        raise ModelError(f"{path} cannot be read: make the classifier again with `pet distill`, or remove the file.")
    if found.get("format_version") != FORMAT_VERSION:
        raise ModelError(f"{path} is of a newer version of pet: take that version.")
    return found


def info_lines(found: Info) -> list[str]:
    """Return what a person wants to know, a line each."""
    tells, form = found.tells, found.form
    base, students = tells.get("base_model") or {}, tells.get("students") or {}
    rows = {
        "task": tells.get("task"),
        "columns": ", ".join(f"{name} = {column}" for name, column in form.columns.items()),
        "longest input": f"{form.max_length} tokens",
        "kind": found.kind,
        "base model": base.get("name"),
        "its licence": base.get("licence"),
        "students": _students(students),
        "calibrated": _calibrated(tells),
        "thresholds": "; ".join(map(_threshold, found.thresholds)),
        "sketch": f"{found.sketch} rows of the pool, for `pet watch`" if found.sketch else None,
        "settings": ", ".join(f"{name} = {value}" for name, value in (tells.get("settings") or {}).items()),
        "data": _fingerprints(tells.get("data") or {}),
        "versions": ", ".join(f"{name} {value}" for name, value in (tells.get("versions") or {}).items()),
    }
    width = max(map(len, rows))
    return [*(f"{name:<{width}}  {value or NOT_RECORDED}" for name, value in rows.items()), "", *_labels(found)]


def _students(found: Mapping[str, Any]) -> str:
    told = []
    for one in found.get("candidates", ()):
        agreed = f" {one['fidelity']['agreement']:.1%}" if one.get("fidelity") else ""
        told.append(f"{one['size']}{agreed}{' (chosen)' if one.get('chosen') else ''}")
    return ", ".join(told)


def _calibrated(tells: Mapping[str, Any]) -> str:
    if "calibration" not in tells:
        return ""
    found = tells["calibration"]
    return f"on {found['rows']} rows of the pool that it did not learn from" if found else "no, the pool was too small"


def _threshold(point: Mapping[str, float]) -> str:
    return f"{point['wished']:.0%} right from {point['threshold']:.3f} on ({point['share']:.0%} of the rows)"


def _fingerprints(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {digest[:16]}" for name, digest in (found.get("sets") or {}).items())


def _labels(found: Info) -> list[str]:
    counts = found.tells.get("labels") or {}
    width = max(map(len, found.form.labels))
    lines = [f"{'label':<{width}}  {'gold':>8}  {'pool':>8}"]
    for label in found.form.labels:
        told = [str(counts[label][kind]) if label in counts else NOT_RECORDED for kind in ("gold", "pool")]
        lines.append(f"{label:<{width}}  {told[0]:>8}  {told[1]:>8}")
    return lines
