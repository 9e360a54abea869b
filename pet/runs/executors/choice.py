"""Which executor does the voters of a run: as `[run] executor` says, tried before anything is trained."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pet.errors import ConfigError
from pet.runs.atomic import remove_whole
from pet.runs.executors.base import Executor, Needs, Work
from pet.runs.executors.here import InProcess
from pet.runs.executors.on_ray import OnRay, check_ray, connected, probe
from pet.runs.executors.on_slurm import OnSlurm, check_slurm
from pet.runs.executors.processes import Processes
from pet.settings.run import RunSettings

_CLUSTERS = ("ray", "slurm")


def check_executor(settings: RunSettings, voters: int) -> None:
    """Check what can be known at once: that the engine is installed, and has not more workers than there are voters.

    Raises `ConfigError` if it is not, or has.
    """
    executor, workers = settings.executor, settings.workers
    if settings.address != "auto" and executor not in _CLUSTERS:
        raise ConfigError(
            f'run.address = "{settings.address}" is that of a cluster: set run.executor to "ray" or "slurm" too.'
        )
    if executor == "ray":
        check_ray()
    if executor == "slurm":
        check_slurm(settings.address)
    if executor in (*_CLUSTERS, "processes") and workers != "auto" and workers > max(1, voters):
        raise ConfigError(
            f"run.workers = {workers}, but there are {voters} voters with a pattern, and one is done by one worker: "
            f"set at most {max(1, voters)}, or leave it out."
        )


@dataclass(frozen=True)
class Engine:
    """Makes the executors of a run; `folder` is the run's, `workers` are those that work at a time."""

    settings: RunSettings
    folder: Path
    workers: int
    needs: Needs

    @property
    def is_elsewhere(self) -> bool:
        """Whether jobs are handed to an executor, and not simply done where they are asked for."""
        return self.settings.executor not in ("auto", "here") or self.workers > 1

    @contextmanager
    def ready(self) -> Iterator["Engine"]:
        """Hold the connection to a cluster, where there is one, once it was tried.

        Raises `ConfigError` if nothing answers, or a machine of it cannot do the jobs.
        """
        if self.settings.executor != "ray":
            yield self
            return
        with connected(self.settings.address, self.workers * self.needs.cpus) as nodes:
            probe(nodes, self.folder, self.needs)
            yield self

    @contextmanager
    def executor(self, work: Work) -> Iterator[Executor]:
        """Yield what has jobs done by `work`; what is under way at the end is cancelled."""
        found, logs = self._made(work), self._logs
        try:
            yield found
        finally:
            found.cancel()
            if logs.exists():
                remove_whole(logs)

    @property
    def _logs(self) -> Path:
        return self.folder / "tasks" / "slurm"

    def _made(self, work: Work) -> Executor:
        executor = self.settings.executor
        if executor == "ray":
            return OnRay(work)
        if executor == "slurm":
            return OnSlurm(self._logs, local=self.settings.address == "local")
        if executor == "debug":
            return InProcess(work, debug=True)
        return Processes(work, self.workers)
