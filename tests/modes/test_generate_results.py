# SPDX-License-Identifier: Apache-2.0
"""What a generation task leaves, and what the sensor and the save operator make of it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_dreambooth.operators.dreambooth import DreamboothSaveImagesOperator
from airflow_provider_dreambooth.sensors.dreambooth import DreamboothFetchSensor
from tests.modes.generating import MODES, generate
from tests.modes.task_runner import StateStore, TaskInstance, run_task


@pytest.mark.parametrize("deferrable", [True, False])
def test_the_sensor_takes_the_result_and_waits_by_its_eta(dreambooth, mode, deferrable):
    service = dreambooth(run_time=0.8)
    submitted = run_task(generate(mode, wait_for_completion=False, seed=7), state_store=mode.store).result
    ended = run_task(
        lambda: DreamboothFetchSensor(
            task_id="wait", request_id=submitted, deferrable=deferrable, poke_interval=0.1, timeout=30
        )
    )

    assert ended.error is None
    assert ended.result["request_id"] == submitted["request_id"]
    assert ended.result["meta"]["seed"] == 7
    # The service said how long it takes: none looks before half of that.
    times = [record.time for record in service.journal]
    assert times[1] - times[0] >= 0.3
    assert service.accepted() == 1


def test_the_sensor_takes_the_results_of_mapped_tasks(dreambooth):
    service = dreambooth()
    results = [
        run_task(generate(MODES["worker"], prompt=prompt, wait_for_completion=False)).result
        for prompt in ("one", "two", "three")
    ]
    ended = run_task(
        lambda: DreamboothFetchSensor(
            task_id="wait", request_id=results, deferrable=True, poke_interval=0.1, timeout=30
        )
    )
    assert [each["meta"]["prompt"] for each in ended.result] == ["one", "two", "three"]
    assert service.accepted() == 3


@pytest.mark.parametrize("parameter", ["request_id", "results"])
@pytest.mark.parametrize("wait", [True, False])
def test_the_save_operator_takes_the_result(dreambooth, tmp_path, parameter, wait):
    service = dreambooth()
    if parameter == "results" and not wait:
        service.script("submit", "success")  # as results it takes only what is ready
    result = run_task(generate(MODES["worker"], wait_for_completion=wait, seed=7, samples=2)).result
    ended = run_task(
        lambda: DreamboothSaveImagesOperator(
            task_id="save",
            destination=f"file://{tmp_path}",
            include_prompt=True,
            poke_interval=0.1,
            **{parameter: result},
        )
    )

    assert ended.error is None
    assert [Path(uri).name for uri in ended.result] == [f"{result['request_id']}-{n}.png" for n in (0, 1)]
    entry = json.loads((tmp_path / "manifest.json").read_text())["pictures"][0]
    assert (entry["seed"], entry["prompt"]) == (7, "a fox")
    assert service.accepted() == 1


def test_the_buttons_while_it_waits_and_afterwards(dreambooth, mode):
    service = dreambooth(run_time=math.inf)
    ti = TaskInstance()
    context = {"ti": ti, **({"task_state_store": StateStore()} if mode.store else {})}
    if mode.deferrable:
        with pytest.raises(TaskDeferred):
            generate(mode)().execute(context)
    else:
        generate(mode, wait_for_completion=False)().execute(context)
    request_id = service.submits[0].request_id
    assert ti.xcoms["request_url"] == f"{service.url}/api/v3/dreambooth/fetch/{request_id}"
    predicted = ti.xcoms["picture_url"]

    service.finish(request_id)
    result = run_task(
        lambda: DreamboothFetchSensor(task_id="wait", request_id=request_id, poke_interval=0.1, timeout=30)
    ).result
    assert predicted == result["output"][0]  # where the service said it would be


def test_the_picture_button_leads_to_the_first_picture(dreambooth, mode):
    dreambooth()
    ended = run_task(generate(mode, samples=2), state_store=mode.store)
    assert ended.xcoms["picture_url"] == ended.result["output"][0]


def test_xcom_holds_json_of_a_moderate_size(dreambooth, mode):
    dreambooth()
    ended = run_task(generate(mode, samples=4, prompt="a fox " * 100), state_store=mode.store)
    assert set(ended.xcoms) == {"request_id", "submitted", "request_url", "picture_url"}
    assert len(json.dumps([ended.xcoms, ended.result])) < 20_000
