"""Examples as Arrow streams and back."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pet.data.examples import Example

__all__ = ["pack", "unpack"]

_FIELD, _EXTRA, _JSON = "field:", "extra:", "json"


def pack(examples: Sequence[Example]) -> Any:
    """Return rows of the same fields as the bytes of one Arrow stream."""
    import pyarrow

    text = pyarrow.large_string()
    columns = {
        "id": pyarrow.array([example.id for example in examples], text),
        "label": pyarrow.array([example.label for example in examples], text),
        **{
            _FIELD + name: pyarrow.array([example.fields[name] for example in examples], text)
            for name in examples[0].fields
        },
        **_packed_extra([example.extra for example in examples]),
    }
    batch = pyarrow.record_batch(columns)
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return sink.getvalue()


def _packed_extra(extras: Sequence[Mapping[str, object]]) -> dict[str, Any]:
    """Return the user's columns as JSON, which keeps 1 and 1.0 apart; what is no JSON (dates, bytes) as Arrow."""
    import pyarrow

    try:
        texts = [json.dumps(extra) if extra else None for extra in extras]
        return {_JSON: pyarrow.array(texts, pyarrow.large_string())} if any(texts) else {}
    except TypeError:
        names = dict.fromkeys(name for extra in extras for name in extra)
        return {_EXTRA + name: _any_array([extra.get(name) for extra in extras]) for name in names}


def _any_array(values: list[object]) -> Any:
    import pyarrow

    try:
        return pyarrow.array(values)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError):
        return pyarrow.array([None if value is None else str(value) for value in values], pyarrow.large_string())


def unpack(batch: Any) -> Iterator[Example]:
    """Yield the rows of a batch of such a stream."""
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
