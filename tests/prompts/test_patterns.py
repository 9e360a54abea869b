"""Patterns: their rules, and above all the exact parts that they render."""

import pickle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pet.data.examples import Example
from pet.errors import PromptError
from pet.prompts.filters import Filter
from pet.prompts.patterns import Part, Pattern
from pet.prompts.templates import Break, Field, Literal, Mask, Soft, Tune

ROW = Example("7", {"text": "Rates rise.", "a": "First one.", "b": " Second {one} || "})


def rendered(template: str) -> list[tuple[str, str, int, bool]]:
    """Kind, text, segment and spaced of each part of ROW; the mask's text is shown as "_"."""
    parts = Pattern("t", template).render(ROW)
    return [(part.kind, part.text or "_", part.segment, part.spaced) for part in parts]


@pytest.mark.parametrize(
    ("template", "parts"),
    [
        ("{mask} {text}", [("mask", "_", 0, True), ("field", "Rates rise.", 0, True)]),
        ("{mask}{text}", [("mask", "_", 0, True), ("field", "Rates rise.", 0, False)]),
        (
            "{mask}: {text}",
            [("mask", "_", 0, True), ("literal", ":", 0, False), ("field", "Rates rise.", 0, True)],
        ),
        (
            "{mask} : {text}",
            [("mask", "_", 0, True), ("literal", ":", 0, True), ("field", "Rates rise.", 0, True)],
        ),
        (
            "{mask} :{text}",
            [("mask", "_", 0, True), ("literal", ":", 0, True), ("field", "Rates rise.", 0, False)],
        ),
        (
            "({mask}) {text}",
            [
                ("literal", "(", 0, True),
                ("mask", "_", 0, False),
                ("literal", ")", 0, False),
                ("field", "Rates rise.", 0, True),
            ],
        ),
        (
            '"{a:no_final_punct}" ? || {mask}, "{text}"',
            [
                ("literal", '"', 0, True),
                ("field", "First one", 0, False),
                ("literal", '" ?', 0, False),
                ("mask", "_", 1, True),
                ("literal", ', "', 1, False),
                ("field", "Rates rise.", 1, False),
                ("literal", '"', 1, False),
            ],
        ),
        # A border without any space still starts its segment with the flag set.
        ("{mask}||{text}", [("mask", "_", 0, True), ("field", "Rates rise.", 1, True)]),
        # White space at the ends of the template, of any kind, says nothing more than the start does.
        ("\n\t{mask} \n {text} ", [("mask", "_", 0, True), ("field", "Rates rise.", 0, True)]),
        # White space inside a literal is its own.
        (
            "{mask} a \n b{text}",
            [("mask", "_", 0, True), ("literal", "a \n b", 0, True), ("field", "Rates rise.", 0, False)],
        ),
        # The text of a row is taken as it is: spaces, braces and bars.
        ("{mask} {b}", [("mask", "_", 0, True), ("field", " Second {one} || ", 0, True)]),
    ],
)
def test_parts(template: str, parts: list[tuple[str, str, int, bool]]) -> None:
    assert rendered(template) == parts


@pytest.mark.parametrize("tuned", ["{tune:It was}", "{tune: It was }", "{tune: It was}", "{tune:It was }"])
@pytest.mark.parametrize("before", ["", " "])
@pytest.mark.parametrize("after", ["", "\n"])
def test_blanks_at_tuned_words_are_those_of_a_literal(tuned: str, before: str, after: str) -> None:
    plain = rendered(f"{{text}}{before}{tuned[6:-1]}{after}{{mask}}.")
    parts = rendered(f"{{text}}{before}{tuned}{after}{{mask}}.")
    assert parts == [(kind if text != "It was" else "tune", text, *more) for kind, text, *more in plain]


def test_parts_of_virtual_tokens() -> None:
    pattern = Pattern("t", '{soft:id=a}({soft:1 init="it was"}) {mask} {tune:It} || {soft:2 id=a init=vocab}{text}')
    first, named, tuned, again = pattern.virtual_parts
    assert first == Part("", "soft", False, 0, True, "a", 2, "vocab")
    assert again == Part("", "soft", False, 1, True, "a", 2, "vocab")
    assert (named.text, named.kind, named.spaced, named.size, named.init) == ("it was", "soft", False, 1, "words")
    assert (tuned.text, tuned.kind, tuned.spaced, tuned.init) == ("It", "tune", True, "words")
    assert len({"a", named.key, tuned.key, ""}) == 4
    assert not any(part.shorten for part in pattern.virtual_parts)
    parts = pattern.render(ROW)
    assert tuple(part for part in parts if part.key) == pattern.virtual_parts
    assert (parts[-1].text, parts[-1].spaced) == ("Rates rise.", False)
    assert Pattern("t", "{mask} {text}").virtual_parts == ()


