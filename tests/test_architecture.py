# SPDX-License-Identifier: Apache-2.0
"""Holds the house to its rooms: who may import whom, how large a room is, what every file begins with."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

PACKAGE = "airflow_provider_dreambooth"
ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / PACKAGE).rglob("*.py"))
STANDARD = set(sys.stdlib_module_names)
AIRFLOW = {"airflow"}

# Which rooms of the package, and which other distributions, a room may import; itself goes without saying.
ROOMS: dict[str, tuple[set[str], set[str]]] = {
    "__init__": (set(), set()),
    "get_provider_info": ({"__init__"}, set()),
    "api": (set(), set()),
    "client": ({"__init__", "api"}, {"requests", "urllib3", "tenacity", "aiohttp"}),
    "exceptions": ({"api"}, AIRFLOW),
    "results": ({"api", "exceptions"}, AIRFLOW),
    "submit_errors": ({"api", "exceptions"}, set()),
    "hooks": (
        {"__init__", "api", "client", "exceptions", "results", "submit_errors"},
        AIRFLOW | {"tenacity"},
    ),
    "retry_policy": ({"exceptions"}, AIRFLOW),
    "ending": ({"api", "results"}, AIRFLOW),
    "triggers": ({"api", "client", "exceptions", "results", "hooks", "ending"}, AIRFLOW),
    "storage": (
        {"api", "client", "exceptions"},
        AIRFLOW
        | {"requests", "urllib3", "tenacity", "pendulum", "puremagic", "imagesize", "fsspec", "azure", "PIL"},
    ),
    "lineage": ({"storage"}, AIRFLOW | {"openlineage"}),
    "waiting": ({"api", "client", "exceptions", "results", "hooks", "triggers"}, AIRFLOW),
    "links": ({"api"}, AIRFLOW),
    "sensors": (
        {"api", "exceptions", "results", "hooks", "triggers", "waiting", "ending", "links"},
        AIRFLOW,
    ),
    "operators": (
        {
            "api",
            "client",
            "exceptions",
            "results",
            "hooks",
            "triggers",
            "waiting",
            "storage",
            "links",
            "lineage",
            "submit_errors",
        },
        AIRFLOW | {"pendulum"},
    ),
    # Plays the service: it shares nothing with those who call it, or both would err alike.
    "sandbox": ({"__init__"}, {"aiohttp", "PIL", "pytest"}),
}


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> list[tuple[int, str]]:
    """Each module imported anywhere in a file, with its line: also inside functions and under conditions."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno} relative import"
            module = node.module or ""
            # `from package import room` names a module, `from package import __version__` does not.
            found += [
                (node.lineno, f"{module}.{alias.name}" if module == PACKAGE else module)
                for alias in node.names
            ]
    return found


def room_of_module(module: str) -> str:
    room = [*module.split("."), "__init__"][1]
    return "__init__" if room.startswith("__") else room


def names(path: Path) -> str:
    return str(path.relative_to(ROOT / PACKAGE))


@pytest.mark.parametrize("path", FILES, ids=names)
def test_imports_go_one_way(path):
    room = room_of(path)
    assert room in ROOMS, f"a new room {room!r}: say in ROOMS what it may import"
    rooms, others = ROOMS[room]
    for line, module in imports_of(path):
        top = module.split(".")[0]
        if top == PACKAGE:
            assert room_of_module(module) in rooms | {room}, f"{names(path)}:{line} imports {module}"
        else:
            assert top in STANDARD | others, f"{names(path)}:{line} imports {module}"


def test_the_directions_make_no_circle():
    done: list[str] = []
    left = dict(ROOMS)
    while left:
        free = [room for room, (rooms, _) in left.items() if rooms <= set(done)]
        assert free, f"a circle among {sorted(left)}"
        done += free
        left = {room: what for room, what in left.items() if room not in free}
    users = {room for room, (rooms, _) in ROOMS.items() if rooms & {"operators", "sensors", "sandbox"}}
    assert not users


@pytest.mark.parametrize(
    "name", ["socket", "time", "random", "asyncio", "threading", "http", "urllib.request", "os", "datetime"]
)
def test_the_core_has_no_clock_no_socket_and_no_dice(name):
    for path in FILES:
        if room_of(path) == "api":
            assert not [module for _, module in imports_of(path) if module == name], names(path)


@pytest.mark.parametrize("path", FILES, ids=names)
def test_a_room_stays_small_and_begins_alike(path):
    lines = path.read_text().splitlines()
    assert len(lines) < 320
    assert lines[0] == "# SPDX-License-Identifier: Apache-2.0"
    tree = ast.parse(path.read_text())
    if len(lines) > 1:
        assert any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)


def test_every_file_names_its_licence():
    folders = ("benchmarks", "docs", "example_dags", "scripts", "tests", ".ci", ".github")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    found += [path for path in ROOT.iterdir() if path.name not in ("LICENSE", "PKG-INFO", ".git")]
    made = {"__pycache__", "_build"}
    commented = {
        ".py",
        ".sh",
        ".toml",
        ".yaml",
        ".yml",
        "",
    }  # without a suffix: .ci/run, Makefile, .gitignore
    files = [path for path in found if path.is_file() and path.suffix in commented]
    files = [path for path in files if not made & set(path.relative_to(ROOT).parts)]
    assert {"run", "Makefile", "pyproject.toml", "conf.py"} <= {path.name for path in files}
    for path in files:
        first, *others = path.read_text().splitlines()
        line = others[0] if first.startswith("#!") else first
        assert line == "# SPDX-License-Identifier: Apache-2.0", path


def test_every_rule_that_is_ignored_says_why():
    settings = (ROOT / "pyproject.toml").read_text()
    ignored = re.findall(r'^    "[A-Z]+\d*",(.*)$', settings, re.MULTILINE)
    assert len(ignored) > 20
    assert all(re.fullmatch(r" *# \S.+", reason) for reason in ignored)


def test_a_wait_ends_as_the_page_on_reliability_says():
    """No call of Airflow's at the end of a trigger or a task is used, and no ``timeout`` given to defer()."""
    nodes = [node for path in FILES for node in ast.walk(ast.parse(path.read_text()))]
    functions = {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    assert not functions & {"on_kill", "cleanup"}
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    defers = [node for node in calls if ast.unparse(node.func).endswith(".defer")]
    assert len(defers) >= 3
    assert {keyword.arg for node in defers for keyword in node.keywords} <= {"trigger", "method_name"}


def swallows(handler: ast.ExceptHandler) -> bool:
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    broad = any(
        one is None or (isinstance(one, ast.Name) and one.id in ("Exception", "BaseException"))
        for one in caught
    )
    silent = all(
        isinstance(node, (ast.Pass, ast.Continue))
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in handler.body
    )
    return broad and silent


def suppresses_all(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("suppress")
        and bool({"Exception", "BaseException"} & {ast.unparse(one) for one in node.args})
    )


@pytest.mark.parametrize("path", FILES, ids=names)
def test_no_error_is_swallowed_whatever_it_is(path):
    tree = ast.parse(path.read_text())
    handlers = [node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)]
    # Cleaning up may fail in silence where the error that led to it is raised on.
    cleaning = {node for one in handlers if isinstance(one.body[-1], ast.Raise) for node in ast.walk(one)}
    swallowing = {node for node in handlers if swallows(node)} | set(filter(suppresses_all, ast.walk(tree)))
    assert not [f"line {node.lineno}" for node in swallowing - cleaning]
