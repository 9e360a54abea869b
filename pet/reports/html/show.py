"""How numbers, texts and labels are shown: filters of the templates, and the colours of labels."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from pet.errors import visible

LONGEST = 280
"""More characters of a text are not shown."""

HUES = 8
"""Colours that are told apart by everybody; of more labels the last one is shared by all but the most frequent."""


def words(text: object, most: int = LONGEST) -> Markup:
    """Return a text of a person on one line: shortened, isolated, without signs that steer.

    >>> words("a <b> c", 5)
    Markup('<bdi>a &lt;b&gt;…</bdi>')
    """
    return Markup("<bdi>{}</bdi>").format(shortened(text, most))


def shortened(text: object, most: int = LONGEST) -> str:
    """Return the first `most` characters of a text, as one line without signs that steer.

    >>> shortened("one  two three", 8)
    'one two…'
    """
    # Of a text of a megabyte no more is looked at than can be shown.
    line = visible(" ".join(str(text)[: 4 * most].split()))
    return line if len(line) <= most else f"{line[:most].rstrip()}…"


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share in percent; a dash where there is none.

    >>> percent(0.745), percent(1, 0), percent(None)
    ('74.5%', '100%', '–')
    """
    return "–" if share is None else f"{100 * share:.{digits}f}%"


def number(value: float | None, digits: int = 0) -> str:
    """Return a number with commas between thousands; a dash where there is none.

    >>> number(12345), number(0.5, 2)
    ('12,345', '0.50')
    """
    return "–" if value is None else f"{value:,.{digits}f}"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> counted(1, "row"), counted(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def hues(labels: Sequence[str], counts: Mapping[str, int]) -> dict[str, int]:
    """Return the colour of each label, from 0 on; those of the most frequent ones are theirs alone.

    >>> hues(["a", "b"], {"a": 1, "b": 2}), max(hues(list(map(str, range(77))), {}).values())
    ({'a': 0, 'b': 1}, 7)
    """
    if len(labels) <= HUES:
        return {label: place for place, label in enumerate(labels)}
    frequent = sorted(labels, key=lambda label: -counts.get(label, 0))[: HUES - 1]
    return {label: frequent.index(label) if label in frequent else HUES - 1 for label in labels}


FILTERS = {"words": words, "shortened": shortened, "percent": percent, "number": number}
"""What the templates call."""
