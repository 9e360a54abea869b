"""Patterns of plain words as patterns of tuned words, virtual tokens, or no words."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pet.data.examples import Example
from pet.errors import PromptError
from pet.prompts.inputs import with_input
from pet.prompts.patterns import Pattern
from pet.prompts.registry import load_patterns
from pet.prompts.templates import Break, Field, Literal, Mask
from pet.settings.variants import Input

PATTERNS = load_patterns().select(["*"])
CASES = [
    (
        "{text} It was {mask}.",
        "{text} {tune:It was} {mask}{tune:.}",
        "{text} {soft:2} {mask}.",
        "{text} {mask}",
    ),
    (
        "[ Category: {mask} ] {text}",
        "{tune:[ Category:} {mask} {tune:]} {text}",
        "[ {soft:1}: {mask} ] {text}",
        "{mask} {text}",
    ),
    (
        "{mask}: {text}",
        "{mask}{tune::} {text}",
        "{soft:3} {mask} {soft:1}: {text}",
        "{mask} {text}",
    ),
    (
        '"{a:no_final_punct}" ? || ({mask}), "{b:keep}"',
        '{tune:"}{a:no_final_punct}{tune:" ?} || {tune:(}{mask}{tune:), "}{b:keep}{tune:"}',
        '"{a:no_final_punct}" ? || ({soft:3}{mask} {soft:1}), "{b:keep}"',
        "{a:no_final_punct} || {mask} {b:keep}",
    ),
    (
        "What is it - a $5 bill? {mask}!\n|| {text}",
        "{tune:What is it - a $5 bill?} {mask}{tune:!}\n|| {text}",
        "{soft:6}? {mask}!\n|| {text}",
        "{mask} || {text}",
    ),
    (
        "Question || {text}{mask} {{so}}",
        "{tune:Question} || {text}{mask} {{so}}",
        "{soft:1} || {text}{mask} {{{soft:1}}}",
        "{text} {mask}",
    ),
]


@pytest.mark.parametrize(("template", "tune", "soft", "null"), CASES)
def test_each_input_by_hand(template: str, tune: str, soft: str, null: str) -> None:
    hard = Pattern("mine/one", template, "Mine.")
    assert with_input(hard, "hard", 5) is hard
    expected: dict[Input, str] = {"tune": tune, "soft": soft, "null": null, "prepend": "{soft:7} " + template}
    for how, said in expected.items():
        found = with_input(hard, how, 7)
        assert found.template == said
        assert (found.name, found.description) == ("mine/one", "Mine.")


@pytest.mark.parametrize("how", get_args(Input))
@pytest.mark.parametrize(
    "template", ["{text} {soft:1} so {mask}", "{text} {tune:It was} {mask}.", "{soft:1 id=a} {mask}: {text}"]
)
def test_a_pattern_that_says_itself_what_trains_is_left_as_it_is(how: Input, template: str) -> None:
    pattern = Pattern("p", template)
    assert with_input(pattern, how, 5) is pattern


def test_too_many_virtual_tokens_in_front() -> None:
    with pytest.raises(
        PromptError, match=r"'p' uses \{soft:513\}, whose size '513' is not a whole number from 1 to 512"
    ):
        with_input(Pattern("p", "{mask} {text}"), "prepend", 513)


@pytest.mark.parametrize("how", get_args(Input))
@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.name)
def test_each_pattern_that_ships_keeps_its_fields_and_mask(pattern: Pattern, how: Input) -> None:
    found = with_input(pattern, how, 5)
    assert Pattern(found.name, found.template) == found

    def unchanged(one: Pattern) -> list[object]:
        return [item for item in one.segments if isinstance(item, Field | Mask | Break)]

    assert unchanged(found) == unchanged(pattern)
    kinds = {part.kind for part in found.virtual_parts}
    if not pattern.virtual_parts:
        assert kinds == {"hard": set(), "tune": {"tune"}, "soft": {"soft"}, "prepend": {"soft"}, "null": set()}[
            how
        ] or (how == "tune" and not any(isinstance(item, Literal) and item.text.strip() for item in pattern.segments))


pieces = st.lists(
    st.sampled_from(["{text}", "{a:keep}", "{{", "}}", " | ", " ", "\n", "It was", "x", "it's 5", ",", "(", "_"])
).map("".join)


@given(before=pieces, between=pieces, after=pieces, border=st.sampled_from(["", "||", " || "]))
def test_tuned_words_and_tokens_in_front_read_as_the_plain_template(
    before: str, between: str, after: str, border: str
) -> None:
    row = Example("1", {"text": "Rates rise.", "a": " First"})
    hard = Pattern("p", f"{before}{{mask}}{between}{border}{{text}}{after}")
    plain = [(part.text, part.segment, part.spaced) for part in hard.render(row)]
    assert [(part.text, part.segment, part.spaced) for part in with_input(hard, "tune", 5).render(row)] == plain
    prepended = with_input(hard, "prepend", 5).render(row)
    assert prepended[0].size == 5
    assert [(part.text, part.segment, part.spaced) for part in prepended[1:]] == plain
    # The mask stays glued or spaced, so that label words have the same token ids.
    masks = [part for part in hard.render(row) if part.kind == "mask"]
    assert [part for part in with_input(hard, "soft", 5).render(row) if part.kind == "mask"] == masks
    # Virtual tokens stand for the words: none of them is left, and every sign is.
    softened = with_input(hard, "soft", 5)
    assert not any(sign.isalnum() for item in softened.segments if isinstance(item, Literal) for sign in item.text)
    assert {part.kind for part in with_input(hard, "null", 5).render(row)} == {"field", "mask"}
