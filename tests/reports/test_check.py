"""`pet check`: what the model reads, how words are split, what is cut, and what to change."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import save_tiny
from toy import write_rows, write_task
from typer.testing import CliRunner

import pet
from pet.cli import app
from pet.data.examples import Example
from pet.learners.models.sources import find_model
from pet.learners.voters.pvp import PvpVoter
from pet.method.plan.plan import prepare
from pet.reports.check import CheckReport, by_chance, check, report_lines


def checked(pipeline: Path, *overrides: str) -> CheckReport:
    config = pet.RunConfig.from_toml(pipeline, overrides)
    plan = prepare(config, words=False)
    return check(plan.data, plan.patterns, plan.model, config.run, (*plan.data.messages, *plan.notes))


def test_each_pattern_is_shown_on_a_real_row_as_the_model_reads_it(toy_pipeline: Path) -> None:
    report = checked(toy_pipeline)
    colon, category = report.patterns
    assert colon.name == "toy/colon+words"
    assert colon.example.startswith("[MASK]: news ")
    assert category.example.startswith("[ news Category: [MASK] ] news ")
    assert category.pieces.startswith("[CLS] [ news category : [MASK] ] news ")
    assert category.pieces.endswith(" [SEP]")
    assert [(word.label, word.word, word.pieces, word.problem) for word in colon.words] == [
        ("Sports", "sports", ("sports",), ""),
        ("Sports", "team", ("team",), ""),
        ("Business", "business", ("business",), ""),
        ("Tech", "tech", ("tech",), ""),
    ]
    assert colon.truncated == 0.0
    assert colon.accuracy is not None and 0 <= colon.accuracy <= 1
    assert colon.calibrated is not None
    text = "\n".join(report_lines(report))
    assert "zero-shot on the labeled rows" in text
    assert report.problems == ()
    # The model is random: it knows as much as chance does.
    (advice,) = report.advice
    assert advice.startswith("No pattern knows the labels untrained (") and text.endswith(f"change: {advice}")
    assert report_lines(replace(report, advice=()))[-1] == "change: nothing"
    assert report_lines(replace(report, advice=(), messages=("a",)))[-1] == "change: nothing, but see the notes above"
    assert report_lines(report)[0] == "12 labeled ('Sports' 4, 'Business' 4, 'Tech' 4), 36 unlabeled, 12 test rows"


def test_labels_that_are_numbers_want_words(toy_pipeline: Path) -> None:
    words = 'prompts.words={Sports = "1", Business = "2", Tech = ["3"]}'
    report = checked(toy_pipeline, "prompts.verbalizer=", words, "prompts.multi_token=true")
    assert any("Sports, Business, Tech are numbers" in message for message in report.messages)
    assert not any("larger model" in advice for advice in report.advice)
    words = words.replace("1", "sports").replace("2", "business").replace("3", "tech")
    report = checked(toy_pipeline, "prompts.verbalizer=", words)
    assert report.problems == report.messages == ()
    assert report.patterns[0].name == "toy/colon+words"
    with pytest.raises(pet.errors.ConfigError, match="words stand beside the verbalizer toy/words: name either"):
        checked(toy_pipeline, words)


@pytest.mark.parametrize(("precision", "scored"), [("auto", "fp32"), ("bf16", "bf16")])
def test_it_scores_as_a_run_does_before_its_trial(
    toy_pipeline: Path, monkeypatch: pytest.MonkeyPatch, precision: str, scored: str
) -> None:
    used = set()
    original = PvpVoter.scores

    def scores(self: PvpVoter, rows: Sequence[Example]) -> np.ndarray:
        used.add(self.machine.inference)
        return original(self, rows)

    monkeypatch.setattr(PvpVoter, "scores", scores)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    checked(toy_pipeline, f"run.precision={precision}")
    assert used == {scored}


def test_texts_of_a_language_that_the_model_does_not_know_are_told(toy_pipeline: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "pool.jsonl", [{"text": f"Где мой заказ номер {n}"} for n in range(20)])
    advice = checked(toy_pipeline, f"data.unlabeled={tmp_path / 'pool.jsonl'}").advice[0]
    assert re.match(
        r"\d+% of the tokens of the texts are unknown to .*: take a model that reads their language", advice
    )


def test_how_each_model_reads_the_texts_is_told(toy_pipeline: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "pool.jsonl", [{"text": f"gestern bestellte ware {n}"} for n in range(20)])
    config = pet.RunConfig.from_toml(toy_pipeline, [f"data.unlabeled={tmp_path / 'pool.jsonl'}"])
    plan = prepare(config, words=False)
    report = check(plan.data, plan.patterns, plan.model, config.run, (), find_model("e5-small"))
    own, encoder = report.readings
    assert not own.found.readable and own.found.pieces_per_word == pytest.approx((7 + 9 + 2) / 3)
    assert encoder.found.readable and encoder.model == "e5-small"
    assert own.found.whole == 0.0 and encoder.found.whole is not None
    assert [line.split(" ", 1)[1] for line in report_lines(report)[1:3]] == [
        f"reads the texts in {found.pieces_per_word:.1f} pieces per word, 0% of them unknown, {found.whole:.0%} of the "
        "longer words as a whole"
        for found in (own.found, encoder.found)
    ]
    assert "6.0 tokens of" in report.advice[0] and "expected up to 2.0: take a model" in report.advice[0]
    assert checked(toy_pipeline).readings[0].found.pieces_per_word == 1.0


def test_a_row_is_one_line_that_does_not_steer_the_terminal(toy_pipeline: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "pool.jsonl", [{"text": "a \x1b[31mred\nline " + "news " * 200}])
    lines = report_lines(checked(toy_pipeline, f"data.unlabeled={tmp_path / 'pool.jsonl'}"))
    row = next(line for line in lines if line.startswith("  row "))
    assert r"a \x1b[31mred\nline news" in row and row.endswith("…") and len(row) < 600


def test_what_chance_is_by_hand() -> None:
    assert by_chance(np.asarray([0, 0, 1, 1]), 2) == pytest.approx(0.5 + 0.25)
    assert by_chance(np.asarray([0, 0, 0, 1]), 3) == pytest.approx(0.75 + (0.75 * 0.25 / 4) ** 0.5)


def test_words_that_cannot_be_used_are_reported_and_not_raised(tmp_path: Path, tiny_model: Path) -> None:
    pipeline = write_task(tmp_path, tiny_model)
    words = tmp_path / "registry" / "verbalizers" / "toy.toml"
    words.write_text('[words]\nSports = ["Team"]\nBusiness = ["zebra"]\nTech = ["team", "Ω"]\n')
    report = checked(pipeline)
    problems = {(word.label, word.word): word.problem for word in report.patterns[0].words}
    assert problems["Sports", "Team"] == ""
    assert problems["Business", "zebra"].startswith("5 tokens for this tokenizer (z ##e")
    assert problems["Tech", "team"] == "the same for this tokenizer as a word of label 'Sports'"
    assert problems["Tech", "Ω"] == "unknown to this tokenizer"
    assert report.patterns[0].accuracy is None
    assert len(report.problems) == 3 and report.advice == ()  # each once, though two patterns share the words
    assert [("multi_token" in problem) for problem in report.problems] == [True, False, False]
    lines = report_lines(report)
    assert sum("zebra" in line and "tokens" in line for line in lines) == 2  # in the table, and what to change
    assert "zero-shot is measured once the words are mended" in lines
    assert [line.partition(":")[0] for line in lines[-3:]] == ["must change"] * 3
    assert CliRunner().invoke(app, ["check", str(pipeline)]).exit_code == 2


def test_many_labels_are_folded_and_what_is_wrong_with_all_of_them_is_said_once(
    tmp_path: Path, tiny_model: Path
) -> None:
    pipeline = write_task(tmp_path, tiny_model)
    names = [f"reason {a}{b}" for a in "abcdefgh" for b in "klmn"]
    write_rows(tmp_path / "train.jsonl", [{"text": f"row {n}", "label": name} for n, name in enumerate(names)])
    settings = [f"task.labels={names}", "prompts.verbalizer=''", "data.test=''"]
    report = checked(pipeline, *[setting.replace("''", '""') for setting in settings])
    (problem,) = report.problems
    assert problem.startswith("32 words of labels, such as 'reason ak' of 'reason ak', are several tokens")
    lines, whole = report_lines(report), report_lines(report, every=True)
    assert "  and 22 more words: --all shows them" in lines and len(whole) == len(lines) + 21
    table = [line for line in whole if line.startswith("  reason")]
    assert len(table) == 32 and len({line.index("tokens for") for line in table}) == 1


def test_words_of_several_tokens_get_as_many_masks(tmp_path: Path, tiny_model: Path) -> None:
    pipeline = write_task(tmp_path, tiny_model)
    words = tmp_path / "registry" / "verbalizers" / "toy.toml"
    words.write_text('[words]\nSports = ["team game"]\nBusiness = ["bank"]\nTech = ["data code chip"]\n')
    report = checked(pipeline, "prompts.multi_token=true")
    assert report.patterns[0].pieces.startswith("[CLS] [MASK] [MASK] [MASK] : news")
    assert report.problems == ()
    assert any("ok, several tokens" in line for line in report_lines(report))


def test_words_are_listed_once_for_each_way_they_are_split(tmp_path: Path) -> None:
    pipeline = write_task(tmp_path, save_tiny("roberta", tmp_path / "model"))
    patterns = tmp_path / "registry" / "patterns" / "toy.toml"
    patterns.write_text('[spaced]\ntemplate = "{text} It was {mask}."\n[glued]\ntemplate = "({mask}) {text}"\n')
    words = [line for line in report_lines(checked(pipeline)) if line.startswith("  Business ")]
    assert [line.split()[2] for line in words] == ["Ġbusiness", "business"]


def test_truncation_is_measured_and_advised_on(tmp_path: Path, tiny_model: Path) -> None:
    pipeline = write_task(tmp_path, tiny_model)
    rows = [{"text": "game " * (60 if row % 4 == 0 else 5) + f"number {row}"} for row in range(40)]
    write_rows(tmp_path / "unlabeled.jsonl", rows)
    report = checked(pipeline)
    assert report.patterns[0].truncated == pytest.approx(0.25)
    assert sum("25% of the texts are cut under toy/colon+words" in advice for advice in report.advice) == 1
    assert any("cut     25.0% of the rows" in line for line in report_lines(report))


def test_messages_about_the_data_come_first(tmp_path: Path, tiny_model: Path) -> None:
    pipeline = write_task(tmp_path, tiny_model)
    (tmp_path / "train.jsonl").write_text('{"text": "game", "label": "Sports"}\n')
    assert report_lines(checked(pipeline))[2].startswith("note: labels without a labeled row")


def test_checking_changes_nothing_on_the_disk(toy_pipeline: Path) -> None:
    before = sorted(path.stat().st_mtime_ns for path in toy_pipeline.parent.rglob("*"))
    assert report_lines(checked(toy_pipeline)) == report_lines(checked(toy_pipeline))
    assert sorted(path.stat().st_mtime_ns for path in toy_pipeline.parent.rglob("*")) == before


def test_descriptions_are_shown_with_their_labels(toy_pipeline: Path) -> None:
    lines = report_lines(checked(toy_pipeline, 'task.descriptions.Tech=chips, "smart" phones\u202e'))
    place = lines.index("descriptions")
    assert lines[place + 1] == '  Tech  chips, "smart" phones\\u202e'
    assert "descriptions" not in report_lines(checked(toy_pipeline))
