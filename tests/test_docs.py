# SPDX-License-Identifier: Apache-2.0
"""The documentation tells the truth: its code, links, commands and tables are those of the project."""

from __future__ import annotations

import ast
import inspect
import json
import re
import shlex
import tomllib
import warnings
from dataclasses import fields
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseSensorOperator, conf

from airflow_provider_dreambooth import exceptions
from airflow_provider_dreambooth.client.config import ClientConfig, from_fields
from airflow_provider_dreambooth.exceptions import DreamboothError, DreamboothSaveError
from airflow_provider_dreambooth.get_provider_info import get_provider_info
from airflow_provider_dreambooth.hooks.dreambooth import DreamboothHook
from airflow_provider_dreambooth.operators.dreambooth import DreamboothSaveImagesOperator
from airflow_provider_dreambooth.sandbox.__main__ import _parser
from airflow_provider_dreambooth.sensors.dreambooth import DreamboothFetchSensor

ROOT = Path(__file__).parents[1]
SNIPPETS = ROOT / "docs" / "snippets"
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in [*ROOT.glob("*.md"), *sorted(ROOT.glob("docs/**/*.md"))]
}
page = pytest.mark.parametrize("page", PAGES)

FENCE = re.compile(r"^( *)```([\w{}-]*)[^\n]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
OPTION = re.compile(r"(?<![-\w])--[a-z][a-z-]*")
REGION = re.compile(r"^ *# \[START (\w+)\]\n(.*?)^ *# \[END \1\]", re.MULTILINE | re.DOTALL)


def blocks(text: str, language: str) -> list[str]:
    """The fenced code of one language, as it would be copied."""
    return [dedent(code) for _, name, code in FENCE.findall(text) if name == language]


def prose(text: str) -> str:
    return FENCE.sub("", text)


def bare(code: str) -> str:
    return "\n".join(line for line in dedent(code).splitlines() if line.strip())


def table(text: str, header: str) -> list[list[str]]:
    """The rows, as lists of cells, of the tables that begin with this cell."""
    rows: list[list[str]] = []
    for found in re.findall(rf"^\| {re.escape(header)} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE):
        rows += [[cell.strip() for cell in line.strip("|").split(" | ")] for line in found.splitlines()]
    assert rows, f"no table of {header}"
    return rows


def code(cell: str) -> str:
    """What a cell has in backticks; empty if it begins with something else."""
    return found[1] if (found := re.match(r"`([^`]*)`", cell)) else ""


def regions() -> list[str]:
    files = [*ROOT.glob("example_dags/*.py"), *SNIPPETS.glob("*.py")]
    files += ROOT.glob("docs/testing/**/*.py")
    return [bare(region) for file in files for _, region in REGION.findall(file.read_text())]


@page
def test_python_is_quoted_from_tested_files(page):
    assert [block for block in blocks(PAGES[page], "python") if bare(block) not in regions()] == []


def test_every_example_is_listed():
    files = {path.stem for path in ROOT.glob("example_dags/*.py")}
    assert {row[0][1:].partition("]")[0] for row in table(PAGES["docs/examples.md"], "DAG")} == files


def test_the_reference_has_every_module_that_airflow_is_told_of():
    info: Any = get_provider_info()
    told = {
        module
        for kind in ("hooks", "operators", "sensors", "triggers")
        for entry in info[kind]
        for module in entry["python-modules"]
    }
    assert told <= set(re.findall(r"^\.\. automodule:: (\S+)", PAGES["docs/reference.md"], re.MULTILINE))


def test_the_first_page_leads_to_every_other():
    pages = {name.removeprefix("docs/") for name in PAGES if name.startswith("docs/")}
    assert pages - set(re.findall(r"\]\(([^)#]+)", PAGES["docs/index.md"])) == {"index.md"}


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@page
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(PAGES[page])):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text()), target


@page
def test_make_targets_exist(page):
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:^|`)make ([a-z-]+)", PAGES[page], re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_readme_names_every_extra():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras) == set(re.findall(r"\[(\w+)\]", "\n".join(blocks(PAGES["README.md"], "bash"))))


def test_the_changelog_keeps_to_its_form():
    releases = re.findall(r"^## (.+)$", PAGES["CHANGELOG.md"], re.MULTILINE)
    assert releases[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", release) for release in releases[1:])
    kinds = re.findall(r"^### (.+)$", PAGES["CHANGELOG.md"], re.MULTILINE)
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_contributing_names_every_target():
    told = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(told) <= {"help", *re.findall(r"`make ([a-z-]+)", PAGES["CONTRIBUTING.md"])}


def test_the_sandbox_has_the_options_that_are_named():
    known = {option for action in _parser()._actions for option in action.option_strings}
    lines = [line for text in PAGES.values() for line in text.splitlines() if "airflow " not in line]
    named = {option for line in lines for option in OPTION.findall(line)}
    assert "--any-id" in named
    assert named <= known


def bash_lines() -> list[str]:
    return [line for text in PAGES.values() for block in blocks(text, "bash") for line in block.splitlines()]


def test_connections_in_the_environment_can_be_used(monkeypatch):
    lines = [line.removeprefix("export ") for line in bash_lines() if line.startswith("export AIRFLOW_CONN_")]
    assert lines
    for line in lines:
        monkeypatch.setenv(*shlex.split(line)[0].split("=", 1))
        assert DreamboothHook().get_conn().config.api_key in ("your-api-key", "sandbox-key")


