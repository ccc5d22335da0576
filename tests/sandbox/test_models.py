# SPDX-License-Identifier: Apache-2.0
"""Models that sleep until they are reloaded."""

from __future__ import annotations

import time

import pytest
import requests

from airflow_provider_dreambooth.sandbox import Sandbox
from airflow_provider_dreambooth.sandbox.models import Models

ORDER = {"prompt": "a portrait", "model_id": "sleepy"}


def status(client, model_id="sleepy"):
    models = client.post("v4/dreambooth/model_list").json()
    return {model["model_id"]: model["status"] for model in models}[model_id]


def test_a_sleeping_model_has_to_be_reloaded(client_of, payload):
    with Sandbox(sleeping_models=("sleepy",), reload_time=0) as sandbox:
        client = client_of(sandbox.url)
        assert client.post("v4/dreambooth", **ORDER).json() == payload("error_model_not_found")
        assert (status(client), status(client, "flux")) == ("model_unloaded", "model_ready")
        assert sandbox.accepted() == 0
        replies = [client.post("v4/dreambooth/model_reload", model_id="sleepy").json() for _ in range(2)]
        assert replies[0] == replies[1]
        assert status(client) == "model_ready"
        assert client.post("v4/dreambooth", **ORDER).json()["status"] == "processing"


def test_a_model_that_is_being_reloaded(client_of, payload):
    with Sandbox(sleeping_models=("sleepy",)) as sandbox:
        client = client_of(sandbox.url)
        client.post("v6/images/model_reload", model_id="sleepy")
        assert status(client) == "model_loading"
        assert client.post("v4/dreambooth", **ORDER).json() == payload("error_model_not_found")


def test_a_second_reload_does_not_begin_anew():
    models = Models((), ("sleepy",), reload_time=0.1)
    models.reload("sleepy")
    deadline = time.monotonic() + 30
    while not models.ready("sleepy") and time.monotonic() < deadline:
        models.reload("sleepy")
        time.sleep(0.01)
    assert models.ready("sleepy")
    assert list(models) == ["sleepy"]


def test_a_faster_clock_reloads_faster(client_of):
    with Sandbox(sleeping_models=("sleepy",), speed=1e9) as sandbox:
        client = client_of(sandbox.url)
        client.post("v4/dreambooth/model_reload", model_id="sleepy")
        assert status(client) == "model_ready"


def test_a_model_that_is_put_to_sleep(sandbox, client, payload):
    sandbox.put_to_sleep("flux")
    assert status(client, "flux") == "model_unloaded"
    asked = client.session.post(f"{client.url}/sandbox/sleep", json={"model_id": "sdxl"}, timeout=10)
    assert asked.ok
    order = {**ORDER, "model_id": "sdxl"}
    assert client.post("v4/dreambooth", **order).json() == payload("error_model_not_found")
    with pytest.raises(KeyError, match="nobody"):
        sandbox.put_to_sleep("nobody")
    refused = client.session.post(f"{client.url}/sandbox/sleep", json={"model_id": "nobody"}, timeout=10)
    assert refused.status_code == 400


def test_the_reply_of_a_reload_can_be_scripted(sandbox, client):
    sandbox.put_to_sleep("flux")
    sandbox.script("model_reload", [{"body": {"status": "processing", "eta": 120}}, "drop", "ok"])
    assert client.post("v4/dreambooth/model_reload", model_id="flux").json()["eta"] == 120
    with pytest.raises(requests.ConnectionError):
        client.post("v4/dreambooth/model_reload", model_id="flux")
    assert status(client, "flux") == "model_unloaded"
    client.post("v4/dreambooth/model_reload", model_id="flux")
    assert status(client, "flux") == "model_loading"
