"""Plain text that a tiny model learns in a few steps: every word follows from the one before it."""

import random
from pathlib import Path

from tiny import WORDS

LENGTH = 32
"""Tokens of a row."""


def made_up(count: int, seed: int = 0) -> list[str]:
    """Return documents of 3 to 60 words."""
    rng, found = random.Random(seed), []
    for _ in range(count):
        at = rng.randrange(12)
        found.append(" ".join(WORDS[(at + 3 * i) % 24].lower() for i in range(rng.randint(3, 60))))
    return found


def write_text(path: Path, count: int, seed: int = 0) -> Path:
    """Write documents, one a line."""
    path.write_text("\n".join(made_up(count, seed)) + "\n", encoding="utf-8")
    return path
