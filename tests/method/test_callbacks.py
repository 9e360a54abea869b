"""What callbacks and trackers hear of a run, and that a failure of theirs does not end it."""

from __future__ import annotations  # pet.RunConfig is loaded when it is asked for

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

import pet
from pet.errors import ConfigError
from pet.method.callbacks import Callback, Callbacks, GenerationEnd, RunEnd, VoterEnd
from pet.method.metrics import Evaluation
from pet.method.summary import Summary, SummaryRow
from pet.method.trackers import Tracking, check_trackers


class Heard(Callback):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.voters: list[VoterEnd] = []
        self.generations: list[GenerationEnd] = []
        self.ends: list[RunEnd] = []

    def on_voter_end(self, end: VoterEnd) -> None:
        self.voters.append(end)

    def on_generation_end(self, end: GenerationEnd) -> None:
        self.generations.append(end)

    def on_end(self, end: RunEnd) -> None:
        self.ends.append(end)


class Broken(Callback):
    """Fails when it is told of a voter."""

    def __init__(self) -> None:
        self.calls = 0

    def on_voter_end(self, end: VoterEnd) -> None:
        self.calls += 1
        raise ValueError("no disk\nleft")


def test_a_run_tells_callbacks_and_tensorboard_of_itself(config: Callable[..., pet.RunConfig], tmp_path: Path) -> None:
    heard, broken, folder = Heard(), Broken(), tmp_path / "run"
    chosen = config('run.report_to="tensorboard"', "run.baseline=false")
    pet.run(chosen, folder, quiet=True, callbacks=[broken, heard])
    assert [(end.voter, end.generation) for end in heard.voters] == [("toy/colon+words", 0), ("toy/category+words", 0)]
    assert all(len(end.losses) == 16 and end.training_rows == 12 for end in heard.voters)
    assert [end.figures["labeled_rows"] for end in heard.generations] == [36]
    assert [end.directory for end in heard.ends] == [folder] and heard.ends[0].summary is not None
    said = "the callback Broken failed in on_voter_end (ValueError: no disk left) and is told no more"
    assert broken.calls == 1 and (folder / "run.log").read_text().count(said) == 1
    logs = EventAccumulator(str(folder / "tracking" / "tensorboard" / "toy")).Reload()
    assert len(logs.Scalars("loss/toy/colon_words")) == 16
    final = next(row for row in heard.ends[0].summary.rows if row.name == "distilled classifier")
    assert final.test is not None
    assert logs.Scalars("final/distilled classifier/accuracy")[0].value == pytest.approx(final.test.accuracy)
    # Read back by the next start, and told again: whoever asks for figures then gets all of them.
    again = Heard()
    pet.run(config("run.baseline=false"), folder, quiet=True, callbacks=[again])
    assert again.voters == heard.voters


def test_what_is_told_twice_is_heard_once() -> None:
    heard = Heard()
    callbacks = Callbacks([heard])
    callbacks.voter(VoterEnd("a", 0, 4, (1.0,)))
    callbacks.voter(VoterEnd("a", 0, 4, (1.0,)))
    callbacks.voter(VoterEnd("a", 1, 4, (1.0,)))
    assert [end.generation for end in heard.voters] == [0, 1]


def test_a_tracker_that_is_not_installed_is_named_with_what_installs_it(config: Callable[..., pet.RunConfig]) -> None:
    with pytest.raises(ConfigError, match="`pip install mlflow`"):
        check_trackers(["tensorboard", "mlflow"])
    with pytest.raises(ConfigError, match="report_to"):
        config("run.report_to=excel")


class Log(list[tuple[str, Any]]):
    """What a stub of a tracker's package was asked for."""

    def taker(self, name: str, result: Any = None) -> Callable[..., Any]:
        def take(*given: Any, **named: Any) -> Any:
            self.append((name, (given, named)))
            return result

        return take


def stub(name: str, log: Log) -> ModuleType:
    """Return a module of a tracker's name that takes down what it is asked for."""
    module: Any = ModuleType(name)
    run = SimpleNamespace(log=log.taker("log"), finish=log.taker("finish"))
    module.init = log.taker("init", run)
    module.config = module.run = SimpleNamespace(config=None, update=log.taker("config"))
    run.config = module.run.config = SimpleNamespace(update=log.taker("config"))
    for method in ("create_experiment", "start_run", "log_params", "end_run"):
        setattr(module, method, log.taker(method, "1"))
    module.search_experiments = log.taker("search", [])
    module.log_metrics = log.taker("log")
    module.utils = SimpleNamespace(validation=SimpleNamespace(MAX_PARAM_VAL_LENGTH=500, MAX_PARAMS_TAGS_PER_BATCH=100))
    return module


@pytest.mark.parametrize("name", ["wandb", "trackio", "mlflow"])
def test_other_trackers_are_started_offline_and_get_numbers(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("WANDB_MODE", "MLFLOW_TRACKING_URI", "TRACKIO_DIR"):
        monkeypatch.setenv(variable, "")  # so that what is set meanwhile goes
        monkeypatch.delenv(variable)
    log = Log()
    monkeypatch.setitem(sys.modules, name, stub(name, log))
    tracking = Tracking.start(name, "toy", tmp_path / "run" / "tracking", {"run.seed": 7, "prompts.patterns": ["a"]})
    tracking.on_voter_end(VoterEnd("toy/colon+words#1", 1, 12, (0.5, 0.25)))
    tracking.on_generation_end(GenerationEnd(1, {"kl": 0.1, "shares": {"yes": 0.5}, "changed": None}, "worse"))
    row = SummaryRow("ensemble", 1.0, Evaluation(2, 0.5, 0.4, {}, []))
    tracking.on_end(RunEnd(tmp_path, Summary((row,), 2)))
    tracking.finish()
    said = repr([*log])
    assert "offline" in said if name == "wandb" else str(tmp_path) in said or name == "trackio"
    for figure in ("generation-1/loss/toy/colon_words_1", "generation/shares/yes", "final/ensemble/accuracy"):
        assert figure in said
    assert "changed" not in said and [what for what, _ in log if what in ("finish", "end_run")]
