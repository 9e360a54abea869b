"""What the documents for people point to is there: files, headings, names in the code, commands and targets of make."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_architecture import ROOMS

from pet.cli import app

ROOT = Path(__file__).parent.parent
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
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
        if ":" in place:
            continue  # on the web, and not looked at
        if place and not file.exists():
            yield place
        elif anchor and anchor not in anchors(file.read_text(encoding="utf-8") if place else text):
            yield f"#{anchor}"
        elif place.endswith(".py") and (name := re.fullmatch(r"`([\w.]+)`", link["text"])):
            yield from (part for part in name[1].split(".") if part not in names_in(file))


def missing_paths(code: str, folder: Path) -> Iterator[str]:
    """Yield the words that look like paths of this repository and are none; a program may be called by its name."""
    programs = {path.name for place in ("pet", "tests") for path in (ROOT / place).rglob("*.py")}
    for word in code.split():
        path = word.strip("\"'(),;:")
        if re.fullmatch(r"\w+\.py", path):
            yield from () if path in programs else (path,)
        elif re.fullmatch(r"[\w./*-]+", path) and path.partition("/")[0] in FOLDERS and "/" in path:
            yield from () if any(any(place.glob(path.rstrip("/"))) for place in (folder, ROOT)) else (path,)


def unknown_commands(code: str) -> Iterator[str]:
    """Yield a command of pet, or a target of make, that there is not."""
    program, *words = code.split() or [""]
    if program == "pet" and words and words[0].strip("-").islower():
        known = {str(command.name) for command in app.registered_commands} | {"--help", "--version", "--debug"}
        yield from () if words[0] in known else (f"pet {words[0]}",)
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        asked = [word for word in words if re.fullmatch(r"[a-z][a-z-]*", word)]
        yield from (f"make {word}" for word in asked if word not in targets)


def broken(text: str, folder: Path) -> list[str]:
    """Return all that a page in a folder points to in vain."""
    found = list(broken_links(text, folder))
    for code in code_of(text):
        found += [*missing_paths(code, folder), *unknown_commands(code)]
    return found


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


def test_the_map_has_the_rooms_in_the_order_of_imports() -> None:
    rooms = re.findall(r"^\| `pet/(\w+)(?:/|\.py)` \|", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.MULTILINE)
    assert rooms == [room for rank in ROOMS for room in rank]
