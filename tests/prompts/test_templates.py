"""How a template is cut into segments, and which ones are refused."""

import pytest

from pet.errors import PromptError
from pet.prompts.filters import Filter
from pet.prompts.templates import (
    INSTRUCTIONS,
    RESERVED,
    Break,
    Field,
    Literal,
    Mask,
    Segment,
    Soft,
    Tune,
    read_segments,
    with_shared,
)


@pytest.mark.parametrize(
    ("template", "segments"),
    [
        ("", ()),
        ("{text} {mask}", (Field("text"), Literal(" "), Mask())),
        ("{text:keep}", (Field("text", keep=True),)),
        ("{text:strip}", (Field("text", (Filter("strip"),)),)),
        (
            "{ text : strip , keep , head = 3 }",
            (Field("text", (Filter("strip"), Filter("head", 3)), keep=True),),
        ),
        ("{mask}||{text}", (Mask(), Break(), Field("text"))),
        ("a | b", (Literal("a | b"),)),
        ("{{text}}", (Literal("{text}"),)),
        ("{{{text}}}", (Literal("{"), Field("text"), Literal("}"))),
        ("{{{{", (Literal("{{"),)),
        ("a\n b", (Literal("a\n b"),)),
        ("{soft:3}", (Soft(3),)),
        ("{ soft : 3 }", (Soft(3),)),
        ("{soft:512}", (Soft(512),)),
        ("{soft:2 id=a init=vocab}{soft:id=a}", (Soft(2, "a", "vocab"), Soft(None, "a"))),
        ("{soft:2\tinit = label_words  id = b-1_é}", (Soft(2, "b-1_é", "label_words"),)),
        ('{soft:3 init=" it was, ||=a: " id=a}', (Soft(3, "a", "words", "it was, ||=a:"),)),
        ('{soft:1 init="vocab"}', (Soft(1, "", "words", "vocab"),)),
        ("{tune:It was}", (Tune("It was"),)),
        ("a{tune: It || was: }.", (Literal("a"), Tune(" It || was: "), Literal("."))),
        ("{{{soft:1}}}", (Literal("{"), Soft(1), Literal("}"))),
        ("{text_a}{text-b}{größe.1}", (Field("text_a"), Field("text-b"), Field("größe.1"))),
    ],
)
def test_segments(template: str, segments: tuple[Segment, ...]) -> None:
    assert read_segments(template) == segments


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{text", r"opens a brace never closed: pair it, or write '\{\{'"),
        ("text}", r"closes a brace never opened: pair it, or write '\}\}'"),
        ("{a{b}}", r"opens a brace never closed"),
        ("{mask}}", r"closes a brace never opened"),
        ("{}", r"uses \{\}, which is no field name"),
        ("{two words}", r"\{two words\}, which is no field name"),
        ("{0}", r"\{0\}, which is no field name"),
        ("{text!r}", r"which is no field name"),
        ("{text[0]}", r"which is no field name"),
        ("{text:}", r"with an empty filter"),
        ("{text:strip,}", r"with an empty filter"),
        ("{text:strip:keep}", r"unknown filter 'strip:keep'"),
        ("{text:keep,keep}", r"says 'keep' twice"),
        ("{text:sripp}", r"unknown filter 'sripp'\. Did you mean strip\?"),
        ("{text:head}", r"'head' without a number"),
        ("{mask:strip}", r"the mask takes no filter"),
        ("a ||| b", r"has '\|\|\|'.*exactly two bars"),
        ("{soft}", r"\{soft\} without a number of virtual tokens: write \{soft:3\}"),
        ("{soft:}", r"without a number of virtual tokens"),
        ("{soft:init=vocab}", r"without a number of virtual tokens"),
        ("{soft:0}", r"size '0' is not a whole number from 1 to 512: write \{soft:3\}.* leave the slot out"),
        ("{soft:-2}", r"size '-2' is not a whole number"),
        ("{soft:1.5}", r"size '1\.5' is not a whole number"),
        ("{soft:513}", r"size '513' is not a whole number"),
        (f"{{soft:{'9' * 5000}}}", r"is not a whole number"),
        ("{soft:three}", r"size 'three' is not a whole number"),
        ("{soft:²}", r"size '²' is not a whole number"),
        ("{soft:2,id=a}", r"size '2,id=a' is not a whole number"),
        ("{soft:2 3}", r"where '3' is no option: write \{soft:3 id=a init=vocab\}"),
        ("{soft:id=a 2}", r"where '2' is no option"),
        ("{soft:2 length=3}", r"unknown option 'length'\. Known: id, init\."),
        ("{soft:2 inti=vocab}", r"unknown option 'inti'\. Did you mean init"),
        ("{soft:2 id=a id=a}", r"says 'id' twice"),
        ("{soft:2 id=a.b}", r"id is not of letters, digits, '_' and '-': write id=a"),
        ('{soft:2 id=""}', r"id is not of letters"),
        ("{soft:2 init=vocabb}", r"unknown start 'vocabb'.*Did you mean vocab\?"),
        ("{soft:2 init=words}", r"unknown start 'words' \(words stand in \"quotes\"\)\. Did you mean label_words"),
        ("{soft:2 init=}", r"'init=' is no option"),
        ('{soft:2 init=" "}', r"starts from no words: write them"),
        ('{soft:2 init="it was}', r"where 'init=\"it' is no option.*in quotes, such as init=\"it was\""),
        ("{soft:2 init=it was}", r"where 'was' is no option.*in quotes"),
        ("{tune}", r"\{tune\} without words to tune: write them, such as \{tune:It was\}"),
        ("{tune:}", r"without words to tune"),
        ("{tune: \n}", r"without words to tune"),
        ("{tune:a {mask}}", r"opens a brace never closed"),
        ("{task:keep}", r"reserved name 'task'"),
        ("{options:keep}", r"reserved name 'options'"),
        ("{demos:keep}", r"reserved name 'demos'"),
    ],
)
def test_a_wrong_template_is_refused(template: str, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        read_segments(template)


def test_a_shared_id_has_one_size_and_one_start_wherever_they_are_said() -> None:
    slots = with_shared(read_segments("{soft:id=a}{mask}{soft:1}{soft:2 id=a}{soft:id=a init=vocab}{soft:3 id=b}"))
    whole = Soft(2, "a", "vocab")
    assert slots == (whole, Mask(), Soft(1), whole, whole, Soft(3, "b"))
    words = Soft(2, "a", "words", "it")
    assert with_shared(read_segments('{soft:2 id=a init="it"}{soft:2 id=a init="it"}{soft:id=a}')) == (words,) * 3


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{soft:id=a}{soft:2 id=b}", r"never says the size of \{soft:id=a\}: write it once, such as \{soft:2 id=a\}"),
        ("{soft:2 id=a}{soft:id=a}{soft:3 id=a}", r"gives id 'a' 2 and 3 virtual tokens: write its size once"),
        ("{soft:2 id=a init=vocab}{soft:id=a init=normal}", r"starts id 'a' in two ways, .*vocab.* and .*normal"),
        ('{soft:2 id=a init="it"}{soft:id=a init="was"}', r"starts id 'a' in two ways"),
    ],
)
def test_slots_of_one_id_that_disagree_are_refused(template: str, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        with_shared(read_segments(template))


@pytest.mark.parametrize("name", sorted(RESERVED - {"mask", *INSTRUCTIONS}))
def test_no_reserved_name_is_a_field(name: str) -> None:
    with pytest.raises(PromptError):
        read_segments(f"{{{name}}}")
