"""The shape of the code: who may import whom, what is never called, how large things get, and where Python may lie."""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import pet
from pet.library import BUILTIN

PACKAGE = Path(pet.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "_builtin" not in path.parts)
# In the order of the data; a room imports from those above it. One rank: leaves that may use each other.
ROOMS = (
    ("errors",),
    ("library", "seeding"),
    ("settings",),
    ("labeling",),
    ("data",),
    ("prompts",),
    ("learners",),
    ("runs",),
    ("pretraining",),
    ("forecast",),
    ("method",),
    ("reports",),
    ("plot",),
    ("starting",),
    ("search",),
    ("using",),
    ("serving",),
    ("pipeline",),
    ("sklearn",),
    ("ablation",),
    ("cli",),
    ("__main__",),
)
RANK = {name: rank for rank, names in enumerate(ROOMS) for name in names}
SUBROOMS = ("models", "voters", "students")
"""Those of `learners`, in the order in which they build on each other."""

WHOLE = {"Plan", "RunConfig", "Workbench"}
"""What no stage is handed: each gets its own section and rows."""
TAKES_A_WHOLE = ("pipeline.py", "ablation/", "method/plan/", "cli/")

MOST_LINES = 400
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml", "ruamel"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def name_of(path: Path) -> str:
    """Return the dotted name of a module; that of a folder for its `__init__.py`."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


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
            if (node.module or "").split(".")[0] == "pet":
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def upward(path: Path, tree: ast.AST) -> list[str]:
    """Return the imports of a module that go against the order of the rooms, or load the whole package."""
    own = RANK[room_of(path)]
    found = []
    for line, name in imports(tree):
        room = name.split(".")[1] if name.startswith("pet.") else ""
        if room in RANK and (RANK[room] > own or (RANK[room] == own and own > 1 and room != room_of(path))):
            found.append(f"{path.name}:{line} imports {name}")
        # From Python, `pet.run` is all of it; a module that says so reaches everything below itself.
        if name == "pet" and any(isinstance(node, ast.Import) and node.lineno == line for node in ast.walk(tree)):
            found.append(f"{path.name}:{line} imports {name}")
    return found


def test_every_module_has_its_place_in_the_order() -> None:
    rooms = {room_of(path) for path in MODULES} - {"__init__"}
    assert rooms == set(RANK), "a new room: give it its rank here and in CONTRIBUTING.md"


def test_every_folder_says_what_it_is() -> None:
    folders = {path.parent for path in MODULES}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.parent != PACKAGE or path.stem != "__init__"], ids=str
)
def test_a_room_imports_only_from_those_above_it(path: Path) -> None:
    assert upward(path, tree_of(path)) == []


def test_an_upward_import_is_found() -> None:
    tree = ast.parse(
        "def late():\n    from pet.pipeline import run\nimport pet.cli\nfrom pet import reports\nimport pet.data\n"
        "import pet"
    )
    found = upward(PACKAGE / "runs" / "x.py", tree)
    assert {line.rpartition(" ")[2] for line in found} == {
        "pet.pipeline",
        "pet.pipeline.run",
        "pet.cli",
        "pet.reports",
        "pet",
    }


def test_what_votes_and_what_is_taught_stand_on_the_models() -> None:
    for path in (PACKAGE / "learners").rglob("*.py"):
        own = path.relative_to(PACKAGE / "learners").parts[0]
        for line, name in imports(tree_of(path)):
            other = name.split(".")[2] if name.startswith("pet.learners.") else own
            if own in SUBROOMS and other in SUBROOMS:
                assert other == own or other == "models", f"{path.name}:{line} imports {name}"


def circle(modules: Mapping[str, ast.AST]) -> list[str]:
    """Return modules that import each other in a circle, whether at once or when they are called."""
    graph = {
        own: {name for _, name in imports(tree) if name in modules and name != own} for own, tree in modules.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_each_other_in_a_circle() -> None:
    # Without `pet` itself, which loads its functions when they are asked for.
    assert circle({name_of(path): tree_of(path) for path in MODULES if name_of(path) != "pet"}) == []


def test_a_circle_is_found() -> None:
    one, other = ast.parse("from pet.b import x"), ast.parse("def late():\n    import pet.a")
    assert set(circle({"pet.a": one, "pet.b": other, "pet.c": ast.parse("import pet.a")})) == {"pet.a", "pet.b"}


def takes_a_whole(tree: ast.AST) -> list[str]:
    """Return the parameters whose type is, or holds, one of `WHOLE`."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            given = node.args
            for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg):
                names = ast.walk(argument.annotation) if argument and argument.annotation else ()
                said = {getattr(name, "id", getattr(name, "value", None)) for name in names}
                if argument and said & WHOLE:
                    found.append(f"{node.lineno}: {argument.arg}")
    return found


