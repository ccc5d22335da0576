# SPDX-License-Identifier: Apache-2.0
"""Before a release: does the tag name the version in the code, and does the changelog tell of it?"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

[tag] = sys.argv[1:]
# Read, not imported: nothing is installed yet.
code = (ROOT / "airflow_provider_dreambooth" / "__init__.py").read_text()
version = re.findall(r'^__version__ = "(.+)"$', code, re.MULTILINE)[0]
if tag != f"v{version}":
    sys.exit(f"The tag is {tag}, but __version__ is {version}.")
if not re.search(
    rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
):
    sys.exit(f"CHANGELOG.md has no section '## [{version}] - <date>': name and date what is in [Unreleased].")
print(f"{tag} is the version in the code, and the changelog tells of it")
