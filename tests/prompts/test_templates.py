"""How a template is cut into segments, and which ones are refused."""

import pytest

from pet.errors import PromptError
from pet.prompts import RESERVED, Break, Field, Filter, Literal, Mask, Segment
from pet.prompts.templates import read_segments


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
        ("{soft:3}", r'\{soft:3\}, but soft prompts are not supported by preset "pet"'),
        ("{soft}", r"soft prompts are not supported"),
        ("{tune:It was}", r"\{tune:It was\}, but soft prompts are not supported"),
        ("{task}", r"reserved name 'task'"),
        ("{options}", r"reserved name 'options'"),
        ("{demos:keep}", r"reserved name 'demos'"),
    ],
)
def test_a_wrong_template_is_refused(template: str, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        read_segments(template)


@pytest.mark.parametrize("name", sorted(RESERVED - {"mask"}))
def test_no_reserved_name_is_a_field(name: str) -> None:
    with pytest.raises(PromptError):
        read_segments(f"{{{name}}}")
