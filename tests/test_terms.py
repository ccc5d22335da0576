# SPDX-License-Identifier: Apache-2.0
"""The field's terms are spelt as their owners do, in pages and docstrings; the rest is codespell's."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TERMS = [
    "Airflow",
    "AssetAlias",
    "Dreambooth",
    "GitHub",
    "HttpSensor",
    "LoRA",
    "ModelsLab",
    "ObjectStoragePath",
    "OpenLineage",
    "PostgreSQL",
    "SQLite",
    "Stable Diffusion",
    "XCom",
    "deferrable",
    "mypy",
    "pytest",
    "triggerer",
]
CODE = re.compile(
    r"```.*?```|``[^`]*``|`[^`]*`"  # quoted code
    r"|:\w+:`[^`]*`|\]\([^)]*\)|https?://\S+"  # references, links
    r"|\w*[./_]\w[\w./]*|\S*-\S*dreambooth\S*|\bdreambooth-\w+",  # paths, names of modules and packages
    re.DOTALL,
)


def pages() -> dict[str, str]:
    files = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    return {str(path.relative_to(ROOT)): path.read_text() for path in files}


def docstrings() -> dict[str, str]:
    found = {}
    for path in (ROOT / "airflow_provider_dreambooth").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"
                found[where] = ast.get_docstring(node) or ""
    return found


def anyhow(term: str) -> str:
    """Match a term in any case, and with a blank or a hyphen where its words meet."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", term)
    return rf"\b{'[ -]?'.join(words)}(?=s?\b)"


@pytest.mark.parametrize("term", TERMS)
def test_terms_are_spelt_as_their_owners_do(term):
    allowed = {term, term[0].upper() + term[1:]}
    wrong = [
        f"{where}: {spelt}"
        for where, text in (pages() | docstrings()).items()
        for spelt in re.findall(anyhow(term), CODE.sub(" ", text), re.IGNORECASE)
        if spelt not in allowed
    ]
    assert wrong == []


def test_the_test_would_notice():
    for term, misspelt in (
        ("XCom", "Xcoms"),
        ("ModelsLab", "Models Lab"),
        ("Stable Diffusion", "StableDiffusion"),
    ):
        assert re.match(anyhow(term), misspelt, re.IGNORECASE)
