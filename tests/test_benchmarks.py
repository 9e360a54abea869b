"""What the benchmarks measure with: processes of their own, their stages, and the rows of each shape."""

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from own_process import TEST, Measured, StageClock, measured
from pet_run import SCORING, TRAINING
from rivals import Setting, stage_lines
from shapes import LONG, Drawn, Sizes, draw
from time_to_labels import OwnRun, run_of, stage_table
from time_to_labels import main as time_to_labels
from toy import LABELS, rows_of

HERE = Path(__file__).parent
PROGRAM = """
from own_process import TEST, answer

def work(asked, clock):
    with clock.during("sums"):
        sum(range(asked["count"]))
        with clock.during(TEST):
            sum(range(asked["count"]))
    return {"accuracy": 0.5}

answer(work)
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(HERE / "benchmarks"))
    path = tmp_path / "program.py"
    path.write_text(PROGRAM, encoding="utf-8")
    return path


def test_a_process_of_its_own_tells_its_stages_and_the_test_rows_cost_nothing(program: Path) -> None:
    found = measured(program, {"count": 3_000_000})
    assert found.found == {"accuracy": 0.5}
    assert found.stages["sums"] > 0.01
    assert found.cpu_seconds == pytest.approx(sum(found.stages.values()) - found.stages[TEST])
    assert 0 < found.cpu_seconds < found.seconds + 0.5
    assert 1e6 < found.peak < 1e8  # that of a small Python, not of the process that started it


def test_what_goes_wrong_in_it_is_told(program: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)program.py ended with 1:.*KeyError: 'count'"):
        measured(program, {})


class _Counter:
    def count(self, times: int) -> int:
        return times + 1


def test_of_stages_within_one_another_the_innermost_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Counter, "count", _Counter.count)  # it is put back at the end
    times = iter([1.0, 2.0, 4.0, 8.0])
    monkeypatch.setattr("own_process.time.process_time", lambda: next(times))
    clock = StageClock()
    clock.watch(_Counter, "count", lambda counter, times: f"{clock.stage}, {times} times")
    with clock.during("outer"):
        assert _Counter().count(2) == 3
    assert clock.stage == "rest"
    assert clock.seconds == {"rest": 1.0, "outer": 1.0 + 4.0, "outer, 2 times": 2.0}


def _write_packed(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("".join(line + "\n" for line in lines))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of data sets as the benchmarks read them: pairs, and texts of five kinds."""
    for part, count in {"train": 8, "unlabeled": 6, "test": 4}.items():
        rows: list[dict[str, Any]] = [{"text_a": f"{part} {i}", "text_b": "so"} for i in range(count)]
        for i, row in enumerate(rows if part != "unlabeled" else []):
            row["label"] = ("entailment", "not_entailment")[i % 2]
        _write_packed(tmp_path / "rte" / f"{part}.jsonl.gz", [json.dumps(row) for row in rows])
    for name in ("imdb-reviews-01", "reuters-21578-01", "digitalgov-01", "abc-news", "brown"):
        lines = ["short", *(f"{name} {i} " + "word " * 300 for i in range(160))]
        _write_packed(tmp_path / "mlm-text" / f"{name}.txt.gz", lines)
    return tmp_path


def test_samples_differ_in_their_labeled_rows_alone(data: Path) -> None:
    found = [draw("rte", data, seed, Sizes(per_label=2, pool=5, test=3)) for seed in (0, 1)]
    assert found[0].fields == ("premise", "hypothesis")
    assert [len(part) for part in (found[0].train, found[0].pool, found[0].test)] == [4, 5, 3]
    assert sorted(row["label"] for row in found[0].train) == ["entailment"] * 2 + ["not_entailment"] * 2
    assert all(set(row) == {"premise", "hypothesis"} for row in found[0].pool)
    assert found[0].train != found[1].train
    assert (found[0].pool, found[0].test) == (found[1].pool, found[1].test)


def test_long_texts_are_told_apart_by_their_sources(data: Path) -> None:
    found = draw(LONG, data, 0, Sizes(per_label=8, pool=40, test=100))
    assert len(found.train) == 40
    assert {row["text"].split()[0] for row in found.train if row["label"] == "Radio"} == {"abc-news"}
    texts = [row["text"] for rows in (found.train, found.pool, found.test) for row in rows]
    assert len(set(texts)) == len(texts) == 180
    assert found.about == "5 labels, 40 labeled, 40 pool and 100 test rows of 302 words in the mean"


