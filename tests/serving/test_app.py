"""The endpoints, asked in this process: the schema of text-embeddings-inference, refusals, the token, the pages."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient
from toy import LABELS, rows_of

from pet.data.examples import Example
from pet.learners.students.sketch import Scorer, sketched
from pet.serving.app import Served
from pet.serving.bodies import MOST_BYTES
from pet.serving.server import made_ready
from pet.using.predict import predict

TEXTS = ["team match won", "bank money shares", "good [MASK] film", "robot code data"]


def scores(said: list[dict[str, Any]]) -> list[float]:
    by_label = {one["label"]: one["score"] for one in said}
    return [by_label[label] for label in LABELS]


def test_answers_are_those_of_predict_whatever_the_form(one: TestClient, folder: Path) -> None:
    expected = np.asarray([list(row.probs.values()) for row in predict(folder, TEXTS)])
    for inputs in (TEXTS, [[text] for text in TEXTS]):
        found = one.post("/predict", json={"inputs": inputs}).json()
        assert np.asarray([scores(row) for row in found]) == pytest.approx(expected, abs=1e-5)
        assert all([part["score"] for part in row] == sorted(scores(row), reverse=True) for row in found)
    alone = one.post("/predict", json={"inputs": TEXTS[0]}).json()
    assert scores(alone) == pytest.approx(expected[0], abs=1e-5)  # one text: no list around it
    two = one.post("/predict", json={"inputs": TEXTS[:2]}).json()
    assert len(two) == 2  # two texts are no pair where one is read
    raw = one.post("/predict", json={"inputs": TEXTS, "raw_scores": True, "truncate": True}).json()
    assert np.exp([scores(row) for row in raw]) == pytest.approx(expected, abs=1e-4)


def test_pairs(pairs: Path, client: Callable[[Served], TestClient]) -> None:
    asked, rows = client(made_ready(pairs)), [("team game", "phone"), ("good film", "bank")]
    expected = [list(row.probs.values()) for row in predict(pairs, rows)]
    assert scores(asked.post("/predict", json={"inputs": rows[0]}).json()) == pytest.approx(expected[0], abs=1e-5)
    found = asked.post("/predict", json={"inputs": rows}).json()
    assert np.asarray([scores(row) for row in found]) == pytest.approx(np.asarray(expected), abs=1e-5)
    for inputs in ("one", ["one"], [["one"]], ["a", "b", "c"], [["a", "b", "c"]]):
        answer = asked.post("/predict", json={"inputs": inputs})
        assert answer.status_code == 422
        assert "expected 2: this classifier reads 'premise', 'hypothesis'" in answer.json()["error"]
    assert asked.get("/info").json()["fields"] == ["premise", "hypothesis"]


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"nope", 422, "The body is no JSON"),
        (b"[" * 100_000, 422, "The body is no JSON"),
        (b'{"inputs": "\xff"}', 422, "The body is no JSON"),
        (b"[1]", 422, "The body is a list of a number, expected an object"),
        (b"{}", 422, "The body has no 'inputs', found nothing: give a text"),
        (b'{"input": "a"}', 422, "found 'input'"),
        (b'{"inputs": 5}', 422, "'inputs' is a number, expected a text"),
        (b'{"inputs": null}', 422, "'inputs' is null"),
        (b'{"inputs": {"text": "a"}}', 422, "'inputs' is an object"),
        (b'{"inputs": ["a", ["b"]]}', 422, "'inputs' is a list of a text and a list of a text"),
        (b'{"inputs": []}', 422, "an empty list"),
        (b'{"inputs": [[]]}', 422, "Row 0 has 0 texts"),
        (b'{"inputs": ""}', 422, "Row 0 is blank"),
        (b'{"inputs": ["a", " "]}', 422, "Row 1 is blank"),
        (b'{"inputs": "\\ud800"}', 422, "no text"),
        (b'{"inputs": [["a", "b"]]}', 422, "Row 0 has 2 texts, expected 1: this classifier reads 'text'"),
        (b'{"inputs": "a", "truncate": "no"}', 422, "'truncate' is a text, expected true"),
        (json.dumps({"inputs": "a " * 30, "truncate": False}).encode(), 200, ""),
        (json.dumps({"inputs": "a " * 60, "truncate": False}).encode(), 413, "more than 32 tokens"),
        (json.dumps({"inputs": "a " * 60}).encode(), 200, ""),
        (json.dumps({"inputs": "a " * 500_000}).encode(), 413, "1,000,000 characters, expected at most"),
        (json.dumps({"inputs": ["a"] * 10_000}).encode(), 413, "10,000 rows in one request"),
        (b" " * (MOST_BYTES + 1), 413, "more than 2,000,000 bytes"),
    ],
)
def test_bad_bodies_get_a_sentence(one: TestClient, body: bytes, status: int, sentence: str) -> None:
    answer = one.post("/predict", content=body, headers={"content-type": "application/json; charset=utf-8"})
    assert answer.status_code == status
    if status != 200:
        assert sentence in answer.json()["error"] and answer.json()["error"].endswith(".")
        assert answer.json()["error_type"] == "validation"


def test_what_is_not_there_and_what_no_page_of_another_site_may_send(one: TestClient) -> None:
    assert one.post("/predict", content=b'{"inputs": "a"}').status_code == 415
    assert one.get("/predict").json()["error"].startswith("GET is not for /predict")
    assert one.get("/nowhere").json()["error"].startswith("There is no /nowhere here")
    assert one.post("/webhook", json={}).status_code == 404  # without --label-studio


def test_a_token(folder: Path, client: Callable[[Served], TestClient]) -> None:
    asked = client(made_ready(folder, "s3cret"))
    body = {"inputs": "team"}
    for headers in (
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer "},
        {"authorization": "Basic ???"},
    ):
        answer = asked.post("/predict", json=body, headers=headers)
        assert answer.status_code == 401 and "token" in answer.json()["error"]
    assert asked.post("/predict", json=body, headers={"authorization": "Bearer s3cret"}).status_code == 200
    assert asked.post("/predict", json=body, auth=("anybody", "s3cret")).status_code == 200
    assert asked.get("/metrics").status_code == asked.get("/info").status_code == 401
    for path in ("/", "/docs", "/health", "/v2/health/live", "/v2/health/ready"):
        assert asked.get(path).status_code == 200


def test_info_health_and_figures(one: TestClient) -> None:
    info = one.get("/info").json()
    assert info["model_type"]["classifier"]["id2label"] == {str(i): label for i, label in enumerate(LABELS)}
    assert (info["max_input_length"], info["max_client_batch_size"], info["auto_truncate"]) == (32, 1024, True)
    assert one.get("/health").json()["status"] == "UP"
    one.post("/predict", json={"inputs": TEXTS})
    one.post("/predict", json={"inputs": 5})
    figures = one.get("/metrics").text
    for line in (
        'pet_requests_total{path="/predict",status="200"} 1.0',
        'pet_requests_total{path="/predict",status="422"} 1.0',
        "pet_rows_total 4.0",
        "pet_confidence_count 4.0",
        "pet_batch_rows_sum 4.0",
        'pet_request_seconds_count{path="/predict"} 2.0',
    ):
        assert line in figures
    given = re.findall(r'pet_labels_total\{label="\w+"\} (\d)', figures)
    assert sum(map(int, given)) == 4


def test_the_pages_load_nothing_and_the_endpoints_are_described(one: TestClient) -> None:
    for path in ("/", "/docs"):
        page = one.get(path)
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert not re.findall(r"""(?:src|href)=["'](?!/|#)""", page.text)
        assert "http" not in re.sub(r"http://(www\.w3\.org/2000/svg|HOST)", "", page.text)
    described = one.get("/openapi.json").json()
    assert {"/predict", "/nearest", "/info", "/health", "/metrics"} <= described["paths"].keys()
    body = described["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["properties"]) == {"inputs", "truncate", "raw_scores"}
    assert "/predict" in one.get("/docs").text and "raw_scores" in one.get("/docs").text


def test_nearest_labeled_rows(one: TestClient, folder: Path, client: Callable[[Served], TestClient]) -> None:
    kept = [json.loads(line) for line in (folder / "labeled_rows.jsonl").read_text().splitlines()]
    found = one.post("/nearest", json={"inputs": [row["fields"]["text"] for row in kept]}).json()["nearest"]
    assert [near[0]["id"] for near in found] == [row["id"] for row in kept]
    assert all(near[0]["similarity"] == pytest.approx(1.0, abs=1e-3) and len(near) == 3 for near in found)
    assert one.post("/nearest", json={"inputs": ["a"] * 65}).status_code == 413


def test_without_labeled_rows_it_says_so(folder: Path, tmp_path: Path, client: Callable[[Served], TestClient]) -> None:
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).symlink_to(folder / name)
    asked = client(made_ready(tmp_path))
    answer = asked.post("/nearest", json={"inputs": "a"}).json()
    assert answer["nearest"] is None and "No labeled rows lie beside" in answer["reason"]
    assert "No labeled rows lie beside" in asked.get("/").text


