"""A whole run with votes from elsewhere: told apart, weighed, and redone only where they change."""

import json
from pathlib import Path

import pyarrow.parquet as pq
from toy import rows_of, write_rows, write_task
from typer.testing import CliRunner

import pet
from pet.cli import app
from pet.pipeline import label
from pet.reports.explain import explain
from pet.reports.explain_lines import explanation_lines


def votes_of(folder: Path, wrong: int = 0) -> None:
    rows = [*rows_of("train", 4), *rows_of("unlabeled", 12)]
    said = [{"id": row["id"], "label": "Tech" if i < wrong else row["label"]} for i, row in enumerate(rows)]
    write_rows(folder / "llm.jsonl", [row for i, row in enumerate(said) if i % 2 == 0])


def test_a_run_with_outside_votes(tmp_path: Path, tiny_model: Path) -> None:
    pipeline = write_task(tmp_path, tiny_model)
    votes_of(tmp_path)
    pool = [
        {**row, "label": None, "rule_a": row["label"] if row["shelf"] < 9 else ""} for row in rows_of("unlabeled", 12)
    ]
    write_rows(tmp_path / "unlabeled.jsonl", pool)
    tables = '[[votes]]\nfile = "llm.jsonl"\n[[votes]]\ncolumn = "rule_a"\n'
    text = pipeline.read_text("utf-8").replace('weighting = "uniform"', 'weighting = "auto"')
    pipeline.write_text(text.replace('mean = "raw"', 'mean = "calibrated"') + tables, "utf-8")
    checked = CliRunner().invoke(app, ["check", str(pipeline)])
    line = "outside votes llm (llm.jsonl): on 18 of 36 unlabeled rows and 6 of 12 labeled ones, of which 6 are right"
    assert line in checked.output
    config, place = pet.RunConfig.from_toml(pipeline), tmp_path / "run"
    done = pet.run(config, place, quiet=True)
    told = {one["name"]: one for one in json.loads((place / "metrics.json").read_bytes())["votes"]}
    assert told["llm"]["voter"] == "outside+llm" and told["llm"]["weight"] > 0
    assert (told["rule_a"]["unlabeled_votes"], told["rule_a"]["labeled_votes"]) == (9, 0)
    table = pq.read_table(done.pseudo_labels).to_pydict()
    given = dict(zip(table["id"], table["vote_outside+llm"], strict=True))
    assert given["unlabeled-0"] == rows_of("unlabeled", 12)[0]["label"] and given["unlabeled-1"] is None
    lines = "\n".join(explanation_lines(explain(place, "unlabeled-1")))
    assert "outside+llm (llm.jsonl)" in lines and "no vote" in lines
    assert explain(place, "unlabeled-0").as_json()["generations"][0]["voters"][2]["outside"] == "llm.jsonl"
    assert "2 of 2 voters trained on it" in "\n".join(explanation_lines(explain(place, "train-0")))
    assert done.summary is not None
    assert [row.name for row in done.summary.rows][3:5] == ["outside+llm", "outside+rule_a"]
    # Other votes: the voters are not trained anew, the labels and the classifier are.
    before = {path.name for path in (place / "jobs").iterdir()}
    votes_of(tmp_path, wrong=30)
    again = label(config, place, quiet=True)
    assert again.soft_labels.probs.tolist() != done.soft_labels.probs.tolist()
    assert {path.name for path in (place / "jobs").iterdir()} == before
    assert pq.read_table(done.pseudo_labels).to_pydict()["vote_outside+llm"] != table["vote_outside+llm"]


def test_generations_grow_with_outside_votes(tmp_path: Path, tiny_model: Path) -> None:
    pipeline = write_task(tmp_path, tiny_model)
    votes_of(tmp_path)
    pipeline.write_text(pipeline.read_text("utf-8") + '[votes]\nfile = "llm.jsonl"\n', "utf-8")
    settings = ("ipet.generations=2", "ipet.growth=2", "ipet.accept_all=true", "train.steps=2", "train.seeds=2")
    done = label(pet.RunConfig.from_toml(pipeline, settings), tmp_path / "run", quiet=True)
    folder = tmp_path / "run" / "generations" / "1"
    voters = json.loads((folder / "report.json").read_bytes())["voters"]
    assert voters[-1]["name"] == "outside+llm" and len(done.soft_labels.ids) == 36
    assert pq.read_table(folder / voters[-1]["file"]).num_rows == 0
    decided = pq.read_table(folder / voters[0]["file"]).to_pydict()["decided_by"]
    assert any("outside+llm" in names for names in decided)
