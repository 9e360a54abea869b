"""The whole loop: a run asks for labels, a person gives them in a browser or a terminal, the run goes on with them."""

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from toy import LABELS, rows_of, write_rows, write_task
from typer.testing import CliRunner

import pet
from pet.cli import app
from pet.data.review import Review, read_reviews, write_reviews
from pet.errors import DataError
from pet.learners.models.encoder import Encoder
from pet.reports.review import to_review
from pet.runs.jobs import JobStore
from pet.runs.manifest import Manifest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

HOSTILE = '<script>window.hit = 1</script><img src=x onerror="window.hit = 1"> "team" won'
Configured = Callable[..., pet.RunConfig]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, tiny_encoder: Path) -> Path:
    """A toy task whose whole pool is asked for, with hostile texts and ids in it."""
    found = write_task(tmp_path_factory.mktemp("loop"), tiny_model, train=4, unlabeled=6, encoder=tiny_encoder)
    rows = [{**row, "label": None} for row in rows_of("unlabeled", 6)]
    rows[0] |= {"id": "=cmd()", "text": HOSTILE}
    rows[1] |= {"text": "=1+1 bank\nmarket, money"}
    write_rows(found.parent / "unlabeled.jsonl", rows)
    return found


@pytest.fixture(scope="module")
def configured(pipeline: Path) -> Configured:
    return lambda *changes: pet.RunConfig.from_toml(pipeline, ["train.preset=fast", "run.baseline=false", *changes])


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, configured: Configured) -> Path:
    """The run before anybody has labeled a row of it; do not change it."""
    return pet.run(configured(), tmp_path_factory.mktemp("runs") / "begun", quiet=True).directory


@pytest.fixture
def run(begun: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(begun, tmp_path / "run"))


@pytest.fixture
def page(browser: "Browser", run: Path) -> "Iterator[Page]":
    """The report in a browser, of which nothing may complain."""
    context = browser.new_context(accept_downloads=True)
    found, said = context.new_page(), list[str]()
    found.on("console", lambda message: said.append(message.text))
    found.on("pageerror", lambda error: said.append(str(error)))
    found.goto((run / "report.html").as_uri())
    yield found
    context.close()
    assert said == []


def saved(page: "Page", path: Path) -> Path:
    with page.expect_download() as download:
        page.get_by_role("button", name="Save review.csv").click()
    assert download.value.suggested_filename == "review.csv"
    download.value.save_as(path)
    return path


def embeds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("the pool is read again")

    monkeypatch.setattr(Encoder, "embed", fail)


