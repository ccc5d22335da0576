# SPDX-License-Identifier: Apache-2.0
"""The guide on generating: its tables, names and samples are those of the code."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import conf

from airflow_provider_dreambooth.api import parameters
from airflow_provider_dreambooth.api.generation import (
    IMAGE_TO_IMAGE,
    INPAINT,
    TEXT_TO_IMAGE,
    read_generation,
)
from airflow_provider_dreambooth.api.generation_types import ImageToImage, Inpaint, TextToImage
from airflow_provider_dreambooth.operators import dreambooth
from airflow_provider_dreambooth.operators.generate import GenerateOperator
from tests.test_docs import PAGES, code, table

GUIDE = PAGES["docs/guides/generate.md"]
KINDS = (TEXT_TO_IMAGE, IMAGE_TO_IMAGE, INPAINT)
ROWS = {code(row[0]): row[1:] for row in table(GUIDE, "name")}
NO_LINK_FOR_A_WEBHOOK = "http://example.com"


def accepted(check: parameters.Check, name: str) -> str:
    """What the error for a bad value says is accepted."""
    with pytest.raises(ValueError) as told:
        check(name, NO_LINK_FOR_A_WEBHOOK if name == "webhook" else object())
    return str(told.value).partition("; accepted is ")[2]


def test_every_parameter_of_every_kind_is_there_and_no_other():
    for column, kind in enumerate(KINDS):
        told = {name: cells[column] for name, cells in ROWS.items() if cells[column] != "–"}
        assert told == {name: "R" if name in kind.required else "o" for name in kind.checks}


@pytest.mark.parametrize("name", [name for name in ROWS if name != "scheduler"])
def test_what_is_accepted_is_what_the_check_says(name):
    check = next(kind.checks[name] for kind in KINDS if name in kind.checks)
    assert accepted(check, name).partition(" (None")[0] == ROWS[name][3]


def test_ranges_that_differ_between_kinds_are_told():
    differ = {
        name
        for name in ROWS
        if len({accepted(kind.checks[name], name) for kind in KINDS if name in kind.checks}) > 1
    }
    assert differ == {"num_inference_steps"}
    assert accepted(IMAGE_TO_IMAGE.checks["num_inference_steps"], "it") == "a whole number from 1 to 50"
    assert "img2img takes up to 50" in ROWS["num_inference_steps"][5]


def test_the_schedulers_are_those_of_the_code():
    section = GUIDE.partition("### Schedulers")[2].partition("###")[0]
    assert tuple(re.findall(r"`(\w+)`", section)) == parameters.SCHEDULERS


def test_the_types_and_the_operators_take_what_the_guide_says():
    operators = (
        dreambooth.DreamboothTextToImageOperator,
        dreambooth.DreamboothImageToImageOperator,
        dreambooth.DreamboothInpaintOperator,
    )
    for kind, typed, operator in zip(KINDS, (TextToImage, ImageToImage, Inpaint), operators, strict=True):
        assert set(typed.__annotations__) - {"extra_parameters"} == set(kind.checks)
        own = inspect.signature(operator.__init__).parameters
        common = inspect.signature(GenerateOperator.__init__).parameters
        assert set(kind.checks) <= {*own, *common}


def test_the_other_parameters_are_those_of_the_operator():
    signature = inspect.signature(GenerateOperator.__init__).parameters.values()
    defaults: dict[str, Any] = {
        each.name: each.default
        for each in signature
        if each.kind is each.KEYWORD_ONLY and each.name not in TEXT_TO_IMAGE.checks
    }
    rows = {code(row[0]): row[1] for row in table(GUIDE, "parameter")}
    assert set(rows) == set(defaults)
    for name, cell in rows.items():
        if configured := re.match(r"`\[(\w+)\] (\w+)`", cell):
            value = conf.get(*configured.groups())
            assert str(defaults[name]).lower() in (value.lower(), f"{value}.0"), name
        else:
            assert code(cell) == repr(defaults[name]).replace("'", '"'), name


def test_the_error_is_quoted_in_its_words():
    with pytest.raises(ValueError) as told:
        read_generation(TEXT_TO_IMAGE, {"model_id": "m", "prompt": "p", "width": 2000})
    assert f"{told.value}. Nothing was sent." in GUIDE
