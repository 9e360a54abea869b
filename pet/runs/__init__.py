"""The run directory: locked, named by what it was made from, resumed job by job, and never torn."""

from pet.runs.atomic import (
    files_as_published,
    folder_problem,
    publish_folder,
    write_atomically,
    write_folder,
    write_json,
    write_text,
)
from pet.runs.directory import RunDirectory
from pet.runs.jobs import Job, JobStore, job_hash
from pet.runs.log import NULL_LOG, NullLog, RunLog
from pet.runs.progress import Advance, Stages, stage_progress
from pet.runs.storage import storage_errors

__all__ = [
    "NULL_LOG",
    "Advance",
    "Job",
    "JobStore",
    "NullLog",
    "RunDirectory",
    "RunLog",
    "Stages",
    "files_as_published",
    "folder_problem",
    "job_hash",
    "publish_folder",
    "stage_progress",
    "storage_errors",
    "write_atomically",
    "write_folder",
    "write_json",
    "write_text",
]
