"""Drawing rows: so many per label for the few-shot setting, or so many in all."""

from collections.abc import Sequence

import numpy as np

from pet.data.examples import Example
from pet.data.rows import Rows


def sample_per_label(
    examples: Sequence[Example], labels: Sequence[str], per_label: int | None, rng: np.random.Generator
) -> tuple[Example, ...]:
    """Draw `per_label` rows of each label without replacement; a label with fewer gives all it has, None all rows.

    They stay in file order. The same rows and generator give the same draw, and a smaller `per_label` a part of it:
    what is learned from 10 rows per label and from 20 is comparable. Rows whose label is not in `labels` are never
    drawn.
    """
    if per_label is None:
        return tuple(examples)
    chosen: list[int] = []
    places: dict[str | None, list[int]] = {label: [] for label in labels}
    for row, example in enumerate(examples):
        places.get(example.label, []).append(row)
    for label in labels:
        rows = places[label]
        # A whole permutation, so that the generator moves on alike for every per_label.
        chosen += [rows[place] for place in rng.permutation(len(rows))[:per_label]]
    return tuple(examples[row] for row in sorted(chosen))


def limit(examples: Rows, maximum: int | None, rng: np.random.Generator) -> Rows:
    """Return `maximum` random rows in file order; all where there are no more, or `maximum` is None."""
    if maximum is None or len(examples) <= maximum:
        return examples
    return examples.take(np.sort(rng.permutation(len(examples))[:maximum]))
