"""Putting results in their places: the classifier with its card, and the figures."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pet.data.examples import Example
from pet.data.kept import write_kept_rows
from pet.method.about import ABOUT
from pet.method.card import CardFacts, model_card
from pet.method.metrics import Evaluation
from pet.method.summary import DISTILLED, Summary, SummaryRow
from pet.runs.atomic import write_folder, write_json


def publish_model(
    target: Path,
    model: Path,
    facts: CardFacts,
    figures: Mapping[str, Evaluation],
    told: Mapping[str, object],
    gold: Iterable[Example] = (),
) -> None:
    """Copy a classifier to `target`, with a card that has the test `figures` by name.

    Beside it lie what is `told` of it, and `gold` rows to look at.

    Raises `RunError` if the disk is full or may not be written.
    """

    def write(folder: Path) -> None:
        shutil.copytree(model, folder, copy_function=_link_or_copy, dirs_exist_ok=True)
        (folder / "README.md").write_text(model_card(facts, figures), encoding="utf-8")
        write_kept_rows(folder, gold)
        write_json(folder / ABOUT, told)

    write_folder(target, write)


def _link_or_copy(source: str, target: str) -> None:
    """Put a file in a second place: weights as a second name of the same bytes, where the file system has such."""
    if source.endswith(".safetensors"):
        with suppress(OSError):
            os.link(source, target)
            return
    shutil.copy2(source, target)


def write_metrics(path: Path, facts: Mapping[str, Any], summary: Summary) -> None:
    """Write `metrics.json`: facts of the run, then the lines of its summary."""
    write_json(path, {**facts, "summary": summary.as_json()})


def preliminary_voters(path: Path) -> list[str]:
    """Return the names of the voters whose preliminary labels a `metrics.json` is about; none where it is not."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return list(map(str, json.loads(path.read_bytes())["preliminary"]))
    return []


def remove_preliminary(path: Path) -> None:
    """Remove a `metrics.json` that is about preliminary labels."""
    if preliminary_voters(path):
        path.unlink()


def replace_distilled(path: Path, found: Evaluation | None, facts: Mapping[str, Any]) -> None:
    """Give `metrics.json` the figures of another distilled classifier, and the facts that are other with it.

    Without a metrics file, as after `pet label`, nothing is done.
    """
    try:
        figures = json.loads(path.read_bytes())
        rows = figures["summary"]["rows"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    new = SummaryRow(DISTILLED, None, found).as_json()
    figures["summary"]["rows"] = [new if row["name"] == DISTILLED else row for row in rows]
    write_json(path, {**figures, **facts})
