"""What a run will take, told before it starts (`pet plan`, and at the start of a run) and compared at its end."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pet.forecast.footprint import disk_use, peak_memory
from pet.forecast.forecast import Forecast, Saving, forecast, savings
from pet.forecast.probe import SHORT_RUN, Probe
from pet.forecast.workload import Workload
from pet.runs.atomic import write_json


@dataclass(frozen=True)
class Outlook:
    """What is left of a run in the folder `root`, what would shorten one, and the seconds to load its model.

    `refused` is the sentence with which `pet run` would refuse what lies in that folder.
    """

    root: Path
    forecast: Forecast
    savings: tuple[Saving, ...] = ()
    loading: float = 0.0
    refused: str | None = None

    def as_json(self) -> dict[str, object]:
        """Return plain values, with the totals."""
        found = self.forecast
        return {
            "stages": [asdict(stage) for stage in found.stages],
            **_totals(found.seconds, found.memory, found.disk),
            "jobs": found.jobs,
            "finished_jobs": found.finished,
            "loading_seconds": self.loading,
            "savings": [asdict(saving) for saving in self.savings],
            "refused": self.refused,
        }


MOST_SAVINGS = 4
"""More changes that save time are not told."""


def foresee(root: Path, work: Workload, probe: Probe, done: Counter[str], refused: str | None = None) -> Outlook:
    """Probe a run and tell what is left of it in a folder, which need not be there and is not changed.

    Raises `ModelError` if the model cannot be loaded, or a voter's variant does not fit it.
    """
    rates = probe.rates(work, done, always=True)
    # Other settings make another run: what is done of this one would be lost.
    shorter = () if done else tuple(savings(work, rates)[:MOST_SAVINGS])
    return Outlook(root, forecast(work, rates, done), shorter, rates.loading, refused)


@dataclass(frozen=True)
class Watch:
    """A forecast made at the start of a run (None: nothing was left to do), to be compared with what it took."""

    work: Workload
    forecast: Forecast | None
    started: float

    @classmethod
    def start(
        cls, work: Workload, probe: Probe, done: Counter[str], say: Callable[[str], None], *, whole: bool = True
    ) -> "Watch":
        """Probe the work that is left, and `say` what it will take if that is worth a word.

        Unless `whole`, the run stops once the pool is labeled.

        Raises `ModelError` if the model cannot be loaded, or a voter's variant does not fit it.
        """
        if not work.left(done, whole):
            return cls(work, None, time.monotonic())
        found = forecast(work, probe.rates(work, done, whole=whole), done, whole)
        watch = cls(work, found, time.monotonic())
        if watch.is_long:
            jobs = f"{found.jobs} jobs" + (f" ({found.finished} are finished)" if found.finished else "")
            memory = f"{size(found.memory)} of memory, " if found.memory is not None else ""
            say(f"predicted: {span(found.seconds)} for {jobs}, {memory}{size(found.disk)} on disk")
        return watch

    @property
    def is_long(self) -> bool:
        """Whether the work takes so long that its forecast is told."""
        return self.forecast is not None and self.forecast.seconds >= SHORT_RUN

    def stop(self, root: Path, file: Path, took: Mapping[str, float]) -> str | None:
        """Return in one line what was predicted and what it took, and write it to a `file`; None where none was told.

        `root` is the folder of the run; `took` are the seconds of the jobs that were done, by name.

        Raises `RunError` if the disk is full or may not be written.
        """
        if self.forecast is None or not self.is_long:
            return None
        found, seconds = self.forecast, time.monotonic() - self.started
        memory, disk = peak_memory(self.work.workers), disk_use(root)
        facts = {
            "finished_jobs": found.finished,
            "predicted": _totals(found.seconds, found.memory, found.disk),
            "actual": _totals(seconds, memory, disk),
            "stages": self._stages(found, took),
        }
        write_json(file, facts)
        left = f"for what was left ({found.jobs} jobs) " if found.finished else ""
        parts = [f"predicted {left}{span(found.seconds)}, took {span(seconds)}"]
        if found.memory is not None and memory is not None:
            parts.append(f"{size(found.memory)} of memory, took {size(memory)}")
        return "; ".join([*parts, f"{size(found.disk)} on disk, took {size(disk)}"])

    def _stages(self, found: Forecast, took: Mapping[str, float]) -> list[dict[str, object]]:
        """Return what each stage was predicted to take, and what its jobs took."""
        stage_of = {job.name: job.stage for job in self.work.jobs()}
        actual = Counter[str]()
        for name, seconds in took.items():
            actual[stage_of.get(name, name)] += seconds  # type: ignore[assignment]
        return [
            {"name": stage.name, "jobs": stage.jobs, "predicted": stage.seconds, "actual": actual.get(stage.name)}
            for stage in found.stages
        ]


def _totals(seconds: float, memory: int | None, disk: int) -> dict[str, object]:
    return {"seconds": seconds, "memory_bytes": memory, "disk_bytes": disk}


def span(seconds: float) -> str:
    """Say a time.

    >>> span(0.2), span(75), span(3 * 3600 + 125)
    ('0 s', '1 min 15 s', '3 h 02 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60:02} min"


def size(count: int) -> str:
    """Say a number of bytes.

    >>> size(1_234_567_890), size(98_500_000)
    ('1.2 GB', '98 MB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
