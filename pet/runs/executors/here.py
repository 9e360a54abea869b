"""Jobs done in this process, one after the other."""

import pdb
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pet.runs.executors.base import Handle, Needs, Work


@dataclass
class InProcess:
    """Does a job as it is asked for; with `debug`, the debugger stops at the line where one fails."""

    work: Work
    debug: bool = False
    _waiting: list[Handle] = field(default_factory=list, init=False)

    def submit(self, folder: Path, needs: Needs) -> Handle:  # noqa: ARG002 -- it takes what this process has
        """Keep the job of a folder for `as_completed`."""
        self._waiting.append(Handle(folder))
        return self._waiting[-1]

    def as_completed(self) -> Iterator[Handle]:
        """Do each job, and yield it.

        Raises whatever the job fails by.
        """
        while self._waiting:
            handle = self._waiting.pop(0)
            try:
                self.work(str(handle.folder))
            except Exception as error:
                if self.debug:
                    pdb.post_mortem((error.__cause__ or error).__traceback__)
                raise
            yield handle

    def cancel(self) -> None:
        """Forget what was not begun."""
        self._waiting.clear()
