"""Jobs done by Slurm: each is the command `pet job FOLDER`, submitted by submitit.

What sbatch reads from its environment, such as SBATCH_PARTITION, SBATCH_ACCOUNT and SBATCH_TIMELIMIT, holds.
"""

import math
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

from pet.errors import ConfigError
from pet.runs.executors.base import POLL_SECONDS, Handle, Needs

_MINUTES = 24 * 60
"""What a job may take, where SBATCH_TIMELIMIT says nothing else."""


def check_slurm(address: str) -> None:
    """Check that submitit is installed, and Slurm is there; with the address "local" no Slurm is needed.

    Raises `ConfigError` if it is not.
    """
    if find_spec("submitit") is None:
        raise ConfigError('run.executor = "slurm" needs submitit: pip install "pet-labeling[slurm]".')
    if address not in ("auto", "local"):
        raise ConfigError(f'run.address = "{address}": Slurm has no address; leave it out, or "local" tries it here.')
    if address == "auto" and which("sbatch") is None:
        raise ConfigError(
            "There is no command sbatch here: start the run on a machine that submits to Slurm, or try it on this one "
            "with --address local."
        )


@dataclass
class OnSlurm:
    """Submits jobs; what Slurm says of them is kept in `logs`. With `local` they are processes of this machine."""

    logs: Path
    local: bool = False
    _jobs: dict[Any, Handle] = field(default_factory=dict, init=False)

    def submit(self, folder: Path, needs: Needs) -> Handle:
        """Submit the job of a folder."""
        from submitit import AutoExecutor
        from submitit.helpers import CommandFunction

        executor = AutoExecutor(self.logs, cluster="local" if self.local else "slurm")
        executor.update_parameters(
            name="pet", timeout_min=_MINUTES, cpus_per_task=needs.cpus, gpus_per_node=math.ceil(needs.gpus)
        )
        if needs.memory and not self.local:
            executor.update_parameters(mem_gb=math.ceil(needs.memory / 2**30))
        command = [sys.executable, "-m", "pet", "job", str(folder)]
        job = executor.submit(CommandFunction(command, verbose=False))
        self._jobs[job] = Handle(folder)
        return self._jobs[job]

    def as_completed(self) -> Iterator[Handle | None]:
        """Yield each job as it ends; None where none has for a while."""
        while self._jobs:
            ended = [job for job in self._jobs if job.done()]
            for job in ended:
                handle, error = self._jobs.pop(job), job.exception()
                died = f"A job of Slurm ended without a word: what it said is in {job.paths.stderr}."
                yield replace(handle, died=died if error else "")
            if not ended:
                time.sleep(POLL_SECONDS)
                yield None

    def cancel(self) -> None:
        """Cancel the jobs that are under way."""
        for job in self._jobs:
            with suppress(Exception):  # it has just ended
                job.cancel(check=False)
        self._jobs.clear()