def test_airflow_commands_that_add_connections_work(airflow_db):
    from airflow.cli.cli_parser import get_parser
    from airflow.models import Connection
    from airflow.utils.session import create_session

    lines = [line for line in bash_lines() if line.startswith("airflow connections add")]
    assert lines
    for line in lines:
        options = get_parser().parse_args(shlex.split(line)[1:])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Airflow's own
            options.func(options)
        with create_session() as session:
            stored = session.query(Connection).filter_by(conn_id=options.conn_id).one()
            given = {name: getattr(stored, name) for name in ("host", "port", "password")}
            assert from_fields(**given, extra=stored.extra_dejson).api_key == "your-api-key"
            session.delete(stored)


@pytest.mark.parametrize(
    ("page", "classes"),
    [
        ("docs/guides/sensor.md", (BaseSensorOperator, DreamboothFetchSensor)),
        ("docs/guides/saving.md", (DreamboothSaveImagesOperator,)),
    ],
)
def test_parameters_are_those_of_the_signature(page, classes):
    expected: dict[str, Any] = {}
    for one in classes:
        parameters = inspect.signature(one.__init__).parameters.values()
        expected |= {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}
    rows = table(PAGES[page], "parameter")
    assert sorted(code(row[0]) for row in rows) == sorted(expected)
    for name, default, *_ in rows:
        configured = re.match(r"`\[(\w+)\] (\w+)`", default)
        if configured:
            value = conf.get(*configured.groups())
            assert str(expected[code(name)]).lower() in (value.lower(), f"{value}.0", "none"), name
        elif default == "required":
            assert expected[code(name)] is inspect.Parameter.empty, name
        else:
            assert ast.literal_eval(code(default)) == expected[code(name)], name


def test_extras_are_those_of_the_code():
    rows = {code(row[0]): row for row in table(PAGES["docs/connection.md"], "extra")}
    with pytest.raises(ValueError, match="known are") as told:
        from_fields(host=None, port=None, password="key", extra={"?": 1})
    assert sorted(rows) == sorted(re.findall(r"'(\w+)'", str(told.value)))
    defaults = {field.name: field.default for field in fields(ClientConfig)}
    for name, (_, _, default, accepted) in rows.items():
        assert defaults[name] == json.loads(code(default)) if code(default) else not defaults[name]
        with pytest.raises(ValueError) as told:
            from_fields(host=None, port=None, password="key", extra={name: "\x00?"})
        assert str(told.value).endswith(f"accepted is {accepted}")


def test_errors_are_quoted_in_their_words():
    text = PAGES["docs/connection.md"]
    for extra, host, password in (
        ({"timeout": "soon"}, None, "key"),
        ({"timeut": 3}, None, "key"),
        ({}, None, ""),
        ({}, "https://modelslab.com/api/v4", "key"),
    ):
        with pytest.raises(ValueError) as told:
            from_fields(host=host, port=None, password=password, extra=extra)
        assert f"Connection 'dreambooth_default': {told.value}." in text


def tree(cls: type, depth: int = 0) -> list[tuple[int, str]]:
    below = [
        line
        for child in cls.__subclasses__()
        if child.__module__ == exceptions.__name__
        for line in tree(child, depth + 1)
    ]
    return [(depth, cls.__name__), *below]


@pytest.mark.parametrize(
    "text", [PAGES["docs/guides/errors.md"], exceptions.__doc__], ids=["page", "docstring"]
)
def test_the_exception_tree_is_that_of_the_code(text):
    drawn = list(re.finditer(r"^([ │├└─]*)(Dreambooth\w+)", text, re.MULTILINE))
    columns = [len(line[1]) for line in drawn]
    depths = [(column - columns[0]) // len("├── ") for column in columns]
    assert list(zip(depths, (line[2] for line in drawn), strict=True)) == tree(DreamboothError)


def test_kinds_of_failures_are_those_of_the_code():
    rows = table(PAGES["docs/guides/errors.md"], "kind")
    told = {code(kind): (code(name), retried) for kind, name, retried, *_ in rows}
    assert {kind: name for kind, (name, _) in told.items()} == {
        kind: cls.__name__ for kind, (cls, _) in exceptions._BY_KIND.items()
    }
    for name, retried in [*told.values(), ("DreamboothSaveError", "yes")]:
        again = issubclass(
            getattr(exceptions, name), (exceptions.DreamboothTransientError, DreamboothSaveError)
        )
        assert retried == ("yes" if again else "no"), name


def test_rooms_know_each_other_as_the_design_says():
    package = ROOT / "airflow_provider_dreambooth"
    known: dict[str, set[str]] = {}
    for file in package.rglob("*.py"):
        room = file.relative_to(package).with_suffix("").parts[0]
        imported = set(
            re.findall(r"^\s*from airflow_provider_dreambooth\.(\w+)", file.read_text(), re.MULTILINE)
        )
        known.setdefault(room, set()).update(imported - {room})
    rows = table(PAGES["docs/design.md"], "room")
    told = {code(room): set(re.findall(r"`(\w+)`", knows)) for room, _, knows in rows}
    assert told == {room: known[room] for room in told}
    assert set(known) - set(told) == {"__init__", "get_provider_info"}
