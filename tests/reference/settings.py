"""The pages of all settings, from the tables in `pet/settings/`."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from reference.words import default_of, values_of

from pet.settings.base import SettingsFile
from pet.settings.config import RunConfig
from pet.settings.recipe import PretrainConfig
from pet.settings.variants import PRESETS

Table = type[BaseModel]

_RUN = """\
# Every setting

The tables of a pipeline: what each setting may be, and its default; one without a default is not set. A file names only
what it changes; `--set TABLE.KEY=VALUE` changes one setting of a command, with the value as TOML or a plain word. A key
that is not here is an error that names the nearest one. `config.toml` in the directory of a run has all of them.
"""
_RECIPE = """\
# Settings of a recipe

The tables of a recipe of `pet pretrain`, read and changed as those of [a pipeline](settings.md).
"""
_PRESETS = """\
## Presets

What `preset` stands for, in `[train]` and in `[[train.voters]]`; each part can be set beside it. How well they do:
[Prompt variants](../variants.md).
"""


def settings_page() -> str:
    """Return the page of the tables of a pipeline."""
    return "\n".join([_RUN, *_tables(RunConfig), _PRESETS, *_presets()]) + "\n"


def recipe_page() -> str:
    """Return the page of the tables of a recipe."""
    return "\n".join([_RECIPE, *_tables(PretrainConfig)])


def tables_of(file: type[SettingsFile]) -> Iterator[tuple[str, Table]]:
    """Yield each table that a file of settings may have, as TOML writes its head, with its class."""
    yield from _nested(file, "")


def told(table: Table) -> dict[str, str]:
    """Return the docstring of each setting of a table, those it inherits included."""
    found: dict[str, str] = {}
    for part in reversed(table.__mro__):
        if issubclass(part, BaseModel) and part is not BaseModel:
            found |= _attribute_docstrings(part)
    return {name: found.get(name, "") for name in table.model_fields}


def _nested(table: Table, place: str) -> Iterator[tuple[str, Table]]:
    for name, field in table.model_fields.items():
        within = f"{place}.{name}" if place else name
        for inner, many in _models_in(field.annotation):
            yield (f"[[{within}]]" if many else f"[{within}]"), inner
            yield from _nested(inner, within)


def _models_in(annotation: Any) -> Iterator[tuple[Table, bool]]:
    """Yield the tables in the type of a setting, and whether there may be many of one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, False
    for inner in get_args(annotation):
        many = getattr(annotation, "__origin__", None) in (tuple, list)
        yield from ((table, many or more) for table, more in _models_in(inner))


def _attribute_docstrings(table: Table) -> dict[str, str]:
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(table))).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr):
            found[field.target.id] = inspect.cleandoc(ast.literal_eval(after.value))
    return found


def _tables(file: type[SettingsFile]) -> Iterator[str]:
    for head, table in tables_of(file):
        about = inspect.cleandoc(table.__doc__ or "").removeprefix(f"`{head}`: ").replace("``", "`")
        yield from (f"## `{head}`\n", about[0].upper() + about[1:] + "\n", *_settings(table), "")


def _settings(table: Table) -> Iterator[str]:
    properties, texts = table.model_json_schema()["properties"], told(table)
    for name in table.model_fields:
        default = default_of(properties[name])
        facts = values_of(properties[name]) + (f"; default {default}" if default else "")
        yield f"- **`{name}`** ({facts}): {' '.join(texts[name].split())}".rstrip(": ")


def _presets() -> Iterator[str]:
    parts = list(PRESETS["pet"])
    yield f"| preset | {' | '.join(f'`{part}`' for part in parts)} |"
    yield f"| --- |{' --- |' * len(parts)}"
    yield from (f"| `{name}` | {' | '.join(str(of[part]) for part in parts)} |" for name, of in PRESETS.items())
