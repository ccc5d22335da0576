# SPDX-License-Identifier: Apache-2.0
"""What is in the wheel and the sdist that `make build` left in dist/, and what is not."""

from __future__ import annotations

import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
PACKAGE = "airflow_provider_dreambooth"


def files_of(folder: str) -> set[str]:
    """The files of a folder of the tree, as they are named in an archive."""
    found = [path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file()]
    made = {"__pycache__", "_build"}
    return {path.as_posix() for path in found if not made & set(path.parts)}


[wheel] = (ROOT / "dist").glob("*.whl")
with zipfile.ZipFile(wheel) as archive:
    packed = set(archive.namelist())
    [metadata] = [name for name in packed if name.endswith(".dist-info/METADATA")]
    headers = HeaderParser().parsestr(archive.read(metadata).decode())
info = str(PurePosixPath(metadata).parent)
assert {name for name in packed if not name.startswith(info)} == files_of(PACKAGE), (
    "the wheel is not the package"
)
assert {f"{PACKAGE}/py.typed", f"{PACKAGE}/storage/manifest.schema.json"} <= packed
assert f"{info}/licenses/LICENSE" in packed, "the wheel has no licence"
assert headers["Metadata-Version"] == "2.4", "what publishes it may not know another"
assert headers["License-Expression"] == "Apache-2.0"
assert headers["Requires-Python"] == ">=3.11"
assert {"Framework :: Apache Airflow :: Provider", "Typing :: Typed"} <= set(headers.get_all("Classifier"))

[sdist] = (ROOT / "dist").glob("*.tar.gz")
with tarfile.open(sdist) as archive:
    names = [PurePosixPath(each.name) for each in archive.getmembers() if each.isfile()]
    [source] = [each for each in archive.getmembers() if PurePosixPath(each.name).name == "PKG-INFO"]
    reader = archive.extractfile(source)
    assert reader
    headers = HeaderParser().parsestr(reader.read().decode())
assert headers["Metadata-Version"] == "2.4", "what publishes it may not know another"
packed = {str(name.relative_to(name.parts[0])) for name in names}
# The sdist is enough to test, to lint, to make the documentation and to build the wheel from.
expected = {
    "LICENSE",
    "Makefile",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "pyproject.toml",
}
for folder in (PACKAGE, "benchmarks", "docs", "example_dags", "scripts", "tests", ".ci", ".github"):
    expected |= files_of(folder)
assert expected <= packed, f"the sdist lacks {sorted(expected - packed)}"
assert not [name for name in packed if "__pycache__" in name or "_build" in name], (
    "the sdist has what was made"
)
print(f"{wheel.name} and {sdist.name} hold what they should")
