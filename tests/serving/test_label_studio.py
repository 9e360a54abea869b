"""The ML backend of Label Studio: what it sends, what it is answered, and labels of people that a run reads again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from toy import LABELS

from pet.data.review import Review, read_reviews
from pet.serving.app import Served
from pet.serving.label_studio import Corrections
from pet.serving.server import made_ready
from pet.using.formats.label_studio import label_config
from pet.using.predict import predict

OWN = (
    '<View><Header value="What is it?"/><Text name="body" value="$content"/>'
    '<Choices name="topic" toName="body"><Choice value="Sports"/><Choice value="Business"/><Choice value="Tech"/>'
    '<Choice value="Other"/></Choices></View>'
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "review.csv"


@pytest.fixture
def studio(folder: Path, file: Path, client: Callable[[Served], TestClient]) -> TestClient:
    ready = made_ready(folder)
    return client(Served(ready.classifier, ready.name, ready.labeled, None, Corrections(file, LABELS, "r1")))


def event(label: str | list[str] | None, action: str = "ANNOTATION_CREATED", **changed: Any) -> dict[str, Any]:
    """What a webhook of Label Studio sends, as its reference shows it."""
    value = {"choices": [label] if isinstance(label, str) else label}
    result = [
        {"value": value, "id": "a1", "from_name": "label", "to_name": "text", "type": "choices", "origin": "manual"}
    ]
    annotation = {
        "id": 7,
        "created_username": " ann@example.com, 3",
        "completed_by": 3,
        "result": result if label else [],
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2026-01-01T10:00:00.000000Z",
        "lead_time": 3.1,
        "task": 1,
        "project": 2,
        "parent_prediction": None,
    }
    data = {"pet_id": "unlabeled-1", "pet_run": "r1", "text": "team match", **changed.pop("data", {})}
    task = {"id": 1, "data": data, "meta": {}, "is_labeled": True, "project": 2}
    return {"action": action, "annotation": annotation | changed, "task": task, "project": {"id": 2, "title": "toy"}}


def test_predictions_for_the_interface_of_the_export_and_for_ones_own(studio: TestClient, folder: Path) -> None:
    texts = ["team match won", "bank money shares"]
    expected = predict(folder, texts)
    asked = {"project": "2.1767225600", "model_version": "pet", "params": {"login": None, "context": None}}
    for config, key, names in (
        (label_config(["text"], LABELS), "text", ("label", "text")),
        (OWN, "content", ("topic", "body")),
    ):
        tasks = [{"id": i, "data": {key: text, "pet_id": str(i)}} for i, text in enumerate([*texts, " "])]
        found = studio.post("/predict", json={"tasks": tasks, "label_config": config, **asked}).json()["results"]
        assert [one["score"] for one in found[:2]] == pytest.approx([row.confidence for row in expected], abs=1e-5)
        for one, row in zip(found, expected, strict=False):
            (result,) = one["result"]
            assert (result["from_name"], result["to_name"]) == names
            assert result["value"] == {"choices": [row.label]}
        assert found[2] == {"model_version": "pet", "score": 0.0, "result": []}  # blank: no prediction
        assert studio.post("/setup", json={"project": "2.1", "schema": config}).json() == {"model_version": "pet"}
    assert studio.post("/predict", json={"tasks": [{"data": {"text": " "}}]}).json()["results"][0]["result"] == []
    assert studio.post("/predict", json={"inputs": "team"}).status_code == 200


def test_the_answers_are_what_the_sdk_of_label_studio_reads(studio: TestClient) -> None:
    objects = pytest.importorskip(
        "label_studio_sdk.label_interface.objects", reason="label-studio-sdk brings 25 packages, opencv among them"
    )
    interface = pytest.importorskip("label_studio_sdk.label_interface")
    for config, key in ((label_config(["text"], LABELS), "text"), (OWN, "content")):
        task = {"id": 1, "data": {key: "team match won"}}
        found = studio.post("/predict", json={"tasks": [task], "label_config": config}).json()["results"][0]
        read = objects.PredictionValue.model_validate(found)
        assert read.model_dump() == found
        wrong: list[str] = interface.LabelInterface(config).validate_prediction(found, return_errors=True)
        assert wrong == []
    annotation = objects.AnnotationValue.model_validate(event("Tech")["annotation"])
    assert annotation.completed_by == 3 and annotation.result


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("/setup", {"schema": "<View>"}, "no XML"),
        ("/setup", {"schema": '<!DOCTYPE x [<!ENTITY a "b">]><View/>'}, "a document type"),
        ("/setup", {"schema": OWN.replace("Tech", "Toys")}, "no Choices with 'Tech'"),
        ("/setup", {"schema": 5}, "'schema' is a number"),
        ("/predict", {"tasks": "all"}, "'tasks' is a text, expected a list of tasks"),
        ("/predict", {"tasks": [{"id": 1}]}, "A task has no 'text' in its data, found nothing"),
        ("/predict", {"tasks": [{"data": {"txt": "a"}}]}, "found 'txt'"),
        ("/webhook", {}, "The body has no 'action'"),
        ("/webhook", event("Toys"), "the label 'Toys', expected one of 'Sports'"),
        ("/webhook", event(["Tech", "Sports"]), "several labels"),
        ("/webhook", event("Tech", data={"pet_id": None}), "no pet_id in its data"),
        ("/webhook", event("Tech", data={"pet_run": "r2"}), "is of another run"),
        ("/webhook", event("Tech") | {"task": {}}, "No annotation of choices"),
        ("/webhook", event("Tech") | {"task": []}, "1 annotations of 0 tasks"),
        ("/webhook", event("Tech", result=[5]), "No annotation of choices"),
    ],
)
def test_what_is_wrong_is_said(studio: TestClient, file: Path, path: str, body: object, sentence: str) -> None:
    answer = studio.post(path, json=body)
    assert answer.status_code == 422 and sentence in answer.json()["error"]
    assert not file.exists()


def test_what_people_say_is_kept_as_a_run_reads_it(studio: TestClient, file: Path) -> None:
    assert studio.post("/webhook", json=event("Tech")).json() == {"status": "ok", "kept": 1}
    assert read_reviews(file) == [Review("unlabeled-1", "Tech", "3", "r1", {"text": "team match"})]
    assert studio.post("/webhook", json=event("Sports", "ANNOTATION_UPDATED")).status_code == 201
    assert studio.post("/webhook", json=event("Business", completed_by=4)).status_code == 201
    several = event("Tech", "ANNOTATIONS_CREATED", data={"pet_id": "unlabeled-2"})
    studio.post("/webhook", json=several | {"annotation": [several["annotation"]], "task": [several["task"]]})
    said = {(one.id, one.reviewer): one.label for one in read_reviews(file)}
    assert said == {("unlabeled-1", "3"): "Sports", ("unlabeled-1", "4"): "Business", ("unlabeled-2", "3"): "Tech"}
    before = file.read_bytes()
    for nothing in (
        event(None),
        event("Tech", was_cancelled=True),
        {"action": "PROJECT_UPDATED", "project": {"id": 2}},
        {"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 7}]},
    ):
        answer = studio.post("/webhook", json=nothing)
        assert (answer.status_code, answer.json()["kept"]) == (200, 0)
    assert file.read_bytes() == before


def test_the_labels_of_a_run_go_beside_its_results(copied: Path, client: Callable[[Served], TestClient]) -> None:
    from pet.using.formats.export import export_labels

    tasks = json.loads((export_labels(copied, "label-studio") / "tasks.json").read_text())
    task = next(one for one in tasks if one["predictions"])
    asked = client(made_ready(copied, label_studio=True))
    said = event("Tech", data=task["data"])
    assert asked.post("/webhook", json=said).json()["kept"] == 1
    (review,) = read_reviews(copied / "review.csv")
    assert (review.id, review.label, review.run) == (task["data"]["pet_id"], "Tech", task["data"]["pet_run"])
