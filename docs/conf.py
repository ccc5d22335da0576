# SPDX-License-Identifier: Apache-2.0
"""How Sphinx makes a site of these pages. They stay plain Markdown, which GitHub shows as well."""

from __future__ import annotations

import os
import sys
from fnmatch import fnmatch
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
# The reference imports the package, that imports Airflow, and Airflow writes its configuration into its home.
os.environ["AIRFLOW_HOME"] = str(HERE / "_build" / "airflow")

from airflow_provider_dreambooth import __version__

project = "airflow-provider-dreambooth"
author = "The airflow-provider-dreambooth authors"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build", "snippets"]
html_theme = "furo"
html_title = f"{project} {release}"
html_show_copyright = False

myst_heading_anchors = 3  # so that links to headings work here as on GitHub

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_preserve_defaults = True

# Every name in a docstring or a signature has to lead somewhere, less what is documented elsewhere: the build
# fetches nothing, so it cannot link to Airflow's and Python's own pages.
nitpicky = True
nitpick_ignore_regex = [
    # Airflow's
    ("py:.*", r"airflow\..*|Airflow\w+|OperatorLineage"),
    # Python's
    ("py:.*", r"collections\.abc\.\w+|timedelta"),
    # Not public, so the reference leaves them out
    ("py:.*", r"airflow_provider_dreambooth\.(api\.packing|ending)\..*|Client|Spec|Verification"),
]

# The table of contents, as patterns of page names. In index.md itself, GitHub would show it as code.
PARTS = {
    "Start": ["quickstart", "connection", "examples", "when-to-use"],
    "Guides": ["guides/generate", "guides/sensor", "guides/saving", "guides/*"],
    "Concepts": ["concepts/polling", "concepts/*"],
    "Reference": ["reference", "compatibility", "performance", "reliability", "*"],
}


def add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """Append the table of contents to the first page."""
    if page != "index":
        return
    left = sorted(app.env.found_docs - {"index"})
    for part, patterns in PARTS.items():
        pages = [page for pattern in patterns for page in left if fnmatch(page, pattern)]
        pages = list(dict.fromkeys(pages))
        left = [page for page in left if page not in pages]
        source[0] += "\n".join(["", "```{toctree}", ":hidden:", f":caption: {part}", "", *pages, "```", ""])


def setup(app: Sphinx) -> None:
    """Let Sphinx call :func:`add_contents`."""
    app.connect("source-read", add_contents)
