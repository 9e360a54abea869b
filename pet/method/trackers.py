"""`[run] report_to`: losses and figures go to the trackers that accelerate knows, of which none sends what it gets.

Trackers get numbers and settings, never a text. Those that could send them to a server are started offline, unless
their own environment variable says otherwise.
"""

import importlib.util
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pet.errors import ConfigError
from pet.method.callbacks import Callback, GenerationEnd, RunEnd, VoterEnd

TRACKING = "tracking"
"""The folder of a run in which trackers leave what they keep."""

_PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow", "wandb": "wandb", "trackio": "trackio"}
_OWN_STEPS = ("tensorboard", "mlflow")
"""Trackers whose curves may each begin at step 0; the others drop a step that is smaller than the last one."""


def check_trackers(names: Sequence[str]) -> None:
    """Find out whether all trackers are installed; nothing is started.

    Raises `ConfigError` if one is not.
    """
    for name in names:
        if importlib.util.find_spec(_PACKAGES[name]) is None:
            raise ConfigError(
                f"run.report_to names {name}, which is not installed: `pip install {_PACKAGES[name]}`, or leave it out."
            )


@dataclass
class Tracking(Callback):
    """One tracker as a callback: a loss per update of each voter, figures per generation, the last figures."""

    name: str
    tracker: Any

    @classmethod
    def start(cls, name: str, task: str, folder: Path, settings: Mapping[str, object]) -> "Tracking":
        """Start a tracker that keeps what it gets below `folder`; `settings` are told to it as they are, flat."""
        from accelerate import PartialState, tracking  # type: ignore[import-untyped]

        PartialState()  # without it the trackers' own log refuses to speak
        folder.mkdir(parents=True, exist_ok=True)
        kind, arguments = _STARTS[name](tracking, task, folder)
        tracker = kind(**arguments)
        tracker.start()
        tracker.store_init_configuration({key: _plain(value) for key, value in settings.items()})
        return cls(name, tracker)

    def on_voter_end(self, end: VoterEnd) -> None:
        """Log the loss of each update."""
        prefix = f"generation-{end.generation}/" if end.generation else ""
        for step, loss in enumerate(end.losses):
            self._log({f"{prefix}loss/{end.voter}": loss}, step)

    def on_generation_end(self, end: GenerationEnd) -> None:
        """Log the figures that are numbers, and whether the generation counts."""
        figures = {f"generation/{name}": value for name, value in numbers_of(end.figures).items()}
        self._log({**figures, "generation/accepted": int(end.rejected is None)}, end.generation)

    def on_end(self, end: RunEnd) -> None:
        """Log the lines of the summary."""
        figures: dict[str, float] = {}
        for row in end.summary.rows if end.summary else ():
            found = {"agreement": row.agreement, "held_out_accuracy": row.held_out}
            found |= {"accuracy": row.test.accuracy, "macro_f1": row.test.macro_f1} if row.test else {}
            figures |= {f"final/{row.name}/{name}": value for name, value in numbers_of(found).items()}
        self._log(figures, 0)

    def finish(self) -> None:
        """Close the tracker."""
        self.tracker.finish()

    def _log(self, values: Mapping[str, float], step: int) -> None:
        named = {_name(key): value for key, value in values.items()}
        if self.name in _OWN_STEPS:
            self.tracker.log(named, step=step)
        elif named:
            self.tracker.log({**named, "own_step": step})


def numbers_of(table: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Return the numbers of nested tables by their paths.

    >>> numbers_of({"kl": 0.1, "shares": {"yes": 0.4}, "changed": None, "rejected": True})
    {'kl': 0.1, 'shares/yes': 0.4}
    """
    found: dict[str, float] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            found |= numbers_of(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[f"{prefix}{name}"] = value
    return found


def _name(key: str) -> str:
    # What MLflow takes, which takes the least.
    return re.sub(r"[^\w ./-]", "_", key)


def _plain(value: object) -> object:
    return value if isinstance(value, str | bool | int | float) else str(value)


def _tensorboard(tracking: Any, task: str, folder: Path) -> tuple[Any, dict[str, object]]:
    return tracking.TensorBoardTracker, {"run_name": task, "logging_dir": folder / "tensorboard"}


def _mlflow(tracking: Any, task: str, folder: Path) -> tuple[Any, dict[str, object]]:
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{(folder / 'mlflow.db').absolute().as_posix()}")
    place = (folder / "mlflow").absolute().as_uri()
    return tracking.MLflowTracker, {"experiment_name": task, "logging_dir": place, "run_name": folder.parent.name}


def _wandb(tracking: Any, task: str, folder: Path) -> tuple[Any, dict[str, object]]:
    mode = os.environ.get("WANDB_MODE", "offline")
    return tracking.WandBTracker, {"run_name": task, "dir": str(folder), "name": folder.parent.name, "mode": mode}


def _trackio(tracking: Any, task: str, folder: Path) -> tuple[Any, dict[str, object]]:
    os.environ.setdefault("TRACKIO_DIR", str((folder / "trackio").absolute()))
    return tracking.TrackioTracker, {"run_name": task, "name": folder.parent.name}


_STARTS: Mapping[str, Callable[[Any, str, Path], tuple[Any, dict[str, object]]]] = {
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
    "wandb": _wandb,
    "trackio": _trackio,
}
