"""Patterns in other words: every word has its turn, and fields, punctuation and mask stay."""

from pathlib import Path

from pet.data.examples import Example
from pet.learners.models.machine import Machine
from pet.learners.models.sources import find_model
from pet.learners.voters.shared import SharedModel
from pet.prompts.patterns import Pattern
from pet.prompts.verbalizers import Verbalizer
from pet.search.paraphrase import MOST, paraphrases
from pet.settings.run import RunSettings
from pet.settings.task import ModelSettings

WORDS = Verbalizer("v", {"a": ("good",), "b": ("bad",)})
ROWS = [Example("1", {"text": "lovely food"}, "a"), Example("2", {"text": "boring plot"}, "b")]


def test_one_word_is_replaced_at_a_time(tiny_model: Path) -> None:
    machine = Machine.pick(RunSettings(device="cpu", precision="fp32"))
    model = SharedModel(find_model(str(tiny_model)), ModelSettings(max_length=32), machine)
    found = paraphrases(
        [Pattern("p", "It was, {text}: {mask} (news)."), Pattern("q", "{mask}: {text}")], WORDS, ROWS, model
    )
    assert 0 < len(found) <= MOST
    plain = ["It", "was,", "{text}:", "{mask}", "(news)."]
    for one in found:
        new = one.template.split()
        changed = [pair for pair in zip(plain, new, strict=True) if pair[0] != pair[1]]
        assert len(changed) == 1
        assert changed[0][0].endswith(",") == changed[0][1].endswith(",")
        assert changed[0][0][:1].isupper() == changed[0][1][:1].isupper()
        assert {"good", "bad"}.isdisjoint(new)
