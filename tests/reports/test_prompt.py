"""`pet explain-prompt`: what it shows is what a voter reads."""

from collections.abc import Callable
from pathlib import Path

import pytest
from toy import write_rows

import pet
from pet.errors import PromptError
from pet.learners.models.backbone import Backbone
from pet.learners.voters.pvp import PvpVoter
from pet.method.plan.plan import prepare
from pet.reports.check import check
from pet.reports.prompt import explain_prompt
from pet.settings.task import ModelSettings

SHIFTED = ("train.preset=unipelt", "train.prefix_length=20", "train.prefix_shifts_positions=true")


@pytest.fixture
def long(config: Callable[..., pet.RunConfig], tmp_path: Path) -> pet.RunConfig:
    """A config whose labeled rows are longer than what the model reads, with a voter that leaves less room."""
    rows = [{"text": f"game {i} " * 40, "label": label} for i, label in enumerate(("Sports", "Business", "Tech"))]
    write_rows(tmp_path / "train.jsonl", rows)
    found = config(*SHIFTED, "model.max_length=64", "prompts.patterns=toy/colon")
    return found.model_copy(update={"data": found.data.model_copy(update={"train": str(tmp_path / "train.jsonl")})})


def test_what_is_cut_for_shifted_positions_is_shown_as_cut(long: pet.RunConfig) -> None:
    plan = prepare(long)
    backbone = Backbone.masked_lm(plan.source, plan.machine.device)
    spec = plan.patterns[0]
    voter = PvpVoter(backbone, spec.prompt, ModelSettings(max_length=64), plan.machine, variant=spec.train)
    read = len(voter.encode(plan.data.labeled[:1])[0])
    assert read == 64 - 20
    assert sum(not token.cut for token in explain_prompt("toy/colon", 1, plan.data, plan.patterns, plan.model)) == read


def test_rows_left_out_are_told(long: pet.RunConfig, tmp_path: Path) -> None:
    with (tmp_path / "train.jsonl").open("a") as file:
        file.write('{"text": "", "label": "Tech"}\n')
    data = long.data.model_copy(update={"on_bad_row": "skip"})
    plan = prepare(long.model_copy(update={"data": data}))
    assert explain_prompt("toy/colon", 3, plan.data, plan.patterns, plan.model)
    assert sum("1 of 4 train rows left out" in message for message in plan.data.messages) == 1


def test_rows_that_fit_but_for_the_prefix_count_as_cut(long: pet.RunConfig, tmp_path: Path) -> None:
    write_rows(tmp_path / "pool.jsonl", [{"text": f"{i} " + "game " * 45} for i in range(3)])
    long = long.model_copy(update={"data": long.data.model_copy(update={"unlabeled": str(tmp_path / "pool.jsonl")})})
    plan = prepare(long)
    (report,) = check(plan.data, plan.patterns, plan.model, long.run, plan.notes).patterns
    assert report.truncated == 1.0


def test_a_template_that_leaves_no_room_beside_the_prefix_is_refused_at_once(long: pet.RunConfig) -> None:
    prompts = long.prompts.model_copy(update={"patterns": ("It was good " * 15 + "{mask} {text}",)})
    with pytest.raises(PromptError):
        prepare(long.model_copy(update={"prompts": prompts}))
