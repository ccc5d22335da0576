# SPDX-License-Identifier: Apache-2.0
"""The ways to wait that benchmarks/readiness.py compares: a DAG each, mapped over the same jobs."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import Any

import requests
from airflow.providers.common.compat.sdk import DAG, Param, task
from airflow.providers.http.sensors.http import HttpSensor

from airflow_provider_dreambooth.sensors.dreambooth import DreamboothFetchSensor

SERVICE = os.environ["READINESS_SERVICE"]
COMMON = {"task_id": "wait", "poke_interval": float(os.environ["READINESS_POKE_INTERVAL"]), "timeout": 600}


def submit(context: Any) -> None:
    """Give the service the job at the moment its sensor begins, as a submit right before it would."""
    job = context["params"]["jobs"][context["ti"].map_index]
    with requests.Session() as session:
        session.trust_env = False
        reply = session.post(f"{SERVICE}/sandbox/requests", json=job, timeout=30)
    if not reply.ok and "exists already" not in reply.text:  # this runs again when the task is resumed
        raise RuntimeError(f"{reply.status_code} {reply.text}")


def is_ready(response: requests.Response) -> bool:
    """Look into the service's answer."""
    return bool(response.json()["status"] == "success")


def waits(dag_id: str) -> DAG:
    """Make a DAG without tasks."""
    return DAG(dag_id, schedule=None, params={"jobs": Param([], type="array")})


@task
def asked(params: dict[str, Any], form: str) -> list[Any]:
    """What each sensor is mapped over."""
    if form == "submitted":  # what a submit's reply tells
        return [{"request_id": job["request_id"], "eta": job["eta"]} for job in params["jobs"]]
    return [form.format(job["request_id"]) for job in params["jobs"]]


with waits("eta"):
    DreamboothFetchSensor.partial(deferrable=True, pre_execute=submit, **COMMON).expand(
        request_id=asked(form="submitted")
    )

with waits("no_eta"):
    DreamboothFetchSensor.partial(deferrable=True, pre_execute=submit, **COMMON).expand(
        request_id=asked(form="{}")
    )

with waits("http"):
    HttpSensor.partial(method="GET", deferrable=True, pre_execute=submit, **COMMON).expand(
        endpoint=asked(form="{}")
    )

with waits("http_reschedule"):
    HttpSensor.partial(
        http_conn_id="the_service",
        method="POST",
        request_params=json.dumps({"key": "{{ conn.the_service.password }}"}),
        headers={"Content-Type": "application/json"},
        response_check=is_ready,
        mode="reschedule",
        retries=100,  # Airflow 3.3 fails some tasks that are rescheduled soon (its issue 72716)
        retry_delay=timedelta(0),
        pre_execute=submit,
        **COMMON,
    ).expand(endpoint=asked(form="api/v3/dreambooth/fetch/{}"))
