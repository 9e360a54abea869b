"""How many generations a run has, and which label ratio it expects: settled before anything is trained."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from toy import LABELS

import pet
from pet.errors import ConfigError
from pet.method.plan.plan import prepare
from pet.method.schedule import plan_prior

Config = Callable[..., pet.RunConfig]


def without_gold(config: pet.RunConfig) -> pet.RunConfig:
    return config.model_copy(update={"data": config.data.model_copy(update={"train": None})})


@pytest.mark.parametrize(
    ("settings", "generations", "note"),
    [
        # log5(1000 / 24) = 2.3: three steps; 24 * 4 = 96 rows fit 120, 24 * 24 do not.
        (
            ("ipet.growth=5",),
            2,
            "2 generations, as many as 120 unlabeled rows can fill: training sets of up to 24, 120 rows",
        ),
        # log2(1000 / 24) = 5.4: six steps; 24, 72 rows fit, 168 do not.
        (
            ("ipet.growth=2",),
            3,
            "3 generations, as many as 120 unlabeled rows can fill: training sets of up to 24, 48, 96 rows",
        ),
        # log100(1000 / 3) = 1.26: two steps; 3 * 99 rows do not fit.
        (
            ("ipet.growth=100", "data.examples_per_label=1"),
            1,
            "1 generation, as many as 120 unlabeled rows can fill: training sets of up to 3 rows",
        ),
    ],
)
def test_auto_is_as_many_generations_as_the_paper_has_or_the_pool_can_fill(
    larger: Config, settings: tuple[str, ...], generations: int, note: str
) -> None:
    plan = prepare(larger("ipet.generations=auto", *settings))
    assert plan.generations == plan.config.ipet.generations == generations
    assert plan.notes == (note,)


def test_auto_stops_where_the_paper_does(larger: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pet.labeling.growth.TARGET_ROWS", 40)  # log2(40 / 24) = 0.7: one step
    plan = prepare(larger("ipet.generations=auto", "ipet.growth=2"))
    assert (plan.generations, plan.notes) == (2, ("2 generations: training sets of up to 24, 48 rows",))


def test_auto_of_a_single_voter_is_refused_only_where_another_is_needed(larger: Config) -> None:
    one = ("prompts.patterns=toy/colon", "ipet.generations=auto")
    with pytest.raises(ConfigError, match="is a single voter"):
        prepare(larger(*one))
    assert prepare(larger(*one, "ipet.growth=100")).generations == 1
    assert prepare(larger(*one, "train.seeds=2")).generations == 2


def test_without_gold_rows_the_sets_begin_with_as_many_as_wanted(larger: Config) -> None:
    plan = prepare(without_gold(larger("ipet.generations=auto", "ipet.growth=2")))
    assert plan.notes[0].endswith("training sets of up to 0, 100 rows")
    plan = prepare(without_gold(larger("ipet.generations=auto", "ipet.growth=3", "ipet.first_rows=10")))
    # 10, 30, 90 rows fit 120; 270 do not.
    assert plan.generations == 4
    assert plan.notes[0].endswith("training sets of up to 0, 10, 30, 90 rows")


def test_what_the_pool_can_just_fill_is_allowed_and_one_row_more_is_not(larger: Config) -> None:
    prepare(larger("ipet.generations=2", "ipet.growth=6"))  # 24 * 5 = 120 of 120
    with pytest.raises(ConfigError) as caught:
        prepare(larger("ipet.generations=2", "ipet.growth=6.1"))  # 8 * 5.1 = 40.8: 41 rows per label
    assert str(caught.value) == (
        "ipet.generations = 2: the training sets of generation 1 draw 123 rows, and there are 120 unlabeled ones; set "
        "ipet.generations to 1 at most, lower ipet.growth (now 6.1), or give more unlabeled rows."
    )


def test_a_pool_smaller_than_the_first_sets(larger: Config) -> None:
    for generations, most in ((2, 120), (3, 24)):  # 24 rows, and five times as many
        prepare(without_gold(larger(f"ipet.generations={generations}", f"ipet.first_rows={most}")))
        with pytest.raises(ConfigError) as caught:
            prepare(without_gold(larger(f"ipet.generations={generations}", f"ipet.first_rows={most + 1}")))
        assert str(caught.value).endswith(
            f"set ipet.generations to {generations - 1} at most, lower ipet.first_rows (now {most + 1}), or give more "
            "unlabeled rows."
        )


@pytest.mark.parametrize(
    ("prior", "gold", "expected"),
    [
        ("none", [0, 0, 1], [3 / 6, 2 / 6, 1 / 6]),  # one row more of each label
        ("labels", [0, 0, 1], [3 / 6, 2 / 6, 1 / 6]),
        ("none", [], [1 / 3] * 3),
        ("uniform", [0, 0, 1], [1 / 3] * 3),
        ({"Tech": 0.5, "Sports": 0.2, "Business": 0.3}, [0], [0.2, 0.3, 0.5]),  # by name, not by place
    ],
)
def test_the_expected_label_ratio(prior: str | dict[str, float], gold: list[int], expected: list[float]) -> None:
    found = plan_prior(prior, LABELS, np.asarray(gold, np.int64))
    assert found == pytest.approx(np.asarray(expected))
    assert found.sum() == pytest.approx(1.0)


def test_shares_that_are_rounded_are_scaled_to_one() -> None:
    found = plan_prior({"Sports": 0.333, "Business": 0.333, "Tech": 0.3335}, LABELS, np.zeros(0, np.int64))
    assert found.sum() == pytest.approx(1.0, abs=1e-12)


def test_sets_that_grow_very_slowly_or_very_fast_are_told_of_as_they_are(larger: Config) -> None:
    plan = prepare(larger("ipet.generations=auto", "ipet.growth=1.01"))
    assert (plan.generations, plan.notes[0].partition(":")[0]) == (65, "65 generations, the most there are")
    with pytest.raises(ConfigError, match=r"ipet\.generations = 70: 65 are the most"):
        prepare(larger("ipet.generations=70", "ipet.growth=1.01"))
    with pytest.raises(ConfigError, match="and there are 120 unlabeled ones"):
        prepare(larger("ipet.generations=2", "ipet.growth=1e308"))
    few = without_gold(larger("ipet.generations=2", "data.max_unlabeled=9"))
    with pytest.raises(ConfigError) as caught:
        prepare(few)
    assert "lower ipet.growth" not in str(caught.value)  # ten rows are drawn whatever it is


def test_what_keeps_gold_rows_from_being_held_out_is_said_and_refused_where_it_was_asked_for(larger: Config) -> None:
    reason = "8 labeled rows of each label are needed, and 'Sports' has 4"
    few = ("ipet.generations=2", "data.examples_per_label=4", "ipet.growth=2")
    note = f"no gold rows are held out, so nothing measures the generations on them: {reason}"
    assert note in prepare(larger(*few)).notes
    assert note not in prepare(larger(*few, "ipet.held_out=false")).notes
    assert note not in prepare(larger("data.examples_per_label=4")).notes
    with pytest.raises(ConfigError) as caught:
        prepare(larger(*few, "ipet.held_out=true"))
    assert str(caught.value) == f"ipet.held_out = true: {reason}; give more, or leave it out."
    with pytest.raises(ConfigError, match="there is no labeled row; give more"):
        prepare(without_gold(larger("ipet.held_out=true")))


def test_equal_texts_are_held_out_together(larger_pipeline: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(larger_pipeline.parent, tmp_path / "twice")
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    copies = [{**row, "id": f"copy-{row['id']}", "text": row["text"].upper()} for row in rows]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, *copies]))
    plan = prepare(pet.RunConfig.from_toml(folder / larger_pipeline.name, ("ipet.generations=2", "ipet.growth=2")))
    first, second = np.split(plan.held_out, 2, axis=1)
    assert first.any() and np.array_equal(first, second)
