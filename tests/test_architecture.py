"""The shape of the code: who may import whom, what is never called, how large things get, and where Python may lie."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import pet
from pet.library import BUILTIN

PACKAGE = Path(pet.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "_builtin" not in path.parts)
# In the order of the data; a room imports from those above it. One rank: leaves that may use each other.
ROOMS = (
    ("errors",),
    ("library", "seeding", "toml", "sections", "variants", "settings", "config", "recipe"),
    ("data",),
    ("prompts",),
    ("labeling",),
    ("learners",),
    ("runs",),
    ("reports",),
    ("pipeline", "pretraining"),
    ("terminal",),
    ("cli",),
)
RANK = {name: rank for rank, names in enumerate(ROOMS) for name in names}
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml", "ruamel"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, full name) of everything imported, wherever in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            yield node.lineno, str(node.module)
            if node.module == "pet":
                yield from ((node.lineno, f"pet.{alias.name}") for alias in node.names)


def upward(path: Path, tree: ast.AST) -> list[str]:
    """Return the imports of a module that go against the order of the rooms."""
    own = RANK[room_of(path)]
    found = []
    for line, name in imports(tree):
        room = name.split(".")[1] if name.startswith("pet.") else ""
        if room in RANK and (RANK[room] > own or (RANK[room] == own and own > 1 and room != room_of(path))):
            found.append(f"{path.name}:{line} imports {name}")
    return found


def test_every_module_has_its_place_in_the_order() -> None:
    rooms = {room_of(path) for path in MODULES} - {"__init__"}
    assert rooms <= set(RANK), "a new room: give it its rank here and in the design"


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.parent != PACKAGE or path.stem != "__init__"], ids=str
)
def test_a_room_imports_only_from_those_above_it(path: Path) -> None:
    assert upward(path, tree_of(path)) == []


def test_an_upward_import_is_found() -> None:
    tree = ast.parse(
        "def late():\n    from pet.pipeline import run\nimport pet.cli\nfrom pet import reports\nimport pet.data"
    )
    found = upward(PACKAGE / "runs" / "x.py", tree)
    assert {line.rpartition(" ")[2] for line in found} == {"pet.pipeline", "pet.cli", "pet.reports"}


def test_what_decides_the_labels_is_plain_arithmetic() -> None:
    for path in (PACKAGE / "labeling").glob("*.py"):
        for line, name in imports(tree_of(path)):
            allowed = ("pet.labeling", "pet.errors", "numpy", "collections", "dataclasses", "typing")
            assert name.startswith(allowed), f"{path.name}:{line} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_nothing_is_unpickled_or_evaluated(path: Path) -> None:
    tree = tree_of(path)
    names = [f"{line}: {name}" for line, name in imports(tree) if name.split(".")[0] in FORBIDDEN_MODULES]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
            names.append(f"{node.lineno}: {node.func.id}()")
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            whole = f"{node.value.id}.{node.attr}"
            if whole in ("torch.load", "torch.save", "torch.jit", "np.save", "os.system"):
                names.append(f"{node.lineno}: {whole}")
        if isinstance(node, ast.keyword) and node.arg in ("trust_remote_code", "allow_pickle", "shell"):
            assert isinstance(node.value, ast.Constant)
            if node.value.value is not False:
                names.append(f"{node.value.lineno}: {node.arg}")
    assert names == []


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_modules_and_functions_stay_small_and_documented(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 300
    tree = tree_of(path)
    assert ast.get_docstring(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno + 1 <= 50, f"{node.name} is too long"


def test_nine_in_ten_functions_are_short() -> None:
    sizes = [
        (node.end_lineno or 0) - node.body[bool(ast.get_docstring(node)) and len(node.body) > 1].lineno + 1
        for path in MODULES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef)
    ]
    assert sum(size <= 25 for size in sizes) / len(sizes) >= 0.9


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_every_module_says_what_it_offers_in_order(path: Path) -> None:
    tree = tree_of(path)
    names = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__"
    ]
    assert len(names) == 1, "no __all__"
    # Constants, then classes, then functions, each by the alphabet: as ruff sorts them.
    offered = names[0]
    constants = [name for name in offered if name.isupper()]
    classes = [name for name in offered if name[0].isupper() and not name.isupper()]
    rest = [name for name in offered if not name[0].isupper()]
    assert offered == sorted(constants) + sorted(classes) + sorted(rest) or path.stem == "__init__"
    assert len(set(offered)) == len(offered)


def test_the_declarative_folders_hold_no_python() -> None:
    for folder in ("patterns", "verbalizers", "pipelines", "data"):
        assert (BUILTIN / folder).is_dir()
        assert list((BUILTIN / folder).rglob("*.py")) == []
