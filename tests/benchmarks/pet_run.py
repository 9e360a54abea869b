"""A whole run in a process of its own, see `own_process`: CPU-seconds by stage, and test accuracy.

Asked for are `tables` of a pipeline, `settings` such as "train.steps=60", a `directory` for the run, and a `test` file,
which is read once all is done: the run has none.
"""

from pathlib import Path
from typing import Any

from own_process import REST, TEST, StageClock, answer

import pet
import pet.pipeline
from pet.forecast.probe import Probe
from pet.learners.voters.pvp import PvpVoter
from pet.method.trial import Tried
from pet.runs.runner import JobRunner
from pet.settings.toml import absolute, merged, overrides_as_tables
from pet.using.files import evaluate_file

PATTERNS, EMBEDDING, BASELINES = "patterns", "embedding", "baselines"
TRAINING, SCORING = f"{PATTERNS}: training", f"{PATTERNS}: scoring"

JOBS = (
    ("embeddings/", EMBEDDING),
    ("voter/contrastive", "contrastive voter"),
    ("voter/embedding", "embedding voter"),
    ("voter/", PATTERNS),
    ("adapt", "adaptation"),
    ("distill", "student candidates"),
    ("", BASELINES),
)
"""The stage of a job by the first of these that its name begins with; what is not named here serves the comparison."""

STEPS = {"prepare": "reading", "refine": "refinement", "teach": "student candidates", "compare": BASELINES}
"""The stages of what `pet.pipeline` calls, beside its jobs."""


def stage_of(job: str) -> str:
    """Return the stage of a job by its name.

    >>> stage_of("generation-1/voter/toy/colon+words"), stage_of("zero-shot/toy/colon+words")
    ('patterns', 'baselines')
    """
    name = job.partition("/")[2] if job.startswith("generation-") else job
    return next(stage for start, stage in JOBS if name.startswith(start))


def watch_stages(clock: StageClock) -> None:
    """Count what a run does by stage, from outside: the run itself stays as it is."""
    for name, stage in STEPS.items():
        clock.watch(pet.pipeline, name, lambda *_, of=stage, **__: of)
    clock.watch(JobRunner, "folder", lambda runner, job, work: stage_of(job.name))
    for name, stage in (("train", TRAINING), ("scores", SCORING)):
        clock.watch(PvpVoter, name, lambda *_, of=stage, **__: of if clock.stage == PATTERNS else clock.stage)
    for owner, name in ((Tried, "trial"), (Probe, "rates")):
        clock.watch(owner, name, lambda *_, **__: "trial and forecast")


def run(asked: dict[str, Any], clock: StageClock) -> dict[str, Any]:
    """Run a pipeline, and measure its classifier on the test rows."""
    watch_stages(clock)
    changes = absolute(overrides_as_tables(asked["settings"]), Path.cwd())
    config = pet.RunConfig.from_mapping(merged(asked["tables"], changes))
    with clock.during(REST):
        result = pet.run(config, asked["directory"], quiet=True)
    with clock.during(TEST):
        evaluation, _ = evaluate_file(result.directory, asked["test"])
    kept = result.choice.chosen.size if result.choice else None
    return {"accuracy": evaluation.accuracy, "work": result.work, "classifier": kept}


if __name__ == "__main__":
    answer(run)
