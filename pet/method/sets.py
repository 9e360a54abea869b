"""The sets of a run by their content: what its jobs are named by, and what its directory is known by."""

from pet.data.dataset import TaskData
from pet.data.reviewed import with_reviews
from pet.runs.jobs import job_hash
from pet.settings.task import DataSettings


def sets_digest(data: TaskData) -> str:
    """Return 16 hex digits for the labels, the columns and all rows of the sets."""
    return job_hash(labels=list(data.task.labels), columns=list(data.columns.items()), sets=list(data.digests))


def reviewed(data: TaskData, settings: DataSettings) -> TaskData:
    """Return the sets with what people say of their rows in the files that the settings name.

    Raises `DataError` if such a file cannot be used.
    """
    return with_reviews(data, settings.reviewed, sets_digest(data)) if settings.reviewed else data