def test_only_fields_without_keep_are_shortened() -> None:
    parts = Pattern("t", "{a:keep} x {mask} {text:strip}").render(ROW)
    assert [part.shorten for part in parts] == [False, False, False, True]


def test_a_field_with_an_empty_text_keeps_its_part() -> None:
    parts = Pattern("t", "{mask}{text}, so").render(Example("1", {"text": ""}))
    assert parts[1] == Part("", "field", shorten=True, segment=0, spaced=False)
    assert parts[2] == Part(", so", "literal", shorten=False, segment=0, spaced=False)


def test_a_field_may_stand_twice() -> None:
    pattern = Pattern("t", "{b} {text:head=1} {mask} {text}")
    assert pattern.fields == ("b", "text")
    assert [part.text for part in pattern.render(ROW)][1:] == ["Rates", "", "Rates rise."]


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("[ Category: {mask} ] {text}", "[ Category: [MASK] ] Rates rise."),
        ('"{a:no_final_punct}" ? || {mask}, "{text}"', '"First one" ? || [MASK], "Rates rise."'),
        ("{{{mask}}} {text}", "{[MASK]} Rates rise."),
        ("  {text}({mask})  ", "Rates rise.([MASK])"),
        (
            "{soft:3} {text}{soft:1}, {mask} {soft:2 id=a} {soft:id=a}",
            "[soft:3] Rates rise.[soft:1], [MASK] [soft:2] [soft:2]",
        ),
        ("{text} {tune:It was} {mask}{tune: .}", "Rates rise. It was [MASK] ."),
        ('{mask}{soft:2 init="it was"} || {text}', "[MASK][soft:2] || Rates rise."),
    ],
)
def test_describe(template: str, shown: str) -> None:
    assert Pattern("t", template).describe(ROW) == shown


def test_describe_shows_the_mask_of_choice() -> None:
    assert Pattern("t", "{mask}: {text}").describe(ROW, mask="<mask>") == "<mask>: Rates rise."


def test_a_missing_field_is_named_with_near_matches() -> None:
    pattern = Pattern("mine/short", "{mask} {texts}")
    with pytest.raises(
        PromptError, match=r"'mine/short' needs the field 'texts', which row '7' .* Did you mean text\?"
    ):
        pattern.render(ROW)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("", r"is empty"),
        (" \n ", r"is empty"),
        ("{text}", r"has no \{mask\}: write it exactly once"),
        ("{{mask}} {text}", r"has no \{mask\}"),
        ("{mask} {text} {mask}", r"has 2 times \{mask\}"),
        ("It was {mask}.", r"has no field"),
        ("{mask} || {a} || {b}", r"has 2 times '\|\|'"),
        ("|| {mask} {text}", r"nothing on one side of '\|\|'"),
        ("{mask} {text} || \n", r"nothing on one side of '\|\|'"),
        ("{mask} {text:stripp}", r"unknown filter 'stripp'\. Did you mean strip\?"),
        ("{soft:0} {mask} {text}", r"'0' is not a whole number"),
        ("{soft:id=a} {mask} {text}", r"never says the size"),
        ("{soft:2 id=a} {soft:3 id=a} {mask} {text}", r"gives id 'a' 2 and 3"),
        ("{soft:300} {mask} {text} {soft:213}", r"has 513 virtual tokens, expected 512 at most: write fewer"),
        ("{soft:300 id=a} {mask} {text} {soft:id=a}", r"has 600 virtual tokens"),
        ("{soft:3} {text}", r"has no \{mask\}"),
        ("{soft:3} {mask} {tune:It}", r"has no field"),
    ],
)
def test_a_wrong_pattern_is_refused_by_name(template: str, message: str) -> None:
    with pytest.raises(PromptError, match=rf"^Pattern 'mine/bad' .*{message}"):
        Pattern("mine/bad", template)


