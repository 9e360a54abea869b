"""What a setting may be, in words, from its JSON schema."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

_KINDS = {"string": "text", "boolean": "`true` or `false`", "object": "a table", "array": "a list"}


def values_of(schema: Mapping[str, Any]) -> str:
    """Return which values a setting takes, such as "a number above 0".

    >>> values_of({"anyOf": [{"minimum": 1, "type": "integer"}, {"const": "auto", "type": "string"}]})
    'a whole number from 1 on, `"auto"`'
    """
    return ", ".join(dict.fromkeys(_values(schema)))


def default_of(schema: Mapping[str, Any]) -> str:
    """Return the default of a setting as TOML has it; nothing where it is not set.

    >>> default_of({"default": "auto"}), default_of({"default": None}), default_of({"default": 1.0})
    ('`"auto"`', '', '`1.0`')
    """
    value = schema.get("default", {} if schema.get("type") == "object" else None)
    return "" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"


def _values(schema: Mapping[str, Any]) -> Iterator[str]:
    if "anyOf" in schema:
        for one in schema["anyOf"]:
            yield from _values(one)
    elif "enum" in schema or "const" in schema:
        yield from (f"`{json.dumps(value)}`" for value in schema.get("enum", [schema.get("const")]))
    elif "$ref" in schema:
        yield "a table"
    elif (kind := schema.get("type")) in ("integer", "number"):
        yield f"a {'whole ' * (kind == 'integer')}number{_bounds(schema)}"
    elif kind == "array":
        of = values_of(schema.get("items", {}))
        yield {"text": "a list of texts", "a table": "tables"}.get(of, f"a list of {of}")
    elif kind != "null":
        yield _KINDS[str(kind)]


def _bounds(schema: Mapping[str, Any]) -> str:
    """Return the range of a number in words."""
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    first = f" from {low:g}" if low is not None else f" above {above:g}" if above is not None else ""
    last = f" to {high:g}" if high is not None else f" to below {below:g}" if below is not None else ""
    return first + (last or (" on" if low is not None else ""))
