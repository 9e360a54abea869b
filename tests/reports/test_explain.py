"""`pet explain`: a row's way to its label, read from files that are written here by hand."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from explained import ASKED, COLON, GOLD, WORDS, generation, labels_of, parquet, training_set, write_run
from typer.testing import CliRunner, Result

import pet
from pet.cli import app
from pet.errors import DataError
from pet.reports.explain import explain
from pet.reports.explain_lines import explanation_lines


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run")


def test_without_patterns_nothing_is_said_of_what_they_make_of_a_row(run: Path) -> None:
    lines = explanation_lines(replace(explain(run, "u-1"), generations=()))
    assert not [line for line in lines if "what the voters read" in line] and lines[-1]


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["explain", *map(str, arguments)])


def test_the_whole_answer_for_a_row_of_the_pool(run: Path) -> None:
    result = command(run, "u-1")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "label     World, confidence 0.75, agreement 1.00",
        "row       u-1 (pseudo: the voters labeled it)",
        "ensemble  World 0.75, Sports 0.25",
        "history   first labeled in generation 0, drawn for 1 training set",
        "text      Rates rise.",
        "",
        "generation 0",
        "  voter             votes for  World  Sports",
        "  news/colon+words  World       0.50    0.50",
        "  news/asked+words  Sports      0.12    0.88",
        "",
        "generation 1 (learned from the votes of generation 0; its votes make the ensemble)",
        "  voter             votes for  World  Sports",
        "  news/colon+words  World       0.88    0.12",
        "  news/asked+words  World       0.62    0.38",
        "  news/colon+words was trained on it as Sports (0.88), decided by news/asked+words",
        "",
        "generation 2 (rejected: too much Sports)",
        "  voter             votes for  World  Sports",
        "  news/colon+words  Sports      0.00    1.00",
        "  news/asked+words  Sports      0.00    1.00",
        "",
        "what the voters read (____ is the place of a label's word; for World: world or politics)",
        "  news/colon  ____: Rates rise.",
        "  news/asked  Rates rise || About ____?",
    ]


def test_the_same_as_json(run: Path) -> None:
    found = json.loads(command(run, "u-1", "--json").stdout)
    assert found["probabilities"] == {"World": 0.75, "Sports": 0.25}
    assert (found["label"], found["corrected_from"], found["confidence"]) == ("World", None, 0.75)
    assert (found["generation"], found["training_sets"], found["fields"]) == (0, 1, {"text": "Rates rise."})
    assert [one["rejected"] for one in found["generations"]] == [None, None, "too much Sports"]
    colon, asked = found["generations"][1]["voters"]
    assert colon == {
        "name": COLON,
        "label": "World",
        "probabilities": {"World": 0.875, "Sports": 0.125},
        "trained_on": {"label": "Sports", "confidence": 0.875, "decided_by": [ASKED]},
    }
    assert asked["trained_on"] is None
    assert found["patterns"][0] == {
        "name": "news/colon", "template": "{mask}: {text}", "read": "____: Rates rise.", "words": WORDS,
    }  # fmt: skip


def test_a_row_that_an_early_generation_did_not_label(run: Path) -> None:
    lines = explanation_lines(explain(run, "u-2"))
    assert lines[lines.index("generation 0") + 1] == "  not labeled in this generation"
    assert "history   first labeled in generation 1, drawn for 0 training sets" in lines
    assert "  voter             votes for  Sports  World" in lines  # the most probable label comes first


def test_an_empty_training_set_is_none_of_the_row(run: Path) -> None:
    # Without labeled rows nobody learned anything at first: then the columns have no types either.
    parquet(run / "generations" / "0" / "asked.parquet", {name: [] for name in GOLD})
    assert explain(run, "u-1").generations[0].voters[1].trained_on is None


def test_a_labeled_row_has_no_votes_also_where_a_row_of_the_pool_has_its_id(run: Path) -> None:
    lines = explanation_lines(explain(run, "t-1"))
    assert lines[:2] == ["label  World", "row    t-1 (gold: the label was given)"]
    assert lines.count("  2 of 2 voters trained on it") == 3
    assert not any("votes for" in line for line in lines)
    parquet(run / "pseudo_labels.parquet", labels_of(id=["u-1", "u-1", "u-2", "u-3"]))
    shared = explain(run, "u-1")
    assert shared.example.fields["text"] == "Rates rise."
    assert "note      1 more row with this id; the first of the pool is shown" in explanation_lines(shared)


def test_what_a_namesake_left_is_not_the_rows_own(run: Path) -> None:
    generation(run, 0, {"id": ["t-1"], COLON: [[0.5, 0.5]], ASKED: [[0.5, 0.5]]})
    assert [voter.probs for voter in explain(run, "t-1").generations[0].voters] == [None, None]
    for file in ("colon.parquet", "asked.parquet"):
        training_set(run / "generations" / "1" / file, GOLD | {"id": ["u-1"]})
    assert all(voter.trained_on is None for one in explain(run, "u-1").generations for voter in one.voters)


def test_a_corrected_label_is_told_apart_from_the_ensembles(run: Path) -> None:
    parquet(run / "pseudo_labels.parquet", labels_of(label=["Sports", "Sports", "Sports", "World"]))
    assert explanation_lines(explain(run, "u-1"))[0] == "label     Sports, corrected by hand (it was World)"
    assert explanation_lines(explain(run, "t-1"))[0] == "label  Sports, corrected by hand (it was World)"
    assert json.loads(command(run, "u-1", "--json").stdout)["corrected_from"] == "World"
    assert explain(run, "u-2").corrected_from is None


def test_a_row_that_a_person_has_added(run: Path) -> None:
    added = labels_of()
    for name, values in added.items():
        values.append({"id": "new", "body": "mine", "label": "Sports"}.get(name))
    parquet(run / "pseudo_labels.parquet", added)
    lines = explanation_lines(explain(run, "new"))
    assert lines[:3] == ["label  Sports", "row    new (added by hand: no voter saw it)", "text   mine"]
    assert lines.count("  not labeled in this generation") == 3


def test_nothing_in_a_text_steers_the_terminal_or_is_read_as_markup(run: Path) -> None:
    output = command(run, "u-2").stdout
    assert r"A \x1b[31mgoal [bold]late[/bold]." in output
    assert "\x1b" not in output


def test_a_long_text_is_shortened_for_reading_and_whole_as_json(run: Path) -> None:
    found = explain(run, "u-3")
    lines = explanation_lines(found)
    assert max(map(len, lines)) < 250
    text = next(line for line in lines if line.startswith("text "))
    assert text.startswith("text      xxxx") and " middle y" in text and text.endswith("yyyy") and " … " in text
    assert found.as_json()["fields"]["text"] == labels_of()["body"][3]
    assert found.as_json()["patterns"][0]["read"] == f"____: {labels_of()['body'][3]}"


def test_of_many_labels_the_most_probable_are_shown(run: Path) -> None:
    labels = [f"label {i}" for i in range(7)]
    rising = [float(i) for i in range(7)]
    columns = {name: values[1:2] for name, values in labels_of(label=["", "label 6", "", ""]).items()}
    parquet(
        run / "pseudo_labels.parquet",
        columns | {f"prob_{name}": [p / 21] for name, p in zip(labels, rising, strict=True)},
    )
    config = pet.RunConfig.from_mapping({"task": {"labels": labels, "fields": {"text": "body"}}})
    (run / "config.toml").write_text(config.to_toml())
    for number in range(3):
        generation(run, number, {"id": ["u-1"], COLON: [rising], ASKED: [rising[::-1]]})
    lines = explanation_lines(explain(run, "u-1"))
    assert "  voter             votes for  label 6  label 5  label 4  label 3  label 2" in lines
    assert "  news/asked+words  label 0       0.00     1.00     2.00     3.00     4.00" in lines
    assert "The 5 most probable of 7 labels are shown; --json shows all." in lines


def test_many_who_decided_are_counted(run: Path) -> None:
    rows = {"id": ["u-1"], "label": ["World"], "source": ["pseudo"], "confidence": [0.5], "decided_by": [list("abcde")]}
    training_set(run / "generations" / "1" / "asked.parquet", rows)
    lines = explanation_lines(explain(run, "u-1"))
    assert f"  {ASKED} was trained on it as World (0.50), decided by a, b, c and 2 more" in lines


def test_ids_are_compared_as_text(run: Path) -> None:
    parquet(run / "pseudo_labels.parquet", labels_of(id=[1, 2, 3, 4]))
    assert explain(run, "2").example.fields["text"] == "Rates rise."


def test_seeds_of_one_pattern_ask_once(run: Path) -> None:
    report = run / "generations" / "1" / "report.json"
    report.write_text(report.read_text().replace(ASKED, f"{COLON}#1"))
    ids, votes = ["u-1"], [[0.5, 0.5]]
    columns = {"id": ids, COLON: votes, f"{COLON}#1": votes}
    parquet(run / "generations" / "1" / "votes.parquet", columns)
    voters = explain(run, "u-1").generations[1].voters
    assert [voter.name for voter in voters] == [COLON, f"{COLON}#1"]
    assert {voter.pattern.name for voter in voters} == {"news/colon"}


def test_generations_stand_in_the_order_of_their_numbers(run: Path) -> None:
    (run / "generations" / "2").rename(run / "generations" / "10")
    (run / "generations" / "1").rename(run / "generations" / "2")
    (run / "generations" / ".11.tmp").mkdir()
    assert [one.number for one in explain(run, "u-1").generations] == [0, 2, 10]


def remove(path: Path) -> None:
    if path.is_dir():
        path.rename(path.with_name("elsewhere"))
    else:
        path.unlink()


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("manifest.json", "is no run directory: give one that `pet label` or `pet run` has made."),
        (
            "pseudo_labels.parquet",
            "is not finished (pseudo_labels.parquet is missing): give the command that made it again.",
        ),
        ("generations", "is not finished (generations is missing): give the command that made"),
        ("generations/1/report.json", "report.json is missing or damaged (FileNotFoundError"),
        ("generations/1/votes.parquet", "votes.parquet is missing or damaged (FileNotFoundError"),
        ("generations/1/colon.parquet", "colon.parquet is missing or damaged (FileNotFoundError"),
        ("config.toml", "is not finished (config.toml is missing): give the command that made"),
    ],
)
def test_what_is_missing_is_one_sentence_and_exit_code_2(run: Path, gone: str, message: str) -> None:
    remove(run / gone)
    result = command(run, "u-1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert message in result.stderr


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("pseudo_labels.parquet", b"PAR1 torn"),
        ("generations/0/votes.parquet", b"PAR1 torn"),
        ("generations/0/asked.parquet", b""),
        ("generations/0/report.json", b'{"voters": '),
        ("generations/0/report.json", b"[]"),
        ("generations/0/report.json", b'{"rejected": null, "continues": null, "voters": [{"name": "a+b"}]}'),
        ("generations/0/report.json", b"\xff\xfe\x00"),
    ],
)
def test_a_damaged_file_is_named(run: Path, file: str, content: bytes) -> None:
    (run / file).write_bytes(content)
    result = command(run, "u-1")
    assert result.exit_code == 2
    assert f"{run / file} is missing or damaged (" in result.stderr


@pytest.mark.parametrize(
    "columns",
    [
        {"id": ["u-1"], COLON: [[0.5, 0.5]]},
        {"id": ["u-1"], COLON: [[0.5, 0.5]], ASKED: [[0.5, 0.25, 0.25]]},
        {"id": ["u-1"], COLON: [[0.5, 0.5]], ASKED: [None]},
    ],
)
def test_votes_that_do_not_fit_are_damaged(run: Path, columns: dict[str, Any]) -> None:
    parquet(run / "generations" / "1" / "votes.parquet", columns)
    with pytest.raises(DataError, match="is missing or damaged"):
        explain(run, "u-1")


@pytest.mark.parametrize("gone", ["body", "label", "source", "id"])
def test_a_column_that_was_removed_is_named(run: Path, gone: str) -> None:
    parquet(run / "pseudo_labels.parquet", {name: values for name, values in labels_of().items() if name != gone})
    with pytest.raises(DataError, match=f"['\"]{gone}['\"]"):
        explain(run, "u-1")


def test_a_mistyped_id_gets_the_near_ones(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = command(run, "u-11")
    assert result.exit_code == 2
    where = run / "pseudo_labels.parquet"
    assert result.stderr == f"error: No row 'u-11' in {where}: give one of its ids. Did you mean u-1?\n"
    monkeypatch.setattr("pet.reports.explain._COMPARED_IDS", 2)
    assert command(run, "u-22").stderr.endswith(" Known: t-1, u-1.\n")  # of many, only the first are compared


def test_explaining_loads_no_torch(run: Path) -> None:
    code = (
        "import sys; from pet.cli import app; app(sys.argv[1:], standalone_mode=False)\n"
        "print('loaded', [name for name in ('torch', 'transformers', 'sklearn', 'datasets') if name in sys.modules])"
    )
    words = [sys.executable, "-c", code, "explain", str(run), "u-1"]
    found = subprocess.run(words, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "loaded []"
    assert "generation 2 (rejected: too much Sports)" in found.stdout


def test_a_label_is_explained_by_its_description(run: Path) -> None:
    config = pet.RunConfig.from_toml(run / "config.toml", ["task.descriptions.World=wars, elections"])
    (run / "config.toml").write_text(config.to_toml())
    assert explanation_lines(explain(run, "u-1"))[1] == "about     wars, elections"
    assert explanation_lines(explain(run, "t-1"))[1].split() == ["about", "wars,", "elections"]
    assert json.loads(command(run, "u-1", "--json").stdout)["description"] == "wars, elections"
    assert explain(run, "u-2").description is None  # of Sports nothing is said
