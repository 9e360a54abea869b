"""What the documents for people point to is there: files, headings, names in the code, commands and targets of make.

Examples in them are what they say: a pipeline in a page is accepted, a setting and its value are known, a command has
the flags that it is given. Nothing of the web is looked at.
"""

import ast
import importlib.util
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from reference.settings import tables_of
from test_architecture import ROOMS
from typer.core import TyperGroup
from typer.main import get_command

import pet
from pet.cli import app
from pet.errors import PetError
from pet.prompts.registry import load_patterns, load_verbalizers
from pet.settings.config import RunConfig
from pet.settings.recipe import PretrainConfig

ROOT = Path(__file__).parent.parent
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "data").rglob("README.md")),
)
pytestmark = pytest.mark.skipif(not (ROOT / "pet").is_dir(), reason="the sources are out of reach")

FOLDERS = (".ci", "data", "docs", "patterns", "pet", "pipelines", "tests", "verbalizers")
"""A path that begins with one of these is one of this repository; others are a user's."""

LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def code_of(text: str) -> Iterator[str]:
    """Yield what stands in backticks, and the lines of fenced blocks without their comments."""
    for block in FENCED.findall(text):
        yield from (line.partition(" #")[0].strip() for line in block.splitlines()[1:-1])
    for paragraph in FENCED.sub("", text).split("\n\n"):
        yield from (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", paragraph))


def anchors(text: str) -> set[str]:
    """Return the anchors that a page has on GitHub: of each heading without its punctuation."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in HEADING.findall(FENCED.sub("", text))}


def names_in(module: Path) -> set[str]:
    """Return what a module defines: functions, classes, their methods and attributes, constants."""
    found = set[str]()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        for target in node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]:
            found |= {target.id} if isinstance(target, ast.Name) else set()
    return found


def broken_links(text: str, folder: Path) -> Iterator[str]:
    """Yield the links to what is not there; one whose text is a name in backticks leads to the module of that name."""
    for link in LINK.finditer(FENCED.sub("", text)):
        place, _, anchor = link["target"].partition("#")
        file = folder / place
        if ":" in place:  # on the web, and not looked at
            yield from () if place.startswith("https://") else (place,)
            continue
        if place and not file.exists():
            yield place
        elif anchor and anchor not in anchors(file.read_text(encoding="utf-8") if place else text):
            yield f"#{anchor}"
        elif place.endswith(".py") and (name := re.fullmatch(r"`([\w.]+)`", link["text"])):
            yield from (part for part in name[1].split(".") if part not in names_in(file))


@cache
def programs() -> set[str]:
    """Return the names of all modules."""
    return {path.name for place in ("pet", "tests") for path in (ROOT / place).rglob("*.py")}


def missing_paths(code: str, folder: Path) -> Iterator[str]:
    """Yield the words that look like paths of this repository and are none; a program may be called by its name."""
    for word in code.split():
        path = word.strip("\"'(),;:")
        if re.fullmatch(r"\w+\.py", path):
            yield from () if path in programs() else (path,)
        elif re.fullmatch(r"[\w./*-]+", path) and path.partition("/")[0] in FOLDERS and "/" in path:
            yield from () if any(any(place.glob(path.rstrip("/"))) for place in (folder, ROOT)) else (path,)


def unknown_commands(code: str) -> Iterator[str]:
    """Yield a command of pet, or a target of make, that there is not."""
    program, *words = code.split() or [""]
    if program == "pet" and words and words[0].strip("-").islower():
        known = flags_by_command()
        yield from () if words[0] in known else (f"pet {words[0]}",)
        flags = [word.partition("=")[0] for word in words[1:] if re.match(r"--\w", word)]
        yield from (f"pet {words[0]} {flag}" for flag in flags if flag not in known.get(words[0], flags))
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        asked = [word for word in words if re.fullmatch(r"[a-z][a-z-]*", word)]
        yield from (f"make {word}" for word in asked if word not in targets)


@cache
def flags_by_command() -> dict[str, set[str]]:
    """Return the flags of each command of pet; a flag of pet itself is a command without any."""
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    common = {"--help", "--debug"}
    commands = {
        name: {flag for parameter in command.params for flag in parameter.opts} | common
        for name, command in group.commands.items()
    }
    return commands | {flag: set() for flag in (*common, "--version")}


@cache
def keys_by_table() -> dict[str, set[str]]:
    """Return the keys of each table of a pipeline and of a recipe, by its name without brackets."""
    found: dict[str, set[str]] = {}
    for file in (RunConfig, PretrainConfig):
        for head, table in tables_of(file):
            found.setdefault(head.strip("[]"), set()).update(table.model_fields)
    return found


def unknown_settings(code: str) -> Iterator[str]:
    """Yield a setting that there is not, or that has another kind of value: ``[train] steps = 3``, ``--set a.b=c``."""
    named = re.findall(r"--(?:set|axis)[ =]'?([a-z]+)\.([a-z]\w*)", code)
    if whole := re.fullmatch(r"\[([a-z.]+)\] (?P<first>\w+)(?P<value> = .+)?", code):
        table, _, key = whole[1].partition(".")
        named.append((table, key or whole["first"]))
        if whole["value"]:
            yield from refused(f"[{whole[1]}]\n{whole['first']}{whole['value']}")
    yield from (f"{table}.{key}" for table, key in named if key not in keys_by_table().get(table, ()))


def refused(text: str) -> Iterator[str]:
    """Yield what is wrong with a table as neither a pipeline nor a recipe has it."""
    try:
        tables: dict[str, Any] = tomllib.loads(text)
        file = RunConfig if set(tables) <= set(RunConfig.model_fields) else PretrainConfig
        file.from_mapping(tables, "example")
    except (tomllib.TOMLDecodeError, PetError) as error:
        yield str(error)


def wrong_examples(text: str) -> Iterator[str]:
    """Yield what is wrong with the blocks of a page that are TOML or Python."""
    for language, block in re.findall(r"^```(toml|python)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        place = re.match(r"# \S*?((?:patterns|verbalizers)/[\w-]+\.toml)\n", block)
        if language == "python":
            yield from (f"pet.{name}" for name in re.findall(r"\bpet\.(\w+)", block) if not offers(name))
        elif place:
            yield from refused_prompts(place[1], block)
        else:
            yield from refused(block)


def offers(name: str) -> bool:
    """Say whether a person may write ``pet.<name>``."""
    return name in pet.__all__ or importlib.util.find_spec(f"pet.{name}") is not None


def refused_prompts(place: str, block: str) -> Iterator[str]:
    """Yield what is wrong with a file of patterns or of verbalizers."""
    with TemporaryDirectory() as folder:
        file = Path(folder, place)
        file.parent.mkdir()
        file.write_text(block, encoding="utf-8")
        try:
            load_patterns([folder])
            load_verbalizers([folder])
        except PetError as error:
            yield str(error)


def broken(text: str, folder: Path) -> list[str]:
    """Return all that a page in a folder points to in vain, and what is wrong with its examples."""
    found = list(broken_links(text, folder))
    for code in code_of(text):
        found += [*missing_paths(code, folder), *unknown_commands(code), *unknown_settings(code)]
    return found + list(wrong_examples(text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_points_to_what_is_there(page: Path) -> None:
    assert broken(page.read_text(encoding="utf-8"), page.parent) == []


def test_what_is_not_there_is_found() -> None:
    text = """
# The first part: `pet run`, and more

[there](README.md), [here](#the-first-part-pet-run-and-more), [web](https://example.org/x), [`run`](pet/pipeline.py),
`pet/cli/`, `patterns/*.toml`, `my/own.toml`, `tests/benchmarks/speed.py DATA`, `pet run FILE`, `make --jobs 2 test`,
[gone](gone.md), [no heading](#second), [no heading there](README.md#nowhere), [`runs`](pet/pipeline.py),
[`Place.run_away`](pet/method/place.py), `pet/gone.py`, `patterns/*.json`, `python gone.py DATA_DIR`,
`make   everything DATA=folder`, `pet
dream`

```sh
pet guess my.toml    # pet/in_a_comment.py
make demo
make tea             # [gone](too.md)
```
"""
    assert broken(text, ROOT) == [
        *("gone.md", "#second", "#nowhere", "runs", "run_away"),
        *("pet guess", "make tea"),
        *("pet/gone.py", "patterns/*.json", "gone.py", "make everything", "pet dream"),
    ]


def test_a_setting_a_flag_and_an_example_that_are_not_there_are_found() -> None:
    text = """
`[train] steps = 3`, `[train] step = 3`, `[train] steps = "many"`, `[task.fields] text = "a"`, `[task.columns] a = "b"`,
`[ipet] generations`, `[ipet] generation`, `--set 'task.descriptions."Sci/Tech"="chips"'`, `--set train.stop=1`,
`pet run my.toml --fast`, `pet run my.toml --faster`, `pet ablate my.toml --axis refine.way=a,b`, [old](http://a.example)

```toml
[prompts]
pattern = "topic/*"
```

```toml
# mine/patterns/tickets.toml
[short]
template = "{mask}: {text"
```

```python
pet.run(pet.RunConfig(), pet.nowhere)
```
"""
    *found, key, template, name = broken(text, ROOT)
    assert found == [
        "http://a.example",
        *("example: unknown key 'step' in [train]. Did you mean steps?", "train.step"),
        "example: train.steps: input should be a valid integer, unable to parse string as an integer, found 'many'.",
        *("example: unknown key 'columns' in [task]. Did you mean id_column, label_column?", "task.columns"),
        *("ipet.generation", "train.stop", "pet run --faster", "refine.way"),
    ]
    assert "unknown key 'pattern' in [prompts]" in key and "opens a brace" in template and name == "pet.nowhere"


def test_the_readme_is_short_and_its_two_commands_come_first() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= 200
    assert [shlex.split(line, comments=True) for line in FENCED.findall(text)[0].splitlines()[1:-1]] == [
        ["make", "demo"],
        ["make", "test"],
    ]


def test_every_page_of_the_docs_stands_in_the_contents_once() -> None:
    contents = "".join(re.findall(r"^```{toctree}$(.*?)^```$", (ROOT / "docs/index.md").read_text("utf-8"), 24))
    listed = re.findall(r"^[a-z][\w/-]*$", contents, re.MULTILINE)
    pages = [
        page.relative_to(ROOT / "docs").with_suffix("").as_posix() for page in PAGES if ROOT / "docs" in page.parents
    ]
    assert sorted(set(listed)) == sorted(listed)
    assert set(pages) - {"index"} <= set(listed)


def test_the_map_has_the_rooms_in_the_order_of_imports() -> None:
    rooms = re.findall(r"^\| `pet/(\w+)(?:/|\.py)` \|", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.MULTILINE)
    assert rooms == [room for rank in ROOMS for room in rank]
