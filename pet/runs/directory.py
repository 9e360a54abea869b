"""The run directory: one run, its settings and its results, resumed where it stopped."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pet.errors import ConfigError, RunError
from pet.runs.atomic import file_sha256, is_leftover, remove_leftovers, remove_whole, write_text
from pet.runs.jobs import Job, JobStore
from pet.runs.lock import LOCK, OWNER, run_lock
from pet.runs.log import NULL_LOG, RunLog
from pet.runs.manifest import Manifest, changed_settings
from pet.runs.shared import SharedJobs
from pet.runs.storage import storage_errors

# What the final classifier is exported to, and the labels.
_EXPORTS = ("onnx", "onnx-int8")
_LABEL_EXPORTS = ("label-studio", "doccano.jsonl", "argilla.json", "cleanlab", "hub")
RESULTS = (
    "jobs",
    "tasks",
    "tokens",
    "tracking",
    "generations",
    "model",
    *_EXPORTS,
    *_LABEL_EXPORTS,
    "pseudo_labels.parquet",
    "metrics.json",
    "test_labels.parquet",
    "forecast.json",
    "report.html",
    "rejected.jsonl",
    "run.log",
    "config.toml",
    "manifest.json",
)
"""All that a run leaves, in the order in which `force` removes it.

The manifest goes last, so that after a removal that was killed the folder is still known as one of ours.
"""
REVIEW = "review.csv"
"""Labels that a person has given to rows of the run: not a result, so nothing removes it."""

HARMLESS = frozenset({LOCK, OWNER, REVIEW, ".DS_Store", ".gitignore", ".gitkeep", "lost+found"})
"""What may lie in a folder that counts as empty."""


class _Below:
    """A path below the root of a run."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, run: "RunDirectory", _owner: object) -> Path:
        return run.root / self.name