def test_figures_tell_the_pool_beside_what_is_asked_now(folder: Path, client: Callable[[Served], TestClient]) -> None:
    served = made_ready(folder)
    rows = [Example(row["id"], {"text": str(row["text"])}) for row in rows_of("unlabeled", 80)]
    sketch = sketched(served.classifier, rows[:120], rows[120:], np.random.default_rng(0))
    assert sketch is not None and sketch.vectors is not None
    found = client(replace(served, sketch=sketch))
    pool = Scorer.of(served.classifier, sketch).facts(rows)
    assert pool.distances is not None and sketch.limit is not None
    order = np.argsort(pool.distances)  # the farthest are beyond the limit, or at it
    far, near = ([rows[i].fields["text"] for i in places] for places in (order[-3:], order[:5]))
    beyond = int((pool.distances[order[-3:]] > sketch.limit).sum())
    found.post("/predict", json={"inputs": far + near})
    figures = found.get("/metrics").text
    assert f"pet_unfamiliar_rows_total {beyond}.0" in figures
    shares = re.findall(r'pet_pool_label_share\{label="\w+"\} ([\d.]+)', figures)
    assert sum(map(float, shares)) == pytest.approx(1)
    assert (
        found.post("/predict", json={"inputs": TEXTS[0]}).json()
        == client(served).post("/predict", json={"inputs": TEXTS[0]}).json()
    )


def test_what_a_classifier_cannot_compute_is_said(folder: Path, client: Callable[[Served], TestClient]) -> None:
    """The row that is to blame fails alone."""
    served = made_ready(folder)

    class Failing:
        form, tokenizer = served.classifier.form, served.classifier.tokenizer

        def probabilities(self, rows: Any, advance: Any) -> np.ndarray:
            from pet.errors import RunError

            if any("bad" in row.fields["text"] for row in rows):
                raise RunError("The model gives no numbers.")
            return served.classifier.probabilities(rows)

    asked = client(Served(Failing(), "x", "none"))  # type: ignore[arg-type]
    answer = asked.post("/predict", json={"inputs": "bad"})
    assert (answer.status_code, answer.json()) == (
        500,
        {"error": "The model gives no numbers.", "error_type": "backend"},
    )
    assert asked.post("/predict", json={"inputs": ["good", "bad"]}).status_code == 500
    assert asked.post("/predict", json={"inputs": "good"}).status_code == 200
