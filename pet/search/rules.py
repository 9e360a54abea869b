"""Patterns by rules, for any model: the families that "True few-shot learning with prompts" compares (2111.13440).

    null         the text and the mask, nothing else
    punctuation  a colon, a dash or parentheses between them
    tag          a heading that says what the mask is
    question     a question, and the mask as its answer
    sentence     a sentence that the mask completes
    instruction  what there is to choose from, then the mask

They are filled with a noun for what the labels are, such as "topic", and with the labels' names.
"""

from collections.abc import Iterator, Sequence

from pet.errors import PromptError
from pet.prompts.descriptions import name_as_words
from pet.prompts.patterns import Pattern

NOUNS = {
    "topic": "topic",
    "sentiment": "opinion",
    "intent": "request",
    "question-type": "answer",
    "spam": "message",
}
"""What the labels of a kind of tasks are, in a word; "topic" for any other."""

MOST_NAMED = 8
"""An instruction names the labels where there are so many at most: more would leave little room for the text."""

_ONE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("null", ("{text} {mask}", "{mask} {text}")),
    (
        "punctuation",
        ("{mask}: {text}", "{mask} - {text}", "( {mask} ) {text}", "{text} ( {mask} )", "{text} - {mask}."),
    ),
    ("tag", ("[ NOUN: {mask} ] {text}", "{text} NOUN: {mask}", "NOUN: {mask} || {text}")),
    (
        "question",
        (
            "{text} Question: What is the noun of this text? Answer: {mask}.",
            "{text} || What is the noun? {mask}.",
            "What is the noun? {mask}. || {text}",
        ),
    ),
    (
        "sentence",
        (
            "{text} It was {mask}.",
            "{text} || The noun is {mask}.",
            "This is {mask}: {text}",
            "The noun of this text is {mask}. || {text}",
            "{text} || This text is about {mask}.",
        ),
    ),
    (
        "instruction",
        (
            "Say what the noun of the text is, NAMES. Text: {text} The noun is {mask}.",
            "{text} || Is the noun NAMES? It is {mask}.",
        ),
    ),
)
_TWO: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("null", ("{first} {mask} {second}", "{first} {second} {mask}")),
    ("punctuation", ("{first:no_final_punct}? || {mask}, {second}", "{first:no_final_punct}? || {mask}. {second}")),
    ("tag", ("[ {mask} ] {first} || {second}", "{first} || {second} Answer: {mask}")),
    (
        "question",
        (
            "{first} Question: {second:no_final_punct}? Answer: {mask}.",
            "{first} || Does this mean that {second:lower_first,no_final_punct}? {mask}.",
        ),
    ),
    ("sentence", ("{first} || {mask}, it means that {second:lower_first}", "{first} {second} It is {mask}.")),
    ("instruction", ("Compare both texts, NAMES. {first} || {second} It is {mask}.",)),
)


def rule_patterns(fields: Sequence[str], noun: str, labels: Sequence[str]) -> list[Pattern]:
    """Return the patterns of all families for a task with one field or two, named ``rule/FAMILY-NUMBER``.

    Raises `PromptError` if there are more fields.

    >>> [pattern.template for pattern in rule_patterns(["text"], "topic", ["a", "b"])][7:9]
    ['[ Topic: {mask} ] {text}', '{text} Topic: {mask}']
    """
    if len(fields) > 2:
        raise PromptError(
            f"The rules make patterns of one text or two, and a row has {len(fields)} ({', '.join(fields)}): leave "
            '"rules" out of --by.'
        )
    return list(_filled(fields, noun, labels))


def plain_patterns(fields: Sequence[str]) -> list[Pattern]:
    """Return the patterns without a word of their own, for a task that has none."""
    families = ("rule/null", "rule/punctuation")
    return [one for one in rule_patterns(fields, "topic", ("a", "b")) if one.name.startswith(families)]


def _filled(fields: Sequence[str], noun: str, labels: Sequence[str]) -> Iterator[Pattern]:
    names = _choices(labels)
    for family, templates in _ONE if len(fields) == 1 else _TWO:
        for number, template in enumerate(templates, 1):
            if "NAMES" in template and len(labels) > MOST_NAMED:
                continue
            text = template.replace("NOUN", noun[:1].upper() + noun[1:]).replace("noun", noun).replace("NAMES", names)
            for place, field in zip(("text",) if len(fields) == 1 else ("first", "second"), fields, strict=True):
                text = text.replace(f"{{{place}", f"{{{field}")
            yield Pattern(f"rule/{family}-{number}", text, f"By rule: {family}.")


def _choices(labels: Sequence[str]) -> str:
    """Return the names of labels as one would say them.

    >>> _choices(["World", "Sci/Tech", "lost_card"])
    'World, Sci/Tech or lost card'
    """
    names = [name_as_words(label).replace("{", "").replace("}", "").replace("|", "/") for label in labels]
    return f"{', '.join(names[:-1])} or {names[-1]}"