@dataclass(frozen=True)
class RunDirectory:
    """The places of one run under `root`; use `open` to work in it."""

    root: Path

    config_path = _Below("config.toml")  # the resolved settings
    manifest_path = _Below("manifest.json")  # what the run was made from, and its expected jobs
    log_path = _Below("run.log")  # what happened, with times
    jobs = _Below("jobs")  # a folder per finished job, by its key
    tasks = _Below("tasks")  # a folder per job that is handed to an executor, while the run is under way
    tokens = _Below("tokens")  # token ids of the pool's texts, while the run is under way
    generations = _Below("generations")  # what each generation learned from and said, a folder per generation
    pseudo_labels = _Below("pseudo_labels.parquet")  # the labeled pool
    model = _Below("model")  # the final classifier
    metrics_path = _Below("metrics.json")  # what was measured
    measured_path = _Below("test_labels.parquet")  # what each way to label said of each test row
    forecast_path = _Below("forecast.json")  # what the run was predicted to take, and took
    report_path = _Below("report.html")  # all of it for a person to look at
    review_path = _Below(REVIEW)  # labels that a person has given to rows of the run
    rejected_path = _Below("rejected.jsonl")  # the rows that were left out, with reasons

    @classmethod
    @contextmanager
    def open(
        cls, root: Path, config_toml: str, identity: Mapping[str, str], force: bool = False, rows: str = ""
    ) -> Iterator["RunDirectory"]:
        """Create or resume a run directory, and hold its lock.

        `identity` has a digest each of ``config``, ``data``, ``model`` and ``code``. With the identity it was
        made from, a directory is resumed, also with `force`; with another one, `force` removes the earlier
        results first. Where people have labeled rows since, `rows` is the digest of the data with these labels: what
        rests on others goes, but for the jobs.

        Raises `ConfigError` if `root` cannot be created, holds something else than a run, or a run of another
        identity. Raises `RunLocked` if another process works in it. Raises `RunError` if the disk is full or
        may not be written.
        """
        directory = cls(Path(root))
        directory._create()
        # Before the lock too: nothing is written into a folder that is not ours.
        directory._refuse_foreign(config_toml)
        with run_lock(directory.root):
            directory._refuse_foreign(config_toml)
            with storage_errors(directory.manifest_path):
                remove_leftovers(directory.root)
                remove_leftovers(directory.jobs)
                remove_leftovers(directory.generations)
                remove_whole(directory.tasks)
                directory._claim(config_toml, identity, force)
                directory._regroup(rows or identity.get("data", ""))
            yield directory

    def refusal(self, config_toml: str, identity: Mapping[str, str]) -> str | None:
        """Return why `open` without `force` would refuse what lies here, in a sentence; None where it would not."""
        if not self.root.exists():
            return None
        try:
            self._refuse_foreign(config_toml)
            self._refuse_other(self._changes(config_toml, identity))
        except ConfigError as error:
            return str(error)
        return None

    def store(self, log: RunLog = NULL_LOG, shared: SharedJobs | None = None) -> JobStore:
        """Return the jobs; `log` hears of damaged ones, and `shared` are those that other runs have left."""
        return JobStore(self.jobs, log, shared)

    def expect(self, jobs: Mapping[str, str]) -> None:
        """Add jobs, name -> key, to those that a complete run has; a name that is known gets the new key.

        Raises `RunError` if the manifest is gone, or the disk is full or may not be written.
        """
        manifest = self._manifest()
        merged = {**manifest.jobs, **jobs}
        if merged != manifest.jobs:
            replace(manifest, jobs=merged).write(self.manifest_path)

    def tell_exports(self, warn: Callable[[str], None]) -> None:
        """Say which exports are there, when the final classifier changes."""
        for export in filter(Path.exists, (self.root / name for name in _EXPORTS)):
            warn(f"{export} is still the classifier before this one: export it again")

    def remove_drafts(self) -> None:
        """Remove what `write_table` left of a table when it was killed; only for the one who holds the lock."""
        for table in (self.pseudo_labels, self.rejected_path):
            for draft in self.root.glob(f".{table.name}.*.tmp"):
                draft.unlink(missing_ok=True)

    def labels_are_ours(self) -> bool:
        """Whether the labeled data set is there, byte by byte as `labels_written` has found it.

        Raises `RunError` if the manifest is gone.
        """
        path = self.pseudo_labels
        return path.is_file() and self._manifest().written.get(path.name) == file_sha256(path)

    def labels_written(self) -> None:
        """Note what the labeled data set is now, to know it again.

        Raises `RunError` if the manifest is gone, or the disk is full or may not be written.
        """
        manifest, name = self._manifest(), self.pseudo_labels.name
        replace(manifest, written={**manifest.written, name: file_sha256(self.pseudo_labels)}).write(self.manifest_path)

    def missing(self) -> list[str]:
        """Return the names of the expected jobs that are not finished, or damaged.

        Raises `RunError` if the manifest is gone.
        """
        store = self.store()
        return [name for name, key in self._manifest().jobs.items() if not store.done(Job(name, key))]

    def expected(self) -> Mapping[str, str]:
        """Return the keys of the jobs that the labels rest on, by name, in the order in which they were done.

        Raises `RunError` if the manifest is gone.
        """
        return self._manifest().jobs

    def _manifest(self) -> Manifest:
        manifest = Manifest.from_file(self.manifest_path)
        if manifest is None:
            raise RunError(f"{self.manifest_path} is gone or damaged: start again in another --output-dir.")
        return manifest

    def _create(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            is_file = isinstance(error, FileExistsError | NotADirectoryError)
            reason = "it is a file, or lies below one" if is_file else error.strerror
            raise ConfigError(f"{self.root} cannot be created ({reason}): choose another --output-dir.") from error

    def _refuse_foreign(self, config_toml: str) -> None:
        """Refuse a folder of other things: the manifest is written first, so without it nothing is ours."""
        try:
            names = sorted(path.name for path in self.root.iterdir())
        except OSError as error:
            raise ConfigError(f"{self.root} cannot be read ({error.strerror}): choose another --output-dir.") from error
        foreign = [name for name in names if name not in HARMLESS and not is_leftover(name)]
        if foreign == [self.config_path.name] and self._text_of_config() == config_toml:
            return  # it would be written just so
        if foreign and Manifest.from_file(self.manifest_path) is None:
            raise ConfigError(
                f"{self.root} is not empty and holds no run of pet (it has {foreign[0]!r}): "
                "choose an empty or a new --output-dir; --force does not remove files of others."
            )

    def _text_of_config(self) -> str | None:
        try:
            return self.config_path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def _changes(self, config_toml: str, identity: Mapping[str, str]) -> list[str]:
        """Return in words how the run that lies here differs; nothing where none does."""
        found, written = Manifest.from_file(self.manifest_path), self._text_of_config()
        settings = changed_settings(written, config_toml) if written is not None else None
        return found.changes(identity, settings) if found else []

    def _refuse_other(self, changes: list[str]) -> None:
        if changes:
            labeled = self.pseudo_labels.is_file()
            by_hand = labeled and not self.labels_are_ours()
            lost = f", {self.pseudo_labels.name} with what was changed in it by hand among them" if by_hand else ""
            raise ConfigError(
                f"{self.root} holds another run ({'; '.join(changes)}): choose another --output-dir, "
                f"or add --force to delete its results{lost}, and start anew."
                + (" (`pet distill` and `pet explain` read it as it is.)" if labeled else "")
            )

    def _regroup(self, rows: str) -> None:
        """Forget which jobs the labels rest on, where these rest on other labeled rows than there are now."""
        manifest = self._manifest()
        if rows != manifest.data:
            replace(manifest, jobs={}, rows=rows).write(self.manifest_path)
            remove_whole(self.generations)

    def _claim(self, config_toml: str, identity: Mapping[str, str], force: bool) -> None:
        changes = self._changes(config_toml, identity)
        if not force:
            self._refuse_other(changes)
        if changes:
            for name in RESULTS:
                remove_whole(self.root / name)
        if changes or Manifest.from_file(self.manifest_path) is None:
            Manifest(dict(identity)).write(self.manifest_path)
        if changes or self._text_of_config() != config_toml:
            write_text(self.config_path, config_toml)
        self.jobs.mkdir(exist_ok=True)
