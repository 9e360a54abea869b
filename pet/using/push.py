"""`pet push`: the classifier of a run, or its labels as a data set, to the Hugging Face hub; said before it is sent."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import pyarrow.parquet as pq
from huggingface_hub import DatasetCardData, EvalResult, HfApi, ModelCard, ModelCardData, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from pet.data.kept import KEPT_ROWS
from pet.errors import ConfigError, DataError, RunError
from pet.learners.students.base import read_form
from pet.method.labels import is_ours
from pet.method.summary import DISTILLED
from pet.runs.directory import RunDirectory
from pet.runs.state import read_metrics
from pet.using.predict import model_folder

PRECISIONS = (0.99, 0.95, 0.9, 0.8)
"""For these the card of a data set says from which confidence on labels are right so often."""


class HubClient(Protocol):
    """What is asked of the hub: huggingface_hub's `HfApi`, or what stands in for it."""

    def create_repo(self, repo_id: str, *, repo_type: str, private: bool | None, exist_ok: bool) -> object:
        """Make a repository, if it is not there yet."""

    def repo_info(self, repo_id: str, *, repo_type: str) -> Any:
        """Tell of a repository, whether it is `private` among other things."""

    def upload_folder(self, *, repo_id: str, repo_type: str, folder_path: str | Path, commit_message: str) -> object:
        """Send all files of a folder as one commit."""


@dataclass(frozen=True)
class Parcel:
    """What is to be sent where: the files of a folder, with a card among them, and in words what is in them."""

    repo: str
    kind: Literal["model", "dataset"]
    private: bool
    folder: Path
    what: str

    @property
    def lines(self) -> list[str]:
        """What a person should know before it is sent."""
        files = {path.relative_to(self.folder).as_posix(): path for path in sorted(self.folder.rglob("*"))}
        sizes = [f"{name} ({path.stat().st_size / 1e6:.1f} MB)" for name, path in files.items() if path.is_file()]
        seen = "only you and those you let in" if self.private else "everyone"
        kind = "data set" if self.kind == "dataset" else "model"
        return [
            f"to the Hugging Face hub, as the {kind} {self.repo}, which {seen} can read:",
            *(f"  {line}" for line in sizes),
            self.what,
        ]


@contextmanager
def packed(
    run: str | Path, repo: str, *, private: bool = False, dataset: bool = False, licence: str | None = None
) -> Iterator[Parcel]:
    """Make ready what is to be sent of a run: its classifier, or its labeled data set; nothing is sent.

    `licence` goes to the card: without one nobody may use what is published.

    Raises `ConfigError` if the repository has no proper name, `ModelError` or `DataError` if there is nothing to send.
    """
    try:
        validate_repo_id(repo)
    except HFValidationError:
        raise ConfigError(f"{repo!r} is no name of a repository: expected OWNER/NAME, such as ann/support.") from None
    with tempfile.TemporaryDirectory(prefix="pet-push-") as scratch:
        folder = Path(scratch)
        what = (_pack_labels if dataset else _pack_model)(RunDirectory(Path(run)), folder, repo, licence)
        yield Parcel(repo, "dataset" if dataset else "model", private, folder, what)


def push(parcel: Parcel, client: HubClient | None = None) -> str:
    """Send a parcel, and return the address of its page. The token is that of `hf auth login`.

    Raises `ConfigError` without one, `RunError` if the hub refuses it or is not reached; what it has got by then stays.
    """
    if client is None:
        if get_token() is None:
            raise ConfigError("No token of the Hugging Face hub was found: `hf auth login`, then push again.")
        client = cast(HubClient, HfApi())
    try:
        client.create_repo(parcel.repo, repo_type=parcel.kind, private=parcel.private, exist_ok=True)
        # One that was there before stays as visible as it was.
        if parcel.private and not client.repo_info(parcel.repo, repo_type=parcel.kind).private:
            raise ConfigError(
                f"{parcel.repo} is there already and everyone can read it: nothing was sent; take another."
            )
        client.upload_folder(
            repo_id=parcel.repo,
            repo_type=parcel.kind,
            folder_path=parcel.folder,
            commit_message=f"Upload {parcel.kind} with pet",
        )
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RunError(f"The hub did not take {parcel.repo} ({reason}): mend that and push again.") from None
    return f"https://huggingface.co/{'datasets/' if parcel.kind == 'dataset' else ''}{parcel.repo}"