def test_five_labels_by_keyboard_count_in_the_same_run(
    page: "Page", run: Path, configured: Configured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [row for row in to_review(run, 20).rows if not row.gold]
    page.locator("#review-card").focus()
    for key in "12311":
        page.keyboard.press(key)
    page.keyboard.press("u")
    assert "Row 5 of" in page.locator("#review-place").inner_text()
    assert "taken back" in page.locator("#review-said").inner_text()
    page.keyboard.press("2")
    page.reload()  # what was said is still there
    assert "5 labeled" in page.locator("#review-place").inner_text()
    file = saved(page, tmp_path / "review.csv")
    given = [LABELS[place] for place in (0, 1, 2, 0, 1)]
    identity = json.loads((run / "manifest.json").read_text())["identity"]["data"]
    expected = [Review(row.id, label, "", identity, row.fields) for row, label in zip(asked[:5], given, strict=True)]
    write_reviews(tmp_path / "ours.csv", expected)
    assert file.read_bytes() == (tmp_path / "ours.csv").read_bytes()

    before = Manifest.from_file(run / "manifest.json")
    embeds_nothing(monkeypatch)
    result = pet.run(configured(f"data.reviewed={json.dumps([str(file)])}"), run, quiet=True)
    assert (result.reviewed or "").startswith("5 rows count of review.csv: 5 new gold rows")
    table = pq.read_table(result.pseudo_labels).to_pylist()
    gold = {row["id"]: row["label"] for row in table if row["source"] == "gold"}
    assert len(gold) == 17
    assert {row.id: gold[row.id] for row in asked[:5]} == {one.id: one.label for one in expected}
    assert len(table) == 12 + 18
    assert json.loads((run / "metrics.json").read_text())["reviewed"]["new"] == 5
    after = Manifest.from_file(run / "manifest.json")
    assert before is not None and after is not None
    assert after.identity == before.identity
    assert not {row.id for row in to_review(run, 20).rows if not row.gold} & set(gold)


def test_hostile_texts_are_inert_in_the_page_and_in_the_file(page: "Page", tmp_path: Path) -> None:
    page.locator("#review-card").focus()
    rows = json.loads(page.locator("#data-review").inner_text() or page.locator("#data-review").text_content() or "")
    for row in rows["rows"]:
        if row["id"] in ("=cmd()", "unlabeled-1"):
            assert page.locator(".review-text").inner_text() == row["fields"]["text"]
            page.keyboard.press("d")
        else:
            page.keyboard.press("s")
    assert page.evaluate("window.hit") is None
    file = saved(page, tmp_path / "review.csv")
    cells = [cell for row in csv.reader(io.StringIO(file.read_text("utf-8-sig"))) for cell in row]
    assert "'=cmd()" in cells
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
    assert {(one.id, one.label) for one in read_reviews(file)} == {("=cmd()", None), ("unlabeled-1", None)}


def test_of_many_labels_one_is_found_by_typing(browser: "Browser", run: Path) -> None:
    path = run / "report.html"
    labels = [f"label {number}" for number in range(12)]
    path.write_text(path.read_text().replace(json.dumps(list(LABELS), separators=(",", ":")), json.dumps(labels)))
    page = browser.new_page()
    page.goto(path.as_uri())
    page.locator("#review-card").focus()
    page.keyboard.type("label 11")
    assert page.locator("#review-labels button").count() == 1
    page.keyboard.press("Enter")
    assert "label 11" in page.locator("#review-said").inner_text()
    assert page.evaluate("document.activeElement.id") == "review-card"
    page.close()


def test_on_the_terminal_labels_are_kept_and_not_asked_for_again(run: Path, configured: Configured) -> None:
    runner = CliRunner()
    found = json.loads(runner.invoke(app, ["next", str(run), "-n", "3", "--json"]).stdout)
    ids = [row["id"] for row in found["rows"] if not row["gold"]]
    answered = runner.invoke(app, ["next", str(run), "-n", "3", "--label"], input="1\nd\nq\n")
    assert answered.exit_code == 0
    assert "2 rows labeled in" in answered.stdout
    assert [(one.id, one.label) for one in read_reviews(run / "review.csv")] == [(ids[0], LABELS[0]), (ids[1], None)]
    later = json.loads(runner.invoke(app, ["next", str(run), "-n", "3", "--json"]).stdout)
    assert not {row["id"] for row in later["rows"]} & set(ids[:2])
    # The command that it names goes on in the same directory.
    again = runner.invoke(app, [*answered.stdout.splitlines()[-1].split()[1:]])
    assert again.exit_code == 0, again.output
    assert "2 rows count of review.csv: 1 new gold row, 1 left out since no label fits" in again.stdout


def test_the_labels_are_those_of_gold_rows_from_the_start_and_without_the_file_as_they_were(
    run: Path, configured: Configured, pipeline: Path, tmp_path: Path
) -> None:
    before = (run / "pseudo_labels.parquet").read_bytes()
    said = {"unlabeled-4": "Tech", "unlabeled-7": "Business"}
    write_reviews(tmp_path / "r.csv", [Review(name, label) for name, label in said.items()])
    found = pet.run(configured(f"data.reviewed={json.dumps([str(tmp_path / 'r.csv')])}"), run, quiet=True)
    parts = [(pipeline.parent / f"{part}.jsonl").read_text().splitlines() for part in ("train", "unlabeled")]
    train, rows = ([json.loads(line) for line in part] for part in parts)
    moved = [{**row, "label": said[row["id"]]} for row in rows if row["id"] in said]
    write_rows(tmp_path / "train.jsonl", [*train, *moved])
    write_rows(tmp_path / "pool.jsonl", [row for row in rows if row["id"] not in said])
    files = [f"data.train={tmp_path / 'train.jsonl'}", f"data.unlabeled={tmp_path / 'pool.jsonl'}"]
    other = pet.run(configured(*files), tmp_path / "other", quiet=True)
    assert found.soft_labels.ids == other.soft_labels.ids
    assert found.soft_labels.probs == pytest.approx(other.soft_labels.probs, abs=1e-3)
    assert (run / "pseudo_labels.parquet").read_bytes() != before
    jobs = len(list((run / "jobs").iterdir()))
    pet.run(configured(), run, quiet=True)
    assert (run / "pseudo_labels.parquet").read_bytes() == before
    assert len(list((run / "jobs").iterdir())) == jobs


def test_a_run_without_vectors_says_so_and_gold_rows_that_voters_contradict_come_last(
    begun: Path, finished: pet.RunResult, tmp_path: Path
) -> None:
    assert to_review(begun, 3).notes == ()
    plain = to_review(finished.directory, 3)
    assert "no vectors" in plain.notes[0]
    assert [row.gold for row in to_review(begun, 3).rows][:3] == [False] * 3
    copied = Path(shutil.copytree(finished.directory, tmp_path / "torn"))
    (copied / "pseudo_labels.parquet").unlink()
    with pytest.raises(DataError, match="not labeled yet"):
        to_review(copied, 3)
    assert JobStore(begun / "jobs").finished()["embeddings/tiny-encoder"] == 1