def test_a_stage_is_handed_its_own_section_and_no_whole_plan() -> None:
    places = {path: path.relative_to(PACKAGE).as_posix() for path in MODULES}
    found = [
        f"{place}:{parameter}"
        for path, place in places.items()
        if not place.startswith(TAKES_A_WHOLE)
        for parameter in takes_a_whole(tree_of(path))
    ]
    assert found == []


def test_a_parameter_that_is_a_whole_is_found() -> None:
    code = (
        "def f(a: int, b: 'Plan', *, c: list[RunConfig] | None = None): ...\nclass A:\n    def g(self, d: PlanB): ..."
    )
    assert takes_a_whole(ast.parse(code)) == ["1: b", "1: c"]


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
def test_functions_stay_small_and_modules_say_what_they_are(path: Path) -> None:
    tree = tree_of(path)
    assert ast.get_docstring(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno + 1 <= 50, f"{node.name} is too long"


def test_no_module_is_very_long() -> None:
    """A sign, not a law: one noun is never split for it. The longest ten are told."""
    sizes = sorted(((path.read_text("utf-8").count("\n"), name_of(path)) for path in MODULES), reverse=True)
    print("the longest modules:", ", ".join(f"{name} {lines}" for lines, name in sizes[:10]))
    assert [name for lines, name in sizes if lines > MOST_LINES] == []


def test_nine_in_ten_functions_are_short() -> None:
    sizes = [
        (node.end_lineno or 0) - node.body[bool(ast.get_docstring(node)) and len(node.body) > 1].lineno + 1
        for path in MODULES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef)
    ]
    assert sum(size <= 25 for size in sizes) / len(sizes) >= 0.9


def private(tree: ast.AST) -> list[str]:
    """Return the names that are imported from a module of pet which keeps them to itself."""
    names = [name for _, name in imports(tree) if name.startswith("pet.")]
    return [name for name in names if name.rpartition(".")[2].startswith("_") and not name.endswith("__")]


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_what_a_module_keeps_to_itself_is_used_nowhere_else(path: Path) -> None:
    assert private(tree_of(path)) == []


def test_a_private_import_is_found() -> None:
    tree = ast.parse("from pet import __version__\nfrom pet.runs.lock import LOCK, _owner\nimport _thread")
    assert private(tree) == ["pet.runs.lock._owner"]


def test_what_pet_offers_is_there_in_order() -> None:
    assert pet.__all__ == sorted(pet.__all__)
    assert all(hasattr(pet, name) for name in pet.__all__)


@pytest.mark.parametrize("path", [path for path in MODULES if path.stem == "__init__"], ids=str)
def test_a_name_is_imported_from_where_it_is_defined(path: Path) -> None:
    if path.parent in (PACKAGE, PACKAGE / "cli"):
        return  # what a person imports, and the commands
    assert [name for _, name in imports(tree_of(path)) if name.startswith("pet.")] == []


def test_the_declarative_folders_hold_no_python() -> None:
    for folder in ("patterns", "verbalizers", "pipelines", "data"):
        assert (BUILTIN / folder).is_dir()
        assert list((BUILTIN / folder).rglob("*.py")) == []
