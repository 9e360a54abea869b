"""Checkpoints of one long job: two places in turn, so that a whole one is there at every moment."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pet.runs.atomic import folder_problem, write_folder

_NUMBER = "number.json"


@dataclass
class Checkpoints:
    """The checkpoints of one job, in two folders beside each other under `root`.

    A folder is replaced in two moves; a kill between these leaves the other one.
    """

    root: Path
    _last: int | None = None

    @property
    def places(self) -> tuple[Path, Path]:
        """The two folders."""
        return self.root / "checkpoint-0", self.root / "checkpoint-1"

    def latest(self) -> Path | None:
        """Return the folder of the last whole checkpoint, or None."""
        whole = [place for place in self.places if folder_problem(place) is None]
        newest = max(whole, key=_number, default=None)
        self._last = _number(newest) if newest else 0
        return newest

    def save(self, write: Callable[[Path], None]) -> None:
        """Let `write` fill a new checkpoint, in the place of the older of the two.

        Raises `RunError` if the disk is full or may not be written; the last checkpoint stays.
        """
        if self._last is None:
            self.latest()
        number = (self._last or 0) + 1

        def numbered(folder: Path) -> None:
            write(folder)
            (folder / _NUMBER).write_text(json.dumps(number), encoding="utf-8")

        write_folder(self.places[number % 2], numbered)
        self._last = number


def _number(place: Path) -> int:
    return int(json.loads((place / _NUMBER).read_text(encoding="utf-8")))
