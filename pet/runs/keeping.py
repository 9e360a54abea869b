"""What a job that is under way keeps: checkpoints of its pieces, in a folder that goes when the job is done."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pet.errors import StorageError
from pet.runs.atomic import remove_whole
from pet.runs.checkpoints import Checkpoints

KEEP_SECONDS = 30.0
"""A job is kept once it has worked for so long since it was kept last: one that takes less is never."""

_ENDED_SECONDS = 5.0
"""Of a job that is kept at all, pieces that took so long are kept as they have ended."""


@dataclass
class JobKeeper:
    """The checkpoints of one job below a folder, one place for each of its pieces."""

    root: Path
    saved: float | None = field(default=None, init=False)
    begun: float = field(default_factory=lambda: time.monotonic(), init=False)
    _counts: Counter[str] = field(default_factory=Counter, init=False)

    def piece(self, name: str) -> "JobPiece":
        """Return the place of the next piece of that name; what it is called may hold any characters."""
        self._counts[name] += 1
        digest = hashlib.sha256(f"{name} {self._counts[name]}".encode()).hexdigest()[:16]
        return JobPiece(self, Checkpoints(self.root / digest))

    @property
    def any_kept(self) -> bool:
        """Whether anything of the job is kept, now or by an earlier start."""
        return self.saved is not None or self.root.exists()

    def told(self, job: str) -> str:
        """Say what is kept of the job, by its name, if it ends here."""
        if self.saved is not None:
            return f"{job} is kept as it was {time.monotonic() - self.saved:.0f} s ago"
        if self.root.exists():
            return f"{job} is kept as an earlier start has left it"
        return f"{job} begins anew: it had worked for {time.monotonic() - self.begun:.0f} s"

    def remove(self) -> None:
        """Remove all of it."""
        if self.root.exists():
            remove_whole(self.root)


@dataclass
class JobPiece:
    """The place of a piece of a job; see `pet.learners.models.keeping.Piece`."""

    keeper: JobKeeper
    checkpoints: Checkpoints
    begun: float = field(default_factory=lambda: time.monotonic(), init=False)

    def latest(self) -> Path | None:
        """Return the folder of what was kept last, or None."""
        return self.checkpoints.latest() if self.checkpoints.root.exists() else None

    def due(self, *, ended: bool = False) -> bool:
        """Say whether it is time to keep how far the work is, or how it has `ended`."""
        now, last = time.monotonic(), self.keeper.saved
        if now - (self.keeper.begun if last is None else last) >= KEEP_SECONDS:
            return True
        return ended and self.keeper.any_kept and now - max(self.begun, last or self.begun) >= _ENDED_SECONDS

    def save(self, write: Callable[[Path], None]) -> None:
        """Let `write` fill an empty folder with it; where the disk is full, nothing is kept."""
        with suppress(StorageError):  # met again, and told, by what writes results
            self.checkpoints.save(write)
        self.keeper.saved = time.monotonic()
