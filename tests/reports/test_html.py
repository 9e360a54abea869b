"""The report: what it says is what was measured, and no text of a row is more than text there."""

import base64
import hashlib
import io
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

import pet
from pet.cli import app
from pet.errors import ConfigError, DataError
from pet.reports.html.map import flat
from pet.reports.html.page import TEMPLATES, Section, draw
from pet.reports.html.report import Table, read_report
from pet.reports.html.sections import sections_of
from pet.reports.html.write import draw_report, write_report
from pet.runs.log import RunLog

HOSTILE = (
    "<script>alert(1)</script>",
    "\"quoted' </script><img src=x onerror=alert(1)>",
    "\u202eturned\u202c \u05e9\u05dc\u05d5\u05dd \x1b[31mred",
    "<b>" * 350_000,
    "=HYPERLINK(1) {{ 7 * 7 }} {% raw %}",
)


class Wide(Table):
    """A table of many rows whose texts are those of a small run, again and again, forty times as long."""

    def take(self, places: Any, columns: Any) -> list[dict[str, Any]]:
        """Return rows of the small run."""
        small = super().take(np.asarray(places) % 72, columns)
        return [{name: str(cell) * 40 for name, cell in row.items()} for row in small]


class Page(HTMLParser):
    """What a browser would find in a page: its tags, with what stands in scripts, styles and cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {"script": [], "style": []}
        self.text = ""
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        if tag in self.inside:
            self.inside[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in self.inside:
            self.inside[self._open][-1] += data
        else:
            self.text += data

    @property
    def policy(self) -> str:
        metas = (attributes for tag, attributes in self.tags if tag == "meta")
        return str(next(one["content"] for one in metas if one.get("http-equiv") == "Content-Security-Policy"))

    def data(self, name: str) -> Any:
        scripts = [attributes for tag, attributes in self.tags if tag == "script"]
        place = next(i for i, one in enumerate(scripts) if one.get("id") == f"data-{name}")
        return json.loads(self.inside["script"][place])


def page_of(run: Path) -> Page:
    return Page(write_report(run).read_text(encoding="utf-8"))


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


@pytest.fixture
def copy(both: pet.RunResult, tmp_path: Path) -> Path:
    return Path(shutil.copytree(both.directory, tmp_path / "run"))


def with_texts(run: Path, texts: tuple[str, ...]) -> None:
    """Put texts into the first rows of the pool of a run."""
    path = run / "pseudo_labels.parquet"
    table = pq.read_table(path)
    found, first = table["text"].to_pylist(), table["source"].to_pylist().index("pseudo")
    found[first : first + len(texts)] = texts
    pq.write_table(table.set_column(table.column_names.index("text"), "text", pa.array(found)), path)


def test_every_finished_run_has_one(both: pet.RunResult, three: pet.RunResult) -> None:
    for run in (both, three):
        page = Page((run.directory / "report.html").read_text(encoding="utf-8"))
        names = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
        assert names[:4] == ["trust", "data", "voters", "generations"]
        assert {"confidence", "labels", "simpler", "rows", "cost"} < set(names)
        assert ("map" in names) == (run is both)  # patterns alone keep no vectors
    assert "map" in [
        one["id"] for tag, one in Page((both.directory / "report.html").read_text()).tags if tag == "section"
    ]


def test_its_figures_are_those_of_metrics_json(three: pet.RunResult) -> None:
    metrics = json.loads((three.directory / "metrics.json").read_bytes())
    page = Page((three.directory / "report.html").read_text(encoding="utf-8"))
    for row in metrics["summary"]["rows"]:
        assert row["name"] in page.text
        assert f"{row['test']['accuracy']:.1%}" in page.text
    for one in metrics["generations"]:
        assert f"{one['held_out_accuracy']:.1%}" in page.text
    for one in metrics["analysis"]["voters"]:
        assert {f"{one['conflicts']:.1%}", f"{one['untrained_test_accuracy']:.1%}"} <= set(
            re.findall(r"[\d.]+%", page.text)
        )
    assert f"off by {metrics['analysis']['reliability']['expected_calibration_error']:.1%}" in page.text


def test_what_metrics_json_tells_of_voters_and_labels_is_what_the_rows_say(three: pet.RunResult) -> None:
    metrics = json.loads((three.directory / "metrics.json").read_bytes())
    table = pq.read_table(three.pseudo_labels)
    pool = table.filter(pa.array([source == "pseudo" for source in table["source"].to_pylist()]))
    found = metrics["analysis"]
    votes = [pool[f"vote_{voter['name']}"].to_pylist() for voter in found["voters"]]
    assert found["agreement"][0][1] == pytest.approx(np.mean([a == b for a, b in zip(*votes, strict=True)]))
    assert [voter["coverage"] for voter in found["voters"]] == [1.0, 1.0]
    assert found["voters"][0]["conflicts"] == pytest.approx(1 - found["agreement"][0][1])
    assert sum(found["confidence"]["counts"]) == pool.num_rows
    assert found["confidence"]["mean"] == pytest.approx(np.mean(pool["confidence"].to_pylist()), abs=1e-6)
    test = next(row["test"] for row in metrics["summary"]["rows"] if row["name"] == "distilled classifier")
    for k, line in enumerate(metrics["classifier"]["per_label"]):
        assert line["rows"] == sum(test["confusion"][k])
        assert line["recall"] == pytest.approx(test["confusion"][k][k] / line["rows"])
        assert line["recall_interval"][0] <= line["recall"] <= line["recall_interval"][1]


def test_learning_curves_are_drawn_or_their_absence_told(both: pet.RunResult) -> None:
    report = read_report(both.directory)
    share = {"value": 0.5, "low": 0.4, "high": 0.6}
    points = [{"rows": rows, "accuracy": share} for rows in (3.0, 3.0, 6.0)]
    line = {"points": points, "now": 8.0, "more": 30.0, "gain": {"value": 0.1, "low": -0.1, "high": 0.7}}
    found = {"labels": 3, "rows": 8, "pool": 9, "labeled": line, "unlabeled": None, "sentence": "so", "why": "few"}
    page = Page(draw("t", "", sections_of(replace(report, metrics={**report.metrics, "curve": found}))))
    pictures = [str(one["aria-label"]) for tag, one in page.tags if tag == "svg" and "aria-label" in one]
    told = next(one for one in pictures if one.startswith("By labeled rows: "))
    assert told.endswith("2.0 labeled rows per label, 50.0% (40.0% to 60.0%); "
                         "12.7 labeled rows per label: expected, 60.0% (40.0% to 100.0%)")  # fmt: skip
    assert "So." in page.text and "Few." in page.text
    none = {**found, "labeled": None, "sentence": "few", "why": "few"}
    page = Page(draw("t", "", sections_of(replace(report, metrics={**report.metrics, "curve": none}))))
    assert page.text.count("Few.") == 1


def test_hostile_texts_are_text(copy: Path) -> None:
    with_texts(copy, HOSTILE)
    before = page_of(copy)
    assert "alert(1)" not in "".join(before.inside["script"][-2:])
    assert not [tag for tag, _ in before.tags if tag in ("img", "iframe", "object", "link", "form", "b")]
    assert not [
        name for _, attributes in before.tags for name in attributes if name.startswith("on") or name == "style"
    ]
    texts = before.data("map")["texts"]
    assert "<script>alert(1)</script>" in texts
    assert max(map(len, texts)) <= 161
    assert (copy / "report.html").stat().st_size < 200_000
    assert "\u202e" not in before.text and "\x1b" not in before.text
    assert "49 {% raw %}" not in before.text


def test_hostile_names_of_labels_tasks_and_voters_are_text(both: pet.RunResult) -> None:
    report = read_report(both.directory)
    name = "</script><script>alert(1)</script>"
    rows = replace(report.rows, label=[name] * len(report.rows.ids), ids=[name + one for one in report.rows.ids])
    known = json.loads(json.dumps(report.metrics).replace('"Sports"', json.dumps(name)))
    vector_ids = [name + one for one in report.vector_ids]
    hostile = replace(report, task=name, rows=rows, metrics=known, labels=(name, "b"), vector_ids=vector_ids)
    page = Page(draw(hostile.task, "", sections_of(hostile)))
    own = [attributes for tag, attributes in page.tags if tag == "script" and "type" not in attributes]
    assert len(own) == len(list(TEMPLATES.glob("*.js")))
    assert page.data("map")["labels"] == [name]


def test_the_policy_allows_what_stands_in_the_page_and_nothing_else(both: pet.RunResult) -> None:
    page = page_of(both.directory)
    assert page.policy.startswith("default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-")
    assert "unsafe" not in page.policy and "http" not in page.policy
    scripts = [attributes for tag, attributes in page.tags if tag == "script"]
    pairs = zip(scripts, page.inside["script"], strict=True)
    code = [text for attributes, text in pairs if attributes.get("type") != "application/json"]
    for text in (*page.inside["style"], *code):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in page.policy
    assert not [value for _, attributes in page.tags for value in attributes.values() if "//" in str(value)]


def test_a_section_brings_its_data() -> None:
    page = Page(draw("t", "", [Section("trust", "Trust", [], data={"text": "</script>&\u2028'"})]))
    assert page.data("trust") == {"text": "</script>&\u2028'"}


@pytest.mark.slow
def test_many_labels_and_rows_stay_small(copy: Path) -> None:
    report = read_report(copy)
    labels = tuple(f"label {i}" for i in range(77))
    count = 5000
    ids = [f"row-{i}" for i in range(count)]
    rows = Wide(
        report.rows.path,
        report.rows.fields,
        report.rows.voters,
        ids=ids,
        label=[labels[i % 77] for i in range(count)],
        source=["pseudo"] * count,
        confidence=np.linspace(0.1, 1, count),
        agreement=np.ones(count),
    )
    voters = [{**report.metrics["analysis"]["voters"][0], "name": f"p/{i}+w"} for i in range(12)]
    analysis = {**report.analysis, "voters": voters, "agreement": [[0.9] * 12] * 12}
    shares = dict.fromkeys(labels, 1 / 77)
    generations = [{**one, "shares": shares} for one in report.metrics["generations"]]
    lines = [{**report.metrics["classifier"]["per_label"][0], "label": label} for label in labels]
    summary = json.loads(json.dumps(report.metrics["summary"]))
    for row in summary["rows"]:
        row["test"] = {**row["test"], "labels": list(labels), "confusion": np.ones((77, 77), int).tolist()}
    classifier = {**report.metrics["classifier"], "per_label": lines}
    metrics = {
        **report.metrics,
        "analysis": analysis,
        "generations": generations,
        "summary": summary,
        "classifier": classifier,
    }
    vectors = np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32)

    wide = replace(report, labels=labels, metrics=metrics, rows=rows, vectors=vectors, vector_ids=ids)
    text = draw("wide", "", sections_of(wide))
    assert len(text.encode()) < 2_000_000
    page = Page(text)
    assert "67 more labels" in page.text  # the worst ten are shown
    assert len(page.data("map")["texts"]) == 1000


def test_a_drawing_that_fails_costs_no_run(copy: Path, tmp_path: Path) -> None:
    (copy / "metrics.json").write_text("{")
    told = io.StringIO()
    draw_report(copy, RunLog(tmp_path / "run.log", told))
    assert told.getvalue().startswith("! warning: report.html could not be drawn (DataError: ")


def test_the_command_writes_it_anew_or_elsewhere(copy: Path, tmp_path: Path) -> None:
    (copy / "report.html").unlink()
    assert command(copy).stdout == f"report            {copy / 'report.html'}\n"
    assert (copy / "report.html").is_file()
    elsewhere = tmp_path / "other.html"
    assert command(copy, "--output", elsewhere).exit_code == 0
    assert elsewhere.is_file()


def wrong(copied: Path) -> Iterator[tuple[Path, type[Exception], str]]:
    """Yield a folder that is no finished run, the error and what it says."""
    yield copied / "nothing", ConfigError, "is no run directory: give one that `pet run` has made"
    (copied / "metrics.json").unlink()
    yield copied, DataError, "is not finished (metrics.json is missing): give `pet run` again"
    (copied / "metrics.json").write_text('{"preliminary": ["a"]}')
    yield copied, DataError, "is not finished (its labels are preliminary)"
    (copied / "metrics.json").write_text("{")
    yield copied, DataError, "metrics.json is missing or damaged (JSONDecodeError"


def test_what_is_no_finished_run_is_told(copied: Path) -> None:
    for run, kind, message in wrong(copied):
        with pytest.raises(kind, match=re.escape(message)):
            write_report(run)
        result = command(run)
        assert result.exit_code == 2
        assert message in result.stderr


def test_a_place_that_cannot_be_written_is_told(copied: Path, tmp_path: Path) -> None:
    result = command(copied, "--output", tmp_path / "no" / "report.html")
    assert result.exit_code == 2
    assert "cannot be written: give a file in a folder that is there" in result.stderr


def test_rows_that_a_person_has_taken_out_or_added_are_no_obstacle(copy: Path) -> None:
    path = copy / "pseudo_labels.parquet"
    table = pq.read_table(path)
    new = [dict.fromkeys(table.column_names) | {"id": "new", "text": "new row", "label": "Tech"}]
    pq.write_table(pa.concat_tables([table.slice(0, 60), pa.Table.from_pylist(new, schema=table.schema)]), path)
    assert "A map of the pool" in page_of(copy).text


def test_equal_vectors_make_a_map_too() -> None:
    assert flat(np.ones((9, 4), np.float32), 0).tolist() == [[500, 500]] * 9
