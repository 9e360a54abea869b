"""Bodies of requests: read up to a limit, and checked against what an endpoint expects, in sentences."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from pet.errors import shown
from pet.serving.refusals import Refused

MOST_BYTES = 2_000_000
"""Of a body, as text-embeddings-inference has it."""

_DISCARDED = 16 * MOST_BYTES
"""So much of a body that is too large is read: who still sends would not hear the sentence."""

Model = TypeVar("Model", bound=BaseModel)


async def read_json(request: Request) -> Mapping[str, Any]:
    """Return the JSON object of a request.

    Raises `Refused` with 415 if it is not sent as JSON, which no page of another site can without asking first; 413
    if it is too large; 422 if it is no JSON object.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, f"The content-type is {shown(kind)}, expected application/json: send JSON, and say so.")
    try:
        found = json.loads(await _read(request))
    except (ValueError, RecursionError) as error:
        where = f" ({error})" if isinstance(error, json.JSONDecodeError) else ""
        raise Refused(422, f'The body is no JSON{where}: send an object such as {{"inputs": "a text"}}.') from None
    if not isinstance(found, dict):
        raise Refused(422, f'The body is {_kind(found)}, expected an object such as {{"inputs": "a text"}}.')
    return found


async def _read(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size <= MOST_BYTES:
            parts.append(part)
        elif size > _DISCARDED:
            break
    if size > MOST_BYTES:
        raise Refused(413, f"The body has more than {MOST_BYTES:,} bytes: send fewer or shorter texts at a time.")
    return b"".join(parts)


def checked(kind: type[Model], found: Mapping[str, Any]) -> Model:
    """Return a body as a model has it.

    Raises `Refused` with 422 if a field is missing or of another type; the field's description says what is expected.
    """
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        name = str(error.errors(include_url=False)[0]["loc"][0])
    field = next(one for own, one in kind.model_fields.items() if name in (own, one.alias))
    about = (field.description or "").rstrip(".")
    expected = about[:1].lower() + about[1:]
    if name not in found:
        names = ", ".join(map(shown, list(found)[:12])) or "nothing"
        raise Refused(422, f"The body has no {name!r}, found {names}: give {expected}.")
    raise Refused(422, f"{name!r} is {_kind(found[name])}, expected {expected}.")


def _kind(value: object) -> str:
    """Say what kind of JSON a value is."""
    match value:
        case None | bool():
            return json.dumps(value)
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            inside = dict.fromkeys(_kind(one) for one in value[:100])
            return f"a list of {' and '.join(inside)}" if inside else "an empty list"
        case _:
            return "an object"
