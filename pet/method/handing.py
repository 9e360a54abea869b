"""Voters handed to an executor: each is a job in a folder of its own, written here and read where it is done.

    RUN/tasks/<start>/<key>/task.json          the voter by its name, the generation, and what the run works with
    RUN/tasks/<start>/<key>/sets.safetensors   its training set and the rows it is asked for, as places

All are plain values, and what is done is named by them: the key is compared where the job is done.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from pet.labeling.selection import Selection
from pet.learners.voters.spec import VoterSpec
from pet.method.generation import TrainingSet
from pet.runs.atomic import remove_whole
from pet.runs.executors.base import Executor, Needs, Tell, done_by, write_task
from pet.runs.jobs import Job
from pet.runs.storage import storage_errors

_SETS = "sets.safetensors"

Asked = tuple[VoterSpec, TrainingSet, np.ndarray, int]
"""What a voter is asked: itself, its training set, rows of the pool (int64 [n]), and the generation."""


@dataclass(frozen=True)
class Handing:
    """Hands voters to an executor, at most `workers` at a time; `run` is what all of them work with, as plain values.

    The folders of the jobs lie in `tasks` until all are done; those of a failure stay until the run is started again.
    """

    executor: Executor
    workers: int
    needs: Needs
    tasks: Path
    run: Mapping[str, Any]

    def out(self, asked: Sequence[tuple[Job, Asked]], hear: Tell) -> None:
        """Have voters trained and asked; their jobs are in the store then. `hear` gets what is told meanwhile.

        Raises the `PetError` of the first that failed, and `RunError` if a process ended by itself.
        """
        # A folder for each start: a worker that a killed start has left behind tells nobody anything.
        start = self.tasks / secrets.token_hex(4)
        folders = [self._write(start / job.key, job, one) for job, one in asked]
        done_by(self.executor, folders, self.needs, self.workers, hear)
        remove_whole(start)

    def _write(self, folder: Path, job: Job, asked: Asked) -> Path:
        spec, training, rows, generation = asked
        with storage_errors(folder):
            folder.mkdir(parents=True)
            save_file(_arrays(training, rows), folder / _SETS)
        task = {"name": job.name, "key": job.key, "threads": self.needs.cpus, "voter": spec.name}
        write_task(folder, {**task, "generation": generation, "run": dict(self.run)})
        return folder.absolute()


def _arrays(training: TrainingSet, rows: np.ndarray) -> dict[str, np.ndarray]:
    found = {"gold": training.gold.astype(np.int64), "rows": rows.astype(np.int64)}
    if training.drawn:
        drawn = training.drawn
        found |= {"drawn": drawn.rows, "columns": drawn.columns, "confidence": drawn.confidence}
    return {name: np.ascontiguousarray(array) for name, array in found.items()}


def read_sets(folder: Path) -> tuple[TrainingSet, np.ndarray]:
    """Return the training set of a job and the rows it is asked for, int64 [n], as they were written."""
    found = load_file(folder / _SETS)
    drawn = Selection(found["drawn"], found["columns"], found["confidence"], ()) if "drawn" in found else None
    return TrainingSet(found["gold"], drawn), found["rows"]
