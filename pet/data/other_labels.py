"""What is said of labels that several rows have and the task has not: a matter of the task, not of these rows."""

import json
from collections.abc import Mapping, Sequence, Set

from pet.data.source import Source
from pet.errors import DataError, shown

_LABELS_SHOWN = 12


def other_labels(
    source: Source, mapped: bool, found: Mapping[str, int], known: Sequence[str], kept: Set[str]
) -> DataError:
    """Return the error for a file with `found` labels, of which some are none of those `known`; `kept` are of both.

    Where settings name the labels (`mapped`), they are to be changed; else the file is.
    """
    others = {label: count for label, count in found.items() if label and label not in known}
    rows = ", ".join(f"{shown(label)} in {count} rows" for label, count in list(others.items())[:_LABELS_SHOWN])
    names = ", ".join(map(shown, known[:_LABELS_SHOWN])) + (", ..." if len(known) > _LABELS_SHOWN else "")
    way = "rename them, or give a file with the labels of the classifier"
    if mapped:
        every = [*(label for label in known if label in kept), *others]
        listed = json.dumps(every, ensure_ascii=False) if len(every) <= _LABELS_SHOWN else "all labels of the file"
        way = f"set task.labels = {listed}, with a verbalizer that has words for these, or mend the labels of the rows"
    return DataError(f"{source.text} has labels that are none of {names}: {rows}; {way}.")
