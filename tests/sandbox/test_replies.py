# SPDX-License-Identifier: Apache-2.0
"""What the sandbox says has the published form, to the misspelling."""

from __future__ import annotations

import pytest

ORDER = {
    "prompt": "a portrait",
    "model_id": "flux",
    "negative_prompt": "painting",
    "width": "256",
    "samples": "1",
}


def test_a_fetch_that_is_not_ready(sandbox, client, payload_bytes):
    reply = client.fetch(sandbox.add(ready_in=60))
    assert reply.status_code == 200
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.content == payload_bytes("fetch_processing")


def test_a_fetch_that_is_ready(sandbox, client, payload, shape):
    request_id = sandbox.add()
    reply = client.fetch(request_id).json()
    assert shape(reply) == shape(payload("fetch_success_v4"))
    assert reply["id"] == int(request_id)


def test_an_unknown_id(client, payload_bytes):
    assert client.fetch(7).content == payload_bytes("fetch_request_not_found")


@pytest.mark.parametrize("path", ["v3/dreambooth/fetch/{}", "v6/images/fetch/{}"])
def test_the_id_in_the_path(sandbox, client, path):
    request_id = sandbox.add()
    reply = client.post(path.format(request_id)).json()
    assert reply == client.fetch(request_id).json()


@pytest.mark.parametrize("path", ["v4/dreambooth/fetch", "v6/images/fetch"])
@pytest.mark.parametrize("kind", [int, str])
def test_the_id_in_the_body(sandbox, client, path, kind):
    request_id = sandbox.add()
    assert client.post(path, request_id=kind(request_id)).json()["status"] == "success"
    assert sandbox.fetches(request_id) == 1


@pytest.mark.parametrize(
    ("path", "published"),
    [
        ("v3/dreambooth", "submit_processing_v3"),
        ("v4/dreambooth", "submit_processing_v4"),
        ("v6/images/text2img", "submit_processing_v6"),
    ],
)
def test_a_submit_that_is_queued(sandbox, client, path, published, payload, shape):
    reply = client.post(path, **ORDER, lora_model="ganyu-lora").json()
    expected = payload(published)
    if "vae" in expected.get("meta", {}):
        expected["meta"]["guidance_scale"] = 7.5
    assert shape(reply) == shape(expected)
    assert isinstance(reply["eta"], float)
    there = reply["fetch_result"].removeprefix(sandbox.url + "/api/")
    dialect = "v6/images" if path.startswith("v6") else "v3/dreambooth"
    assert there == f"{dialect}/fetch/{reply['id']}"
    assert client.post(there).json()["status"] == "processing"


@pytest.mark.parametrize(
    ("path", "published"),
    [("v4/dreambooth", "submit_success_v4"), ("v6/images/text2img", "submit_success_newer")],
)
def test_a_submit_that_is_ready_at_once(sandbox, client, path, published, payload, shape):
    sandbox.script("submit", "success")
    reply = client.post(path, **ORDER)
    expected = payload(published)
    assert shape(reply.json()) == shape(expected)
    assert (b"http:\\/\\/" in reply.content) == (path.startswith("v6"))


@pytest.mark.parametrize(
    ("body", "published"),
    [
        ({"model_id": "flux"}, "error_validation_object"),
        ({"prompt": "x", "model_id": "no-such-model"}, "error_model_not_found"),
        ({**ORDER, "key": "wrong"}, "error_invalid_api_key"),
        ({**ORDER, "key": None}, "error_invalid_api_key"),
    ],
)
def test_a_submit_that_is_refused(sandbox, client, body, published, payload):
    reply = client.post("v4/dreambooth", **body)
    assert (reply.status_code, reply.json()) == (200, payload(published))
    assert sandbox.accepted() == 0


@pytest.mark.parametrize(
    ("path", "body", "wrong"),
    [
        ("v4/dreambooth", {"samples": 5}, ["samples"]),
        ("v4/dreambooth", {"width": "wide", "height": 2048}, ["width", "height"]),
        ("v4/dreambooth/img2img", {}, ["init_image"]),
        ("v4/dreambooth/inpaint", {"steps": 99}, ["init_image", "mask_image", "steps"]),
        ("v6/images/inpaint", {"init_image": "https://x/y.png"}, ["mask_image"]),
    ],
)
def test_a_submit_whose_parameters_are_wrong(client, path, body, wrong):
    reply = client.post(path, **{**ORDER, **body}).json()
    assert reply["status"] == "error"
    assert list(reply["message"]) == wrong


@pytest.mark.parametrize("path", ["v4/dreambooth/img2img", "v4/dreambooth/inpaint", "v6/images/img2img"])
def test_the_other_submits(sandbox, client, path):
    pictures = {"init_image": "https://x/y.png", "mask_image": "https://x/z.png"}
    assert client.post(path, **ORDER, **pictures).json()["status"] == "processing"
    assert sandbox.accepted("sandbox-key") == 1


def test_the_models(client, payload, shape):
    models = client.post("v4/dreambooth/model_list").json()
    assert shape(models) == shape(payload("model_list_head"))
    assert client.get(models[0]["screenshots"]).headers["Content-Type"] == "image/png"


def test_the_load(sandbox, client, payload):
    assert client.post("v3/system_load").json() == payload("system_load")
    sandbox.add(ready_in=60)
    assert client.post("v3/system_load").json() == {"queue_num": 1, "queue_time": 60, "status": "ok"}
    assert client.post("v6/processing/request_count").json()["request_count"] == 1


@pytest.mark.parametrize("path", ["v4/dreambooth/model_reload", "v6/images/model_reload"])
def test_reloading_a_model(client, path, payload):
    assert client.post(path, model_id="midjourney").json()["status"] == "success"
    assert client.post(path, model_id="nobody").json() == payload("error_model_not_found")


def test_get_on_a_post_path_is_refused_as_laravel_does(sandbox, client):
    reply = client.get(f"{sandbox.url}/api/v4/dreambooth/fetch")
    assert (reply.status_code, reply.headers["Allow"]) == (405, "POST")
    text = "The GET method is not supported for route api/v4/dreambooth/fetch. Supported methods: POST."
    assert reply.json() == {"message": text}
    assert client.post("v5/nothing").json() == {"message": "The route api/v5/nothing could not be found."}


@pytest.mark.parametrize(
    "sent",
    [{"data": b"{"}, {"data": {"key": "sandbox-key"}}, {"json": ["sandbox-key"]}, {"data": b""}],
    ids=["broken", "form", "list", "nothing"],
)
def test_a_body_that_is_no_json_object(sandbox, client, sent, payload):
    if sent.get("data") == b"{":
        sent["headers"] = {"Content-Type": "application/json"}
    reply = client.session.post(f"{sandbox.url}/api/v4/dreambooth/fetch", timeout=10, **sent)
    assert reply.json() == payload("error_invalid_api_request")
