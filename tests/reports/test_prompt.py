"""`pet explain-prompt`: what it shows is what a voter reads."""

import pytest
from toy import write_rows

from pet.errors import PromptError
from pet.learners.models.backbone import Backbone
from pet.learners.voters.pvp import Voter
from pet.method.plan import check_prompts, prepare
from pet.reports.check import check
from pet.reports.prompt import explain_prompt
from pet.settings.task import ModelSettings

SHIFTED = ("train.preset=unipelt", "train.prefix_length=20", "train.prefix_shifts_positions=true")


@pytest.fixture
def long(config, tmp_path):
    """A config whose labeled rows are longer than what the model reads, with a voter that leaves less room."""
    rows = [{"text": f"game {i} " * 40, "label": label} for i, label in enumerate(("Sports", "Business", "Tech"))]
    write_rows(tmp_path / "train.jsonl", rows)
    found = config(*SHIFTED, "model.max_length=64", "prompts.patterns=toy/colon")
    return found.model_copy(update={"data": found.data.model_copy(update={"train": str(tmp_path / "train.jsonl")})})


def test_what_is_cut_for_shifted_positions_is_shown_as_cut(long):
    plan = check_prompts(prepare(long))
    backbone = Backbone.masked_lm(plan.inputs.source, plan.inputs.machine.device)
    spec = plan.voters[0]
    voter = Voter(backbone, spec.prompt, ModelSettings(max_length=64), plan.inputs.machine, variant=spec.train)
    read = len(voter.encode(plan.data.labeled[:1])[0])
    assert read == 64 - 20
    assert sum(not token.cut for token in explain_prompt(long, "toy/colon", 1)) == read


def test_rows_left_out_are_told(long, tmp_path):
    with (tmp_path / "train.jsonl").open("a") as file:
        file.write('{"text": "", "label": "Tech"}\n')
    data = long.data.model_copy(update={"on_bad_row": "skip"})
    said = []
    assert explain_prompt(long.model_copy(update={"data": data}), "toy/colon", 3, said.append)
    assert sum("1 of 4 train rows left out" in message for message in said) == 1


def test_rows_that_fit_but_for_the_prefix_count_as_cut(long, tmp_path):
    write_rows(tmp_path / "pool.jsonl", [{"text": f"{i} " + "game " * 45} for i in range(3)])
    long = long.model_copy(update={"data": long.data.model_copy(update={"unlabeled": str(tmp_path / "pool.jsonl")})})
    (report,) = check(prepare(long)).patterns
    assert report.truncated == 1.0


def test_a_template_that_leaves_no_room_beside_the_prefix_is_refused_at_once(long):
    prompts = long.prompts.model_copy(update={"patterns": ("It was good " * 15 + "{mask} {text}",)})
    with pytest.raises(PromptError):
        check_prompts(prepare(long.model_copy(update={"prompts": prompts})))