def test_patterns_are_values() -> None:
    pattern = Pattern("t", "{mask} {text:head=3,keep}{soft:2 id=a}{tune:It}", "short")
    field = Field("text", (Filter("head", 3),), keep=True)
    other = Pattern("t", "{ mask } {text: head = 3, keep}{soft:2   id=a}{tune:It}")
    assert pattern.segments == (Mask(), Literal(" "), field, Soft(2, "a"), Tune("It"))
    assert pattern == other
    assert hash(pattern) == hash(other)
    pattern.render(ROW)  # fills the cached layout, which must not get in the way of what follows
    assert pattern == other
    assert pickle.loads(pickle.dumps(pattern)) == pattern
    assert pattern.description == "short"


inert = st.lists(
    st.sampled_from(["{text}", "{mask}", "||", "[MASK]", "<mask>", "</s>", "{", "}", "{{", " ", "\n", ".", "a"])
    | st.text(max_size=5)
).map("".join)


@given(text=inert, other=inert)
@example(text="{text} || {mask} [MASK] </s>", other="{{}}")
def test_what_a_row_says_is_never_read_as_a_template(text: str, other: str) -> None:
    filters = (Filter("no_final_punct"), Filter("tail", 3))
    pattern = Pattern("t", "{mask}: {text:no_final_punct,tail=3}||{other}")
    parts = pattern.render(Example("1", {"text": text, "other": other}))
    assert [part.kind for part in parts] == ["mask", "literal", "field", "field"]
    assert [part.segment for part in parts] == [0, 0, 0, 1]
    assert parts[2].text == filters[1].apply(filters[0].apply(text))
    assert parts[3].text == other


pieces = st.lists(
    st.sampled_from(["{text}", "{a:keep}", "{b:head=2,strip}", "{{", "}}", " | ", " ", "\n", "x", ",", "("])
    | st.sampled_from(["{soft:2}", "{soft:1 id=a init=vocab}", "{soft:id=a}", "{tune:It was}", "{tune: so: }"])
    | st.sampled_from(["{soft:3 id=b init=normal}", '{soft:2 init="it || was"}'])
).map("".join)


@given(before=pieces, between=pieces, after=pieces, border=st.sampled_from(["", "||", " || "]))
def test_a_template_is_written_as_it_was_read(before: str, between: str, after: str, border: str) -> None:
    pattern = Pattern("t", f"{before}{{soft:1 id=a}}{{mask}}{between}{border}{{text}}{after}")
    assert Pattern("t", pattern.template) == pattern
    assert sum(part.kind == "mask" for part in pattern.render(ROW)) == 1
    # All but white space is in the parts: what is spliced is what is described.
    described = pattern.describe(ROW, mask="_").replace(" || ", " ", 1 if Break() in pattern.segments else 0)
    assert described.split() == " ".join(_sides(pattern)).split()


def _sides(pattern: Pattern) -> list[str]:
    """The rendering by plain substitution: the oracle of the test above."""
    sides = [""]
    for item in pattern.segments:
        if isinstance(item, Break):
            sides.append("")
        elif isinstance(item, Field):
            sides[-1] += item.read(ROW.fields[item.name])
        elif isinstance(item, Soft):
            sides[-1] += f"[soft:{item.size or 1}]"  # id a
        else:
            sides[-1] += item.text if isinstance(item, Literal | Tune) else "_"
    return sides


def test_instructions_are_said_once_for_all_rows() -> None:
    pattern = Pattern("p", "{task} Options: {options} || {text} Answer: {mask}")
    told = pattern.told({"task": "Which {team} is it?", "options": "billing || delivery"})
    row = Example("1", {"text": "Where is it?"})
    assert told.describe(row) == "Which {team} is it? Options: billing | delivery || Where is it? Answer: [MASK]"
    assert pattern.describe(row) == "{task} Options: {options} || Where is it? Answer: [MASK]"
    assert Pattern("p", told.template) == told and told.fields == ("text",)


def test_an_instruction_without_text_is_refused() -> None:
    with pytest.raises(PromptError, match=r"'p' has \{task\}, and the task says nothing of it: set \[task\] descript"):
        Pattern("p", "{task} {text} {mask}").told({"options": "a, b"})
