# SPDX-License-Identifier: Apache-2.0
"""The guide on saving: its tables and samples are those of the schema and of the code."""

from __future__ import annotations

import json
import re
from importlib.resources import files

import jsonschema
import pytest

from airflow_provider_dreambooth.lineage import MOST_ASSETS, MOST_IN_EXTRA
from airflow_provider_dreambooth.storage.contact_sheet import MOST_SHOWN
from airflow_provider_dreambooth.storage.names import FIELDS, UNKNOWN_MODEL
from airflow_provider_dreambooth.storage.records import SavedPicture
from tests.test_docs import PAGES, blocks, code, table

GUIDE = PAGES["docs/guides/saving.md"]
SCHEMA = json.loads(files("airflow_provider_dreambooth.storage").joinpath("manifest.schema.json").read_text())
PROPERTIES = SCHEMA["$defs"]["picture"]["properties"]


def named(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def test_the_fields_of_the_manifest_are_those_of_the_schema_and_of_the_code():
    told = [name for cell, _ in table(GUIDE, "field of a picture") for name in named(cell)]
    assert sorted(told) == sorted(PROPERTIES)
    assert {*told, "thumbnail"} == set(SavedPicture.__dataclass_fields__)


def test_the_manifest_that_is_shown_fits_the_schema():
    [shown] = map(json.loads, blocks(GUIDE, "json"))
    jsonschema.validate(shown, SCHEMA)
    assert set(shown) == set(SCHEMA["properties"])


def test_the_flags_are_those_of_the_schema():
    told = [code(flag) for flag, _ in table(GUIDE, "flag")]
    assert set(told) <= set(PROPERTIES)
    [(last, _)] = [row for row in table(GUIDE, "field of a picture") if "blank" in row[0]]
    assert sorted(told) == sorted(named(last))


def test_the_fields_of_names_are_those_of_the_code():
    assert sorted(code(field)[1:-1] for field, _ in table(GUIDE, "field")) == sorted(FIELDS)
    assert UNKNOWN_MODEL in GUIDE


@pytest.mark.parametrize("limit", [f"first {MOST_IN_EXTRA}", f"first {MOST_ASSETS}", f"newest {MOST_SHOWN}"])
def test_limits_are_those_of_the_code(limit):
    assert limit in GUIDE
