# SPDX-License-Identifier: Apache-2.0
"""What Airflow is told about the provider, against Airflow's own schemas and its own commands."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from importlib import metadata, resources
from typing import Any

import jsonschema
import pytest

from airflow_provider_dreambooth import __version__
from airflow_provider_dreambooth.client import config
from airflow_provider_dreambooth.get_provider_info import get_provider_info
from tests.airflow_versions import AIRFLOW, needs_airflow

DISTRIBUTION = "airflow-provider-dreambooth"


def airflow_schema(name: str) -> dict[str, Any]:
    return json.loads((resources.files("airflow") / name).read_text())


def test_the_entry_point_leads_to_it():
    [entry_point] = [
        each
        for each in metadata.entry_points(group="apache_airflow_provider")
        if each.dist is not None and each.dist.name == DISTRIBUTION
    ]
    assert entry_point.load() is get_provider_info
    assert metadata.version(DISTRIBUTION) == __version__


def test_it_keeps_to_the_schema_of_provider_infos():
    schema = airflow_schema("provider_info.schema.json")
    jsonschema.validate(get_provider_info(), schema)
    # The schema lets unknown keys pass, and Airflow reads over them: a misspelt one would be without effect.
    if AIRFLOW >= (3, 0):  # that of 2.11 knows a few keys only
        assert set(get_provider_info()) <= set(schema["properties"])


@needs_airflow(3, 3, "before, its schema does not know all keys of a form")
def test_the_form_keeps_to_the_schema_of_connection_types():
    """Airflow does not check these two keys when it runs: a misspelt one would vanish without a word."""
    schema = airflow_schema("provider.yaml.schema.json")
    subschema = {**schema, **schema["properties"]["connection-types"]}
    subschema["items"] = {**subschema["items"], "additionalProperties": False}
    jsonschema.validate(get_provider_info()["connection-types"], {**subschema, "required": []})


def test_the_form_offers_every_extra_that_the_connection_takes_and_no_other():
    [connection_type] = get_provider_info()["connection-types"]
    for name, field in connection_type["conn-fields"].items():
        sample = field["schema"].get("enum", [field["schema"].get("minimum", 1)])[0]
        value = {"verify": "false", "proxy": "http://localhost:1", "trusted_hosts": "a.example"}.get(
            name, sample
        )
        config.from_fields(host=None, port=None, password="key", extra={name: value})
    with pytest.raises(ValueError, match="unknown extra") as refused:
        config.from_fields(host=None, port=None, password="key", extra={"no-such-extra": 1})
    known = str(refused.value).partition("known are")[2]
    assert set(connection_type["conn-fields"]) == {name.strip(" '") for name in known.split(",")}


def test_the_form_and_the_connection_agree_on_limits():
    [connection_type] = get_provider_info()["connection-types"]
    limits = [
        (name, schema[limit], step)
        for name, field in connection_type["conn-fields"].items()
        for limit, step in (("minimum", -1), ("maximum", 1))
        if limit in (schema := field["schema"])
    ]
    assert len(limits) == 6
    for name, limit, step in limits:
        config.from_fields(host=None, port=None, password="key", extra={name: limit})
        with pytest.raises(ValueError, match="accepted is"):
            config.from_fields(host=None, port=None, password="key", extra={name: limit + step})


def test_the_hook_behind_the_connection_type_agrees_with_it():
    [connection_type] = get_provider_info()["connection-types"]
    module, _, name = connection_type["hook-class-name"].rpartition(".")
    hook = getattr(importlib.import_module(module), name)
    assert hook.conn_type == connection_type["connection-type"]
    assert hook.hook_name == connection_type["hook-name"]
    behaviour = hook.get_ui_field_behaviour()
    assert set(behaviour["hidden_fields"]) == set(connection_type["ui-field-behaviour"]["hidden-fields"])
    assert behaviour["relabeling"] == connection_type["ui-field-behaviour"]["relabeling"]


@pytest.mark.parametrize("kind", ["hooks", "operators", "sensors", "triggers"])
def test_every_module_named_is_there(kind):
    for entry in get_provider_info()[kind]:
        assert entry["integration-name"] in {
            each["integration-name"] for each in get_provider_info()["integrations"]
        }
        for module in entry["python-modules"]:
            importlib.import_module(module)


def test_reading_it_imports_next_to_nothing():
    """Airflow reads it in every process it starts, the DAG processor's children among them."""
    code = (
        "import sys\n"
        "from airflow_provider_dreambooth.get_provider_info import get_provider_info\n"
        "get_provider_info()\n"
        "print([m for m in ('airflow', 'requests', 'aiohttp', 'pendulum', 'PIL') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["providers", "list"], [DISTRIBUTION, __version__]),
        (["providers", "get", DISTRIBUTION, "--full"], ["dreambooth", "conn-fields", "requests_per_second"]),
        (
            ["providers", "hooks"],
            ["dreambooth", "airflow_provider_dreambooth.hooks.dreambooth.DreamboothHook"],
        ),
    ],
    ids=["list", "get", "hooks"],
)
def test_airflow_shows_it(command, expected, airflow_command):
    shown = airflow_command(*command, "--output", "json")
    for text in expected:
        assert text in shown
