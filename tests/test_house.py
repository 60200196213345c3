"""The house stands: imports point down, pages open with their papers, sizes hold (DESIGN.md, sections 2 to 4)."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from allyouneed.models.catalogue import CATALOGUE

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "allyouneed"
FILES = sorted(PACKAGE.rglob("*.py"))
PAGES = sorted(
    set((PACKAGE / "models").glob("*.py")) - {PACKAGE / "models" / n for n in ("__init__.py", "catalogue.py")}
)

ROOF = 6  # what stands at the top of the package and in no room: cli.py, __main__.py, the Python door ...
FLOORS = {
    "errors": 0, "settings": 0, "records": 0, "nn": 1, "data": 1, "models": 2, "tasks": 3, "decoding": 3,
    "training": 4, "weights": 4, "tracing": 4, "lab": 5, "recipes": 5, "serving": 5, "commands": 6,
}  # fmt: skip
SAME_FLOOR = {("tasks", "decoding"), ("settings", "errors")}

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))


def room(module: str) -> str:
    """`allyouneed.nn.stack` is in the room nn; what stands in no room is its own."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """Every module of this package that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "allyouneed")
        elif isinstance(node, ast.ImportFrom):
            above = path.parents[node.level - 1].relative_to(ROOT).parts if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            if base.split(".")[0] == "allyouneed":
                whole = [f"{base}.{alias.name}" for alias in node.names]
                yield from (name if name_is_module(name) else base for name in whole)


def name_is_module(name: str) -> bool:
    path = ROOT / Path(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


def may_import(here: str, there: str) -> bool:
    if here == there or (here, there) in SAME_FLOOR:
        return True
    below, above = FLOORS.get(there, ROOF), FLOORS.get(here, ROOF)
    return below < above or (below == above == ROOF and there != "cli")


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_every_folder_is_a_room_with_a_floor() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert rooms <= set(FLOORS), "a room without a floor: give it one in DESIGN.md and here"


@each_file
def test_imports_point_down(path: Path) -> None:
    here = room(module_of(path))
    wrong = [name for name in imports(path) if path.name != "__main__.py" and not may_import(here, room(name))]
    assert not wrong, f"{module_of(path)} (floor {FLOORS.get(here, ROOF)}) may not import {', '.join(wrong)}"


def test_the_rule_itself() -> None:
    assert may_import("training", "nn") and may_import("tasks", "decoding") and may_import("cli", "recipes")
    for here, there in (
        ("nn", "models"),
        ("decoding", "tasks"),
        ("weights", "training"),
        ("nn", "data"),
        ("lab", "cli"),
    ):
        assert not may_import(here, there)
    assert not may_import("nn", "check") and may_import("check", "recipes")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_pages_import_no_page(path: Path) -> None:
    assert not [name for name in imports(path) if room(name) == "models"]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_page_opens_with_its_paper(path: Path) -> None:
    """Title. Authors year, link; then how the data flows."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paper, _, flow = text.partition("\n\n")
    assert re.match(r"[A-Z].+\. [^.]+ (et al\. )?(19|20)\d\d, https?://\S+", paper), "title. authors year, link"
    assert "->" in flow, "the data flow in a line or two"


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_catalogue_and_the_page_name_the_same_paper(name: str) -> None:
    system = CATALOGUE[name]
    page = Path(sys.modules[system.builds[system.task].__module__].__file__ or "")
    assert page in PAGES
    opening = page.read_text(encoding="utf-8")[:600]
    assert system.url in opening and system.paper.split(" (")[0] in opening
    assert system.adds and system.parity and next(iter(system.presets.values())) == system.config()
    assert all(isinstance(order, str) for order in system.orders(system.tiny))


def test_every_page_is_in_the_catalogue() -> None:
    builders = [build for system in CATALOGUE.values() for build in system.builds.values()]
    assert {build.__module__.split(".")[-1] for build in builders} == {page.stem for page in PAGES}


@each_file
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < 300


@each_file
def test_functions_are_short(path: Path) -> None:
    """Their docstrings do not count: a long explanation is no long function."""
    for function in functions(path):
        lines = (function.end_lineno or 0) - function.lineno + 1
        first = function.body[0]
        if ast.get_docstring(function) is not None:
            lines -= (first.end_lineno or 0) - first.lineno + 1
        assert lines <= 40, f"{function.name} has {lines} lines"


@each_file
def test_every_file_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not text.strip() or ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("path", sorted((PACKAGE / "nn").glob("*.py")) + PAGES, ids=lambda path: path.stem)
def test_forward_takes_no_keyword_bag(path: Path) -> None:
    for function in functions(path):
        if function.name in ("forward", "step", "init_cache"):
            assert function.args.kwarg is None, f"{function.name} takes **{function.args.kwarg}"


def test_nothing_asks_which_model_it_is() -> None:
    """No `isinstance` or `type(...)` against a model: a difference between models is a method or a config field."""
    frames = {node.name for path in [PACKAGE / "nn" / "frames.py", *PAGES] for node in classes(path)}
    assert "EncoderDecoder" in frames
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("isinstance", "issubclass")
            ):
                asked = {name.id for name in ast.walk(node.args[1]) if isinstance(name, ast.Name)}
                asked |= {name.attr for name in ast.walk(node.args[1]) if isinstance(name, ast.Attribute)}
                assert not asked & frames, f"{path}: line {node.lineno}"


def classes(path: Path) -> Iterator[ast.ClassDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            yield node


@pytest.mark.parametrize("module", ["cli", "errors", "settings", "records"])
def test_help_does_not_wait_for_torch(module: str) -> None:
    if not (PACKAGE / f"{module}.py").exists():
        pytest.skip(f"allyouneed/{module}.py is not written yet")
    code = f"import sys, allyouneed.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@each_file
def test_weights_are_never_unpickled(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            assert any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords)
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        assert not {"pickle", "dill", "joblib"} & set(names)
