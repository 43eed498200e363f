"""The house rules that a program can check: sizes, which way imports run, ASCII, one version.

It reads the code and imports none of it.
"""

import ast
import re
import tomllib
from graphlib import CycleError, TopologicalSorter

import pytest
from commands import PLUGIN, ROOT

MAX_FILE, MAX_FUNCTION = 300, 50
FOLDERS = ("teaforn_fairseq", "scripts", "tests")
PYTHON = [ROOT / "setup.py", *(x for name in FOLDERS for x in sorted((ROOT / name).rglob("*.py")))]
CODE = [
    *PYTHON,
    *(x for name in FOLDERS for x in sorted((ROOT / name).rglob("*")) if x.suffix != ".py"),
    *(ROOT / name for name in ("pyproject.toml", "constraints.txt", ".ci/run")),
]
# From the bottom to the top. A part imports its own floor and those below.
FLOORS = (
    {
        *("extras", "files", "systems", "fairseq_fixes"),
        *("packed", "feedbacks", "decoders", "loss", "unroll"),
    },
    {"models"},
    {"criterions", "tasks", "export", "exposure", "beams"},
    {"__init__", "__main__"},
)


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path):
    """Of a module as in an import: teaforn_fairseq.loss.fused."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in sorted(PLUGIN.rglob("*.py"))}


def imported(path):
    """The plugin's modules that a file imports, at its head or inside functions."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (x.name for x in node.names if x.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            # The version is there before the package imports anything.
            for x in (x for x in node.names if x.name != "__version__"):
                inside = f"{node.module}.{x.name}"
                yield from {inside if inside in MODULES else node.module} & MODULES.keys()


IMPORTS = {name: set(imported(path)) - {name} for name, path in MODULES.items()}


def part(module):
    """What a module belongs to: a folder of the plugin, or a file beside them."""
    return (module.split(".") + ["__init__"])[1]


def floor(module):
    return next((i for i, parts in enumerate(FLOORS) if part(module) in parts), None)


def test_files_are_short():
    lengths = {str(x.relative_to(ROOT)): len(x.read_text().splitlines()) for x in PYTHON}
    assert {name: length for name, length in lengths.items() if length > MAX_FILE} == {}


def test_functions_are_short():
    lengths = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path in PYTHON
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef)
    }
    assert {name: length for name, length in lengths.items() if length > MAX_FUNCTION} == {}


def test_every_part_of_the_plugin_has_its_floor():
    assert {part(module) for module in MODULES} <= set().union(*FLOORS)


def test_no_import_runs_upwards():
    upwards = {
        f"{module} imports {other}"
        for module, others in IMPORTS.items()
        for other in others
        if floor(other) > floor(module)
    }
    assert upwards == set()


@pytest.mark.parametrize("of", ["modules", "parts"])
def test_imports_make_no_circle(of):
    def node(module):
        return module if of == "modules" else part(module)

    graph = {}
    for module, others in IMPORTS.items():
        graph.setdefault(node(module), set()).update(map(node, others))
    try:
        TopologicalSorter({x: others - {x} for x, others in graph.items()}).prepare()
    except CycleError as error:
        pytest.fail(f"{error.args[0]}: {' <- '.join(error.args[1])}")


def test_code_is_ascii():
    files = [x for x in CODE if x.is_file() and "__pycache__" not in x.parts]
    assert [str(x.relative_to(ROOT)) for x in files if not x.read_bytes().isascii()] == []


def test_the_version_stands_in_one_place():
    (version,) = re.findall(r'^__version__ = "(.+)"$', (PLUGIN / "__init__.py").read_text(), re.M)
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert settings["project"]["dynamic"] == ["version"]
    assert settings["tool"]["setuptools"]["dynamic"]["version"] == {
        "attr": "teaforn_fairseq.__version__"
    }
    elsewhere = [*MODULES.values(), *(ROOT / x for x in ("setup.py", "CITATION.cff"))]
    assert [x.name for x in elsewhere if version in x.read_text()] == ["__init__.py"]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert newest[1] == version


def test_no_test_module_imports_another():
    modules = sorted((ROOT / "tests").glob("test_*.py"))
    imports = re.compile(r"^(?:from|import) test_", re.MULTILINE)
    assert [x.name for x in modules if imports.search(x.read_text(encoding="utf-8"))] == []
