"""What a plan knows of both families of voters: whose folds gold rows are in, what is embedded, and who is named."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import pet
from pet.errors import ConfigError
from pet.method.plan.plan import Plan, prepare

Settings = Callable[..., Plan]


@pytest.fixture
def planned(both_pipeline: Path) -> Settings:
    """Prepare the toy task of both families with overrides."""
    return lambda *overrides: prepare(pet.RunConfig.from_toml(both_pipeline, ("train.contrastive=false", *overrides)))


def test_patterns_come_first_and_the_voter_on_vectors_last(planned: Settings, tiny_encoder: Path) -> None:
    plan = planned()
    assert plan.encoder is not None
    assert [spec.name for spec in plan.voters] == ["toy/colon+words", "toy/category+words", "embedding+tiny-encoder"]
    assert plan.encoder.folder == tiny_encoder == plan.embeddings[0].source.folder
    assert plan.refinement.encoder == plan.encoder
    alone = planned("train.embedding=false")
    assert (alone.embeddings, alone.encoder) == ((), plan.encoder)  # which refinement is by
    paper = planned("encoder.name=none")
    assert (paper.embeddings, paper.encoder) == ((), None)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ((), True),
        (("ensemble.mean=raw",), True),
        (("ensemble.weighting=uniform",), True),
        (("ensemble.mean=raw", "ensemble.weighting=uniform"), False),
        (("ensemble.mean=raw", "ensemble.weighting=accuracy", "ipet.generations=2"), True),
        (("ipet.held_out=false",), False),
        (("ensemble.mean=raw", "ensemble.weighting=uniform", "ipet.held_out=true"), True),
    ],
)
def test_gold_rows_are_held_out_where_something_is_fitted_or_judged_by_them(
    planned: Settings, settings: tuple[str, ...], expected: bool
) -> None:
    plan = planned("ipet.growth=2", *settings)
    assert plan.holds_out is expected
    assert plan.held_out.any() == expected
    assert plan.out_of_fold.any() == expected


def test_a_voter_on_vectors_learns_all_gold_rows_and_speaks_of_all_out_of_fold(planned: Settings) -> None:
    plan = planned()
    assert plan.kept_from.shape == plan.out_of_fold.shape == (3, 24)
    assert np.array_equal(plan.kept_from[:2], plan.held_out) and np.array_equal(plan.out_of_fold[:2], plan.held_out)
    assert not plan.kept_from[2].any()
    assert plan.out_of_fold[2].all()
    assert [len(plan.drawing.gold_of(i)) for i in range(3)] == [
        24 - plan.held_out[0].sum(),
        24 - plan.held_out[1].sum(),
        24,
    ]
    assert plan.rules.out_of_fold is plan.refinement.out_of_fold is plan.guards.held_out


def test_few_rows_of_a_label_keep_patterns_whole_but_leave_the_vectors_folds(planned: Settings) -> None:
    plan = planned("data.examples_per_label=4")
    assert not plan.held_out.any()
    assert plan.out_of_fold.tolist() == [[False] * 12, [False] * 12, [True] * 12]


@pytest.mark.parametrize("settings", ["data.examples_per_label=1", "data.train=''"])
def test_without_two_rows_of_each_label_nobody_speaks_out_of_fold(planned: Settings, settings: str) -> None:
    plan = planned(settings)
    assert plan.out_of_fold.shape == (3, len(plan.gold))
    assert not plan.out_of_fold.any()


def test_tables_of_voters_choose_encoders(planned: Settings, tiny_model: Path, tiny_encoder: Path) -> None:
    tables = [
        'patterns = ["toy/colon"]',
        'learner = "embedding"',
        f'learner = "embedding", model = "{tiny_model.as_posix()}"',
    ]
    plan = planned(f"train.voters=[{', '.join(f'{{{table}}}' for table in tables)}]")
    names = ["toy/colon+words", "embedding+tiny-encoder", f"embedding+{tiny_model.name}"]
    assert [spec.name for spec in plan.voters] == names
    assert plan.out_of_fold.shape == (3, 24)
    first, second = plan.workload.encoders
    assert (first.name, first.voters) == ("tiny-encoder", tuple(names[1:2]))
    assert (second.name, second.voters) == (tiny_model.name, tuple(names[2:]))
    with pytest.raises(ConfigError, match="needs an encoder: set its model"):
        planned("train.voters=[{learner = 'embedding'}]", "encoder.name=none")


def test_a_run_is_another_one_with_another_encoder_but_not_in_another_folder(
    planned: Settings, tiny_model: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    plan = planned()
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in tiny_encoder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    other = planned(f"encoder.name={tiny_model}")
    assert planned(f"encoder.name={copy}").identity == plan.identity
    assert other.identity["config"] != plan.identity["config"]
    assert {**other.identity, "config": ""} == {**plan.identity, "config": ""}  # no job of a pattern is named by it
    assert planned("train.embedding=false").identity["config"] != plan.identity["config"]
    tables = [f'train.voters=[{{}}, {{learner = "embedding", model = "{folder}"}}]' for folder in (tiny_encoder, copy)]
    first, second = (planned(table, "encoder.name=none").identity for table in tables)
    assert first == second


def test_one_file_of_rows_plans_what_two_files_do(planned: Settings, both_pipeline: Path, tmp_path: Path) -> None:
    folder, path = both_pipeline.parent, tmp_path / "all.jsonl"
    path.write_text("".join((folder / name).read_text("utf-8") for name in ("train.jsonl", "unlabeled.jsonl")), "utf-8")
    two = planned()
    one = planned("data.train=", "data.unlabeled=", f"data.rows={path}")
    assert [row.fields for row in one.data.labeled] == [row.fields for row in two.data.labeled]
    assert [row.fields for row in one.data.unlabeled] == [row.fields for row in two.data.unlabeled]
    assert one.identity["config"] == two.identity["config"]
    path.rename(tmp_path / "other.jsonl")
    assert planned("data.train=", "data.unlabeled=", f"data.rows={tmp_path / 'other.jsonl'}").identity == one.identity