def _pack_model(run: RunDirectory, folder: Path, repo: str, licence: str | None) -> str:
    source = model_folder(run.root)
    shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("_SUCCESS", KEPT_ROWS))
    metrics = read_metrics(run)
    written = (source / "README.md").read_text(encoding="utf-8") if (source / "README.md").is_file() else f"# {repo}\n"
    card = ModelCard(written)
    data: dict[str, Any] = {
        **card.data.to_dict(),  # type: ignore[no-untyped-call]
        "license": licence,
        "model_name": repo.rpartition("/")[2],
        "eval_results": _results(metrics) or None,
    }
    card.data = ModelCardData(**data)
    card.save(folder / "README.md")
    return "the weights, the tokenizer, the names of the labels and the figures of the card; no text of yours"


def _results(metrics: dict[str, Any]) -> list[EvalResult]:
    """Return the test figures of a classifier as the hub's model-index has them."""
    rows = metrics.get("summary", {}).get("rows", ())
    test = next((row["test"] for row in rows if row["name"] == DISTILLED and row["test"]), None)
    if test is None:
        return []
    task = str(metrics["task"])
    return [
        EvalResult("text-classification", task, f"{task}, {test['n']} test rows", kind, test[name], metric_name=said)
        for name, kind, said in (("accuracy", "accuracy", "accuracy"), ("macro_f1", "f1", "macro-F1"))
    ]


def _pack_labels(run: RunDirectory, folder: Path, repo: str, licence: str | None) -> str:
    if not run.pseudo_labels.is_file():
        raise DataError(f"There is no {run.pseudo_labels}: run `pet label` or `pet run` first.")
    if "preliminary" in read_metrics(run):
        raise DataError(f"The labels in {run.root} are preliminary ones: finish the run, then push them.")
    (folder / "data").mkdir()
    shutil.copy2(run.pseudo_labels, folder / "data" / "train.parquet")
    table = pq.read_table(run.pseudo_labels, columns=["label", "source"])
    names = pq.read_schema(run.pseudo_labels).names
    texts = [name for name in names if not is_ours(name)]
    gold = table["source"].to_pylist().count("gold")
    card = _dataset_card(run, repo, licence, (gold, len(table) - gold))
    (folder / "README.md").write_text(card, encoding="utf-8")
    columns = ", ".join(texts)
    return (
        f"this uploads your texts: {len(table)} rows with their columns {columns}, and the labels, votes and "
        "confidences of each"
    )


def _dataset_card(run: RunDirectory, repo: str, licence: str | None, counts: Sequence[int]) -> str:
    gold, pseudo = counts
    tags = ["pet", "machine-generated labels", "weak supervision"]
    data = DatasetCardData(
        license=licence,
        annotations_creators=["machine-generated"],
        task_categories=["text-classification"],
        tags=tags,
        configs=[{"config_name": "default", "data_files": [{"split": "train", "path": "data/train.parquet"}]}],
    )
    lines = [
        f"---\n{data.to_yaml()}\n---",
        "",
        f"# {repo.rpartition('/')[2]}",
        "",
        f"**The labels are machine-made.** Of {gold + pseudo} rows, {gold} were labeled by people (`source` is "
        f"`gold`); {pseudo} got their label from an ensemble of models (`source` is `pseudo`) that learned from these.",
        "",
        "`confidence` is the calibrated probability of the label, `agreement` the weighted share of the voters that "
        "gave it, `prob_*` the probability of each label, `vote_*` what each voter said.",
        "",
        *_thresholds(run),
        *_quality(read_metrics(run)),
        "Made with pet (Pattern-Exploiting Training).",
    ]
    return "\n".join(lines) + "\n"


def _thresholds(run: RunDirectory) -> list[str]:
    """Return a table of confidences and the precision that is expected from each on."""
    form = read_form(run.model) if (run.model / "config.json").is_file() else None
    if form is None or form.acceptance is None:
        return ["From which confidence on labels can be trusted was not measured.", ""]
    found = [(wanted, point) for wanted in PRECISIONS if (point := form.acceptance.reaching(wanted))]
    if not found:
        return ["No confidence is expected to make four in five labels right.", ""]
    lines = [f"| {wanted:.0%} | {point.threshold:.3f} | {point.share:.0%} |" for wanted, point in found]
    head = ["| expected to be right | confidence from | rows |", "| ---: | ---: | ---: |"]
    return ["Thresholds, as the classifier that was trained on these labels expects them:", "", *head, *lines, ""]


def _quality(metrics: dict[str, Any]) -> list[str]:
    rows = {row["name"]: row for row in metrics.get("summary", {}).get("rows", ())}
    ensemble = rows.get("ensemble", {})
    if ensemble.get("test"):
        test = ensemble["test"]
        return [f"On {test['n']} test rows the ensemble that gave them is right on {test['accuracy']:.1%}.", ""]
    if ensemble.get("held_out_accuracy") is not None:
        return [f"On gold rows held out the ensemble is right on {ensemble['held_out_accuracy']:.1%}.", ""]
    return ["Nothing has measured how many of them are right.", ""]
