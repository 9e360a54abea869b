"""Cells that a spreadsheet would take for formulas: written with an apostrophe before them, read without it."""

import re

# What one begins with (OWASP, "CSV injection"), also behind blanks; with apostrophes before it, it is what was escaped.
_FORMULA = re.compile(r"[' \t\r\n]*[=+\-@]|'*[\t\r\n]")
_NUMBER = re.compile(r"[+-][0-9]+(?:[.,][0-9]+)?")


def escaped(text: str) -> str:
    """Return the text of a cell as a spreadsheet shows it and does not compute it; a number is one as it stands.

    >>> escaped("=HYPERLINK()"), escaped("@a"), escaped("a-1"), escaped("-1.5")
    ("'=HYPERLINK()", "'@a", 'a-1', '-1.5')
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def unescaped(text: str) -> str:
    """Return the text that `escaped` was given; any other text stays as it is.

    >>> unescaped("'-1"), unescaped("'tis"), unescaped(escaped("'=1"))
    ('-1', "'tis", "'=1")
    """
    return text[1:] if text.startswith("'") and _FORMULA.match(text[1:]) else text
