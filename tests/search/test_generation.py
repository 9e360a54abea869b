"""Patterns of a T5: the beam is over all rows, gaps become templates, and what loses the mask is counted."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny_t5 import save_tiny_t5

from pet.data.examples import Example
from pet.errors import ModelError, PromptError
from pet.prompts.verbalizers import Verbalizer
from pet.search.generation import Writer, beam_search

WORDS = Verbalizer("v", {"a": ("good",), "b": ("bad",)})
ROWS = [Example("1", {"text": "lovely food"}, "a"), Example("2", {"text": "boring plot"}, "b")]


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Writer:
    return Writer.load(str(save_tiny_t5(tmp_path_factory.mktemp("t5"))))


class Saying:
    """Stands in for a T5 that says the same of every row, by the tokens so far: log-probabilities of 5 tokens."""

    config = SimpleNamespace(pad_token_id=0, decoder_start_token_id=0, eos_token_id=1)

    def __init__(self, chances: dict[tuple[int, ...], list[float]]) -> None:
        self.chances = chances

    def get_encoder(self) -> Callable[..., SimpleNamespace]:
        return lambda input_ids, **_: SimpleNamespace(last_hidden_state=input_ids.unsqueeze(-1).float())

    def __call__(self, **inputs: torch.Tensor) -> SimpleNamespace:
        given = [tuple(row.tolist()[1:]) for row in inputs["decoder_input_ids"]]
        logits = torch.tensor([self.chances.get(tokens, [0.0, 9.0, 0.0, 0.0, 0.0]) for tokens in given])
        return SimpleNamespace(logits=logits[:, None])


def test_the_beam_finds_what_trying_everything_finds() -> None:
    torch.manual_seed(0)
    chances = {tokens: torch.randn(5).tolist() for n in range(3) for tokens in product(range(5), repeat=n)}
    found = beam_search(Saying(chances), [[2], [3]], 200, end=4)

    def value(tokens: tuple[int, ...]) -> float:
        steps = [
            torch.tensor(chances.get(tokens[:i], [0.0, 9.0, 0.0, 0.0, 0.0])).log_softmax(0)[t]
            for i, t in enumerate(tokens)
        ]
        return float(sum(steps))

    ended = [(*t, end) for n in range(4) for t in product((0, 2, 3), repeat=n) for end in (1, 4)]
    best = sorted(ended, key=value, reverse=True)[0]
    assert found[0] == list(best[:-1])


def test_gaps_become_a_template(writer: Writer) -> None:
    first, second = writer.sentinels[:2]
    words = writer.tokenizer(["It was", "."], add_special_tokens=False)["input_ids"]
    ids = [first, *words[0], second, *words[1]]
    fill = writer.template
    assert fill("behind", ["text"], ids) == "{text} It was {mask}."
    assert fill("before", ["text"], ids) == "It was {mask}. {text}"
    assert fill("between", ["one", "two"], ids) == "{one} It was {mask}. {two}"
    with pytest.raises(PromptError, match="has no"):
        fill("behind", ["text"], [first, *words[0]])


def test_what_a_random_t5_writes_is_a_pattern_or_dropped(writer: Writer) -> None:
    found = writer.patterns(["text"], WORDS, ROWS, beams=4)
    assert len(found.patterns) + found.dropped <= 8
    assert found.dropped > 0
    assert all(one.fields == ("text",) for one in found.patterns)
    with pytest.raises(PromptError, match="a row has 3"):
        writer.patterns(["a", "b", "c"], WORDS, ROWS)


def test_a_t5_needs_sentinels_and_has_to_be_one(tmp_path: Path, tiny_model: Path) -> None:
    with pytest.raises(ModelError, match="has no <extra_id_0>"):
        Writer.load(str(save_tiny_t5(tmp_path / "t5", sentinels=False)))
    with pytest.raises(ModelError, match="is a 'bert' model, expected a T5"):
        Writer.load(str(tiny_model))