def test_the_table_has_means_over_samples_and_what_each_way_lacks() -> None:
    ways = {
        "default": [_sample({"reading": 1.0, TEST: 9.0}, 0.5), _sample({"reading": 3.0, TEST: 9.0}, 0.7)],
        "SetFit": [_sample({"training": 4.0}, 0.4)],
    }
    lines = [line.split() for line in stage_table(ways)]
    assert lines[0] == ["CPU-seconds", "default", "SetFit"]
    assert lines[1:3] == [["training", "4.0"], ["reading", "2.0"]]
    assert lines[3:] == [["all", "2.0", "4.0"], ["GB", "at", "the", "peak", "1.0", "1.0"], ["accuracy", "60.0", "40.0"]]


def _sample(stages: dict[str, float], accuracy: float) -> dict[str, Any]:
    total = sum(seconds for name, seconds in stages.items() if name != TEST)
    return {"stages": stages, "cpu_seconds": total, "peak": 1e9, "found": {"accuracy": accuracy}}


def test_only_rivals_that_are_installed_are_run() -> None:
    assert Setting().installed == ("logistic regression", "self-training")
    assert "SetFit" in Setting(sys.executable).installed
    found = Measured({}, {"training": 2.0, "reading": 0.01, TEST: 5.0}, 9.0, 1)
    assert [line.split() for line in stage_lines(found)] == [["training", "2.0"], ["CPU-seconds", "2.0"]]


@pytest.fixture
def toy_rows() -> Drawn:
    """The rows of the toy task."""
    tables = {"task": {"labels": list(LABELS), "fields": {"text": "text"}}}
    train, pool, test = ([_text(row) for row in rows_of(part, 4)] for part in ("train", "unlabeled", "test"))
    return Drawn(train, [{"text": row["text"]} for row in pool], test, tables)


def _text(row: dict[str, Any]) -> dict[str, str]:
    return {name: row[name] for name in ("text", "label")}


@pytest.mark.slow
def test_a_run_of_ours_is_measured_by_stage(
    toy_rows: Drawn, toy_pipeline: Path, tiny_model: Path, tmp_path: Path
) -> None:
    prompts = {"patterns": ["toy/*"], "verbalizer": "toy/words", "registry": [str(toy_pipeline.parent / "registry")]}
    model = {"name": str(tiny_model), "max_length": 32}
    drawn = Drawn(**{**vars(toy_rows), "tables": {**toy_rows.tables, "prompts": prompts, "model": model}})
    own = OwnRun.of(f"tiny encoder.name={tiny_model} train.steps=4 distill.steps=4 train.contrastive=true")
    found = run_of(own, drawn, tmp_path, seed=0, threads=1)
    assert 0 <= found.found["accuracy"] <= 1
    assert {"reading", "embedding", TRAINING, SCORING, "contrastive voter", "baselines", TEST} <= set(found.stages)
    assert {"student candidates", "refinement", "trial and forecast"} <= set(found.stages)
    assert found.stages[TRAINING] > 0
    assert found.stages["student candidates"] > 0
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())  # it is where it was asked to be


@pytest.mark.slow
def test_classifiers_on_an_encoder_are_measured(toy_rows: Drawn, tiny_model: Path, tmp_path: Path) -> None:
    asked = {**toy_rows.write(tmp_path), "fields": ["text"], "encoder": str(tiny_model), "max_length": 32}
    asked["way"] = "self-training"
    found = measured(HERE / "benchmarks" / "embedding_rival.py", asked)
    assert found.found["accuracy"] > 0.5  # of three labels whose rows share no words
    assert found.stages["embedding"] > 0


def test_what_is_done_is_kept_and_shown(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, figures = tmp_path / "kept.jsonl", tmp_path / "figures.json"
    command = [str(data), "--shapes", "rte", "--rivals", "--kept", str(kept), "--json", str(figures)]
    monkeypatch.setattr(sys, "argv", ["time_to_labels.py", *command])
    calls: list[str] = []

    def run(own: OwnRun, *_: Any) -> Measured:
        calls.append(own.name)
        return Measured({"accuracy": 0.5}, {"reading": 1.5}, 2.0, 10**9)

    monkeypatch.setattr("time_to_labels.run_of", run)
    time_to_labels()
    time_to_labels()
    assert calls == ["default"]
    assert "rte (pairs, 2 labels)" in capsys.readouterr().out
    assert json.loads(figures.read_text())["rte"]["default"][0]["cpu_seconds"] == 1.5
