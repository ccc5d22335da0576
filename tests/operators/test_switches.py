# SPDX-License-Identifier: Apache-2.0
"""What is a yes or a no: ``overwrite="no"`` must not overwrite because a text counts as true."""

from __future__ import annotations

from inspect import signature

import pytest

from airflow_provider_dreambooth.operators import dreambooth as operators
from airflow_provider_dreambooth.sensors.dreambooth import DreamboothFetchSensor

NEEDED = {
    DreamboothFetchSensor: {"request_id": "1"},
    operators.DreamboothImageToImageOperator: {
        "model_id": "m",
        "prompt": "p",
        "init_image": "https://a.example",
    },
    operators.DreamboothInpaintOperator: {
        "model_id": "m",
        "prompt": "p",
        "init_image": "https://a.example",
        "mask_image": "https://a.example",
    },
    operators.DreamboothReloadModelOperator: {"model_id": "m"},
    operators.DreamboothSaveImagesOperator: {"request_id": "1"},
    operators.DreamboothTextToImageOperator: {"model_id": "m", "prompt": "p"},
}


def switches(operator) -> list[str]:
    """Those that are neither templates nor parameters of the generation: both are read when the task runs."""
    later = {*operator.template_fields, *getattr(getattr(operator, "kind", None), "checks", ())}
    own = {
        name
        for cls in operator.__mro__
        if cls.__module__.startswith("airflow_provider_dreambooth")
        for name, one in signature(cls.__init__).parameters.items()
        if str(one.annotation) in ("bool", "bool | None")
    }
    return sorted(own - later)


CASES = [(operator, name) for operator in NEEDED for name in switches(operator)]


@pytest.mark.parametrize(("operator", "name"), CASES, ids=lambda value: getattr(value, "__name__", value))
def test_a_switch_is_a_yes_or_no_by_its_words(operator, name):
    for value, meant in (("no", False), ("True", True), (False, False)):
        assert getattr(operator(task_id="x", **NEEDED[operator], **{name: value}), name) is meant
    with pytest.raises(ValueError, match=f"^{name} is "):
        operator(task_id="x", **NEEDED[operator], **{name: "{{ params.x }}"})


def test_these_are_switches():
    names = {name for _, name in CASES}
    assert {
        "allow_private_links",
        "deferrable",
        "end_from_trigger",
        "overwrite",
        "retry_unknown_submit",
    } <= names
