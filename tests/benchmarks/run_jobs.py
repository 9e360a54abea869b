"""The jobs of a plan, in a store of a test's own."""

from pathlib import Path

from pet.method.jobs import Jobs
from pet.method.plan.opening import shared_parts
from pet.method.plan.plan import Plan
from pet.runs.jobs import JobStore
from pet.runs.runner import JobRunner


def jobs_of(plan: Plan, folder: Path) -> Jobs:
    """Return what the jobs of a plan work with; they are kept in a folder."""
    runner = JobRunner(JobStore(folder), shared_parts(plan.config, plan.base, plan.machine))
    return Jobs(plan.rows, plan.model, plan.machine, runner, plan.seed, plan.config.run.keep_models, plan.encoder)
