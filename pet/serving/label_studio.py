"""The ML backend of Label Studio: predictions with scores for its tasks, and what people say of them.

Sources: the endpoints of label-studio-ml-backend (https://github.com/HumanSignal/label-studio-ml-backend), and Label
Studio's webhooks (https://labelstud.io/guide/webhook_reference.html).
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from pydantic import BaseModel, Field

from pet.data.examples import Example
from pet.data.review import Review, read_reviews, write_reviews
from pet.errors import DataError, shown
from pet.learners.students.base import ClassifierForm
from pet.serving.refusals import Refused
from pet.serving.texts import MOST_ROWS
from pet.settings.task import label_word
from pet.using.formats.label_studio import label_config, said_in_task
from pet.using.inputs import rows_of

VERSION = "pet"
"""The version of the model, as exports to Label Studio have it."""

ADDED, CHANGED = ("ANNOTATION_CREATED", "ANNOTATIONS_CREATED"), "ANNOTATION_UPDATED"


class SetupRequest(BaseModel):
    """A project that is connected."""

    label_config: str | None = Field(None, alias="schema", description="The labeling interface of the project, XML.")


class TasksRequest(BaseModel):
    """Tasks to label."""

    tasks: list[dict[str, Any]] = Field(description="A list of tasks, each with its data.")
    label_config: str | None = Field(None, description="The labeling interface of the project, XML.")


class WebhookRequest(BaseModel):
    """What has happened in a project; other events than those of annotations have other fields."""

    action: str = Field(description="The name of an event, such as ANNOTATION_CREATED.")
    annotation: dict[str, Any] | list[dict[str, Any]] = Field(
        default_factory=list, description="An annotation, or a list of them."
    )
    task: dict[str, Any] | list[dict[str, Any]] = Field(
        default_factory=list, description="The task of each annotation."
    )


@dataclass(frozen=True)
class Interface:
    """Which choice of a labeling interface a label is, about which text, and where tasks have each field."""

    choices: str
    about: str
    keys: Mapping[str, str]

    @classmethod
    def of(cls, config: str | None, form: ClassifierForm) -> "Interface":
        """Read a labeling interface; without one it is that of `pet export --to label-studio`.

        Raises `Refused` with 422 if it is no XML, or has no single choice among all labels of the classifier.
        """
        root = _parsed(config or label_config(list(form.columns), form.labels))
        offered = {tag.get("name", ""): _values(tag) for tag in root.iter("Choices")}
        fitting = [tag for tag in root.iter("Choices") if _values(tag) >= set(form.labels)]
        if not fitting:
            lacking = [label for label in form.labels if not any(label in one for one in offered.values())]
            named = ", ".join(map(shown, (lacking or form.labels)[:12]))
            raise Refused(
                422,
                f"The labeling interface has no Choices with {named}: give it one Choice for each label, by its name.",
            )
        about = fitting[0].get("toName", "").split(",")[0]
        variables = {
            tag.get("name"): tag.get("value", "") for tag in root.iter() if tag.get("value", "").startswith("$")
        }
        keys = {name: variables.get(name, "").lstrip("$") or column for name, column in form.columns.items()}
        if len(keys) == 1 and about in variables:
            keys = dict.fromkeys(keys, variables[about].lstrip("$"))
        return cls(fitting[0].get("name", ""), about, keys)

    def texts(self, data: Mapping[str, Any]) -> dict[str, str]:
        """Return the text of each field in the data of a task.

        Raises `Refused` with 422 if one is missing.
        """
        if missing := [key for key in self.keys.values() if key not in data]:
            found = ", ".join(map(shown, list(data)[:12])) or "nothing"
            raise Refused(422, f"A task has no {shown(missing[0])} in its data, found {found}: name the text so there.")
        return {name: str(data[key]) for name, key in self.keys.items()}

    def prediction(self, label: str, confidence: float) -> dict[str, Any]:
        """Return a prediction as Label Studio takes it."""
        result = {"from_name": self.choices, "to_name": self.about, "type": "choices", "value": {"choices": [label]}}
        return {"model_version": VERSION, "score": round(confidence, 6), "result": [result]}


def _parsed(config: str) -> ElementTree.Element:
    if "<!" in config.replace("<!--", ""):  # entities of a document type may grow without end
        raise Refused(422, "The labeling interface has a document type, expected tags alone: leave it out.")
    try:
        return ElementTree.fromstring(config)
    except ElementTree.ParseError as error:
        raise Refused(
            422, f"The labeling interface is no XML ({error}): send the project's labeling interface."
        ) from None


def _values(choices: ElementTree.Element) -> set[str]:
    return {tag.get("alias") or tag.get("value") or "" for tag in choices.iter("Choice")}


@dataclass(frozen=True)
class Tasks:
    """Tasks that were asked about: the rows of those that have a text, and their places among all."""

    count: int
    places: Sequence[int]
    rows: Sequence[Example]
    interface: Interface

    @classmethod
    def of(cls, request: TasksRequest, form: ClassifierForm) -> "Tasks":
        """Read the tasks of a request; one whose texts are blank gets no prediction.

        Raises `Refused` with 413 if they are too many, 422 if one lacks a text.
        """
        if len(request.tasks) > MOST_ROWS:
            raise Refused(413, f"{len(request.tasks):,} tasks in one request, expected at most {MOST_ROWS:,}.")
        interface = Interface.of(request.label_config, form)
        texts = [interface.texts(task.get("data") or {}) for task in request.tasks]
        places = [place for place, one in enumerate(texts) if any(map(str.strip, one.values()))]
        try:
            rows = rows_of([texts[place] for place in places], dict(zip(form.columns, form.columns, strict=True)))
        except DataError as error:
            raise Refused(422, str(error)) from None
        return cls(len(texts), places, rows, interface)

    @property
    def none(self) -> list[dict[str, Any]]:
        """No prediction for each task."""
        return [{"model_version": VERSION, "score": 0.0, "result": []} for _ in range(self.count)]

    def predictions(self, probs: np.ndarray, labels: Sequence[str]) -> list[dict[str, Any]]:
        """Return a prediction for each task, by the probabilities of the rows, float32 [r, k]."""
        found = self.none
        for place, row in zip(self.places, probs, strict=True):
            found[place] = self.interface.prediction(labels[int(row.argmax())], float(row.max()))
        return found


@dataclass
class Corrections:
    """The file in which labels of people are kept, in the form that `pet run --reviewed` reads.

    `run` says whose rows they are ("": not known); of a row each person's last label counts.
    """

    file: Path
    labels: Sequence[str]
    run: str = ""
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def hear(self, request: WebhookRequest) -> int:
        """Keep what an event says of rows; return of how many.

        Raises `Refused` with 422 if a task is not of the run, or a label not of the classifier.
        """
        if request.action not in (*ADDED, CHANGED):
            return 0
        said = list(self._said(request))
        if said:
            async with self._lock:
                await asyncio.to_thread(self._keep, said)
        return len(said)

    def _said(self, request: WebhookRequest) -> Iterator[Review]:
        annotations, tasks = ([one] if isinstance(one, dict) else one for one in (request.annotation, request.task))
        if len(annotations) != len(tasks):
            raise Refused(422, f"{len(annotations)} annotations of {len(tasks)} tasks, expected the task of each.")
        for annotation, task in zip(annotations, tasks, strict=True):
            try:
                said = said_in_task({"data": task["data"], "annotations": [annotation]})
                name, run = said.data.get("pet_id"), str(said.data.get("pet_run") or "")
            except (KeyError, TypeError, AttributeError):
                raise Refused(422, f"No annotation of choices, found {shown(annotation, 100)}.") from None
            if not said.labels:  # skipped, or emptied
                continue
            label = said.label and label_word(said.label)
            self._check(name, run, label)
            texts = {
                key: text for key, text in said.data.items() if isinstance(text, str) and not key.startswith("pet_")
            }
            yield Review(str(name), label, said.reviewer, run, texts)

    def _check(self, name: object, run: str, label: str | None) -> None:
        if not isinstance(name, str | int) or name == "":
            raise Refused(
                422, "The task has no pet_id in its data: import tasks.json of `pet export RUN --to label-studio`."
            )
        if run and self.run and run != self.run:
            raise Refused(422, f"The task {shown(name)} is of another run: import the tasks of the run that is served.")
        if label not in self.labels:
            found = "several labels" if label is None else f"the label {shown(label)}"
            named = ", ".join(map(shown, self.labels[:12]))
            raise Refused(422, f"The task {shown(name)} has {found}, expected one of {named}.")

    def _keep(self, said: Sequence[Review]) -> None:
        before = read_reviews(self.file, some=False) if self.file.is_file() else []
        kept = {(one.id, one.reviewer): one for one in (*before, *said)}
        write_reviews(self.file, list(kept.values()))
