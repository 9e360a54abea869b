"""Examples as batches of Arrow columns and back, for `pet.data.rows`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow

from pet.data.examples import Example

_FIELD, _EXTRA, _JSON = "field:", "extra:", "json"


def pack(examples: Sequence[Example]) -> Any:
    """Return rows of the same fields as a record batch."""
    texts = {
        "id": [example.id for example in examples],
        "label": [example.label for example in examples],
        **{_FIELD + name: [example.fields[name] for example in examples] for name in examples[0].fields},
    }
    columns = {name: pyarrow.array(values, pyarrow.large_string()) for name, values in texts.items()}
    return pyarrow.record_batch(columns | _packed_extra([example.extra for example in examples]))


def _packed_extra(extras: Sequence[Mapping[str, object]]) -> dict[str, Any]:
    """Return the user's columns as JSON, which keeps 1 and 1.0 apart; what is no JSON (dates, bytes) as Arrow."""
    try:
        texts = [json.dumps(extra) if extra else None for extra in extras]
        return {_JSON: pyarrow.array(texts, pyarrow.large_string())} if any(texts) else {}
    except TypeError:
        names = dict.fromkeys(name for extra in extras for name in extra)
        return {_EXTRA + name: _any_array([extra.get(name) for extra in extras]) for name in names}


def _any_array(values: list[object]) -> Any:
    if any(getattr(value, "nanosecond", 0) for value in values):
        # A timestamp of pandas; pyarrow would cut it to microseconds.
        return pyarrow.array([None if value is None else str(value) for value in values], pyarrow.large_string())
    try:
        return pyarrow.array(values)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError):
        return pyarrow.array([None if value is None else str(value) for value in values], pyarrow.large_string())


def unpack(batch: Any) -> Iterator[Example]:
    """Yield the rows of such a batch."""
    columns = {name: batch[name].to_pylist() for name in batch.schema.names}
    ids, labels = columns.pop("id"), columns.pop("label")
    texts = columns.pop(_JSON, None)
    fields = {name.removeprefix(_FIELD): values for name, values in columns.items() if name.startswith(_FIELD)}
    typed = {name.removeprefix(_EXTRA): values for name, values in columns.items() if name.startswith(_EXTRA)}
    for i, name in enumerate(ids):
        extra = {column: values[i] for column, values in typed.items()}
        if texts and texts[i]:
            extra = json.loads(texts[i])
        yield Example(name, {field: values[i] for field, values in fields.items()}, labels[i], extra)
