"""Voters that cannot read the texts are left out of a run, where others can."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from toy import rows_of, write_rows, write_task

import pet
from pet.data.examples import Example
from pet.errors import ConfigError
from pet.learners.models.sources import ModelSource, find_model
from pet.learners.voters.embedding import EmbeddingSpec
from pet.method.plan.plan import prepare
from pet.method.plan.readers import Readers, able_readers

ENGLISH = [Example(str(i), {"text": text}) for i, text in enumerate(["the team won the match", "my bank is at it"])]
RUSSIAN = [Example(str(i), {"text": text}) for i, text in enumerate(["Команда выиграла матч", "Мой банк закрыт"])]


@dataclass(frozen=True)
class _Pattern:
    """Stands in for a voter with a pattern: all that is looked at is whether it needs the encoder."""

    shows_nearest: bool = False


def readers(model: ModelSource) -> Readers:
    pattern: Any = _Pattern()
    return Readers((pattern,), (EmbeddingSpec(model),), model)


def test_all_stay_where_all_can_read(tiny_model: Path) -> None:
    source = find_model(str(tiny_model))
    assert able_readers(readers(source), source, ENGLISH) == readers(source)


def test_where_none_can_read_a_sentence_says_so(tiny_model: Path) -> None:
    source = find_model(str(tiny_model))
    with pytest.raises(ConfigError, match=r"No voter can read the texts \(\d+ % of the tokens|No voter can read"):
        able_readers(readers(source), source, RUSSIAN)


def test_a_single_family_stays_as_it_is_and_what_it_cannot_read_is_said(tiny_model: Path) -> None:
    source = find_model(str(tiny_model))
    alone = Readers(readers(source).patterns, (), None)
    assert able_readers(alone, source, ENGLISH) == alone
    found = able_readers(alone, source, RUSSIAN)
    assert replace(found, notes=()) == alone
    (note,) = found.notes
    assert "of the tokens of the texts are unknown to tiny-bert" in note and "model.name =" in note
    (note,) = able_readers(replace(readers(source), patterns=()), source, RUSSIAN).notes
    assert "are unknown to tiny-bert" in note and "encoder.name =" in note


@pytest.mark.slow
def test_patterns_of_a_model_of_another_language_are_left_out_of_a_run(tmp_path: Path, tiny_model: Path) -> None:
    pipeline = write_task(tmp_path, tiny_model)
    letters = str.maketrans("abcdefghijklmnopqrstuvwxyz", "абцдефгхийклмнопярстувжхуз")
    for part, count in (("train", 4), ("unlabeled", 12), ("test", 4)):
        rows = [{**row, "text": row["text"].translate(letters)} for row in rows_of(part, count)]
        write_rows(tmp_path / f"{part}.jsonl", rows)
    changes = ["encoder.name=e5-small", "distill.steps=2", "run.baseline=false"]
    plan = prepare(pet.RunConfig.from_toml(pipeline, changes))
    assert not plan.patterns and [spec.name for spec in plan.embeddings] == ["embedding+e5-small"]
    assert any("the voters with patterns are left out" in note for note in plan.messages)
    found = pet.run(pet.RunConfig.from_toml(pipeline, changes), tmp_path / "run", quiet=True)
    assert found.summary is not None
    assert [row.name for row in found.summary.rows] == ["embedding+e5-small", "ensemble", "distilled classifier"]
    assert found.summary.rows[1].test is not None and found.summary.rows[1].test.accuracy > 0.5
