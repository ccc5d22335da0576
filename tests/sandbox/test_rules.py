# SPDX-License-Identifier: Apache-2.0
"""Which submits are right and which are not, in the words of the service."""

from __future__ import annotations

import pytest

from airflow_provider_dreambooth.sandbox.rules import SCHEDULERS

PICTURE = "https://example.com/a.png"
RIGHT = {
    "v4/dreambooth": {"prompt": "a portrait", "model_id": "flux"},
    "v4/dreambooth/img2img": {"prompt": "a portrait", "model_id": "flux", "init_image": PICTURE},
    "v4/dreambooth/inpaint": {
        "prompt": "a portrait",
        "model_id": "flux",
        "init_image": PICTURE,
        "mask_image": PICTURE,
    },
}
V6 = {"text2img": "v4/dreambooth", "img2img": "v4/dreambooth/img2img", "inpaint": "v4/dreambooth/inpaint"}


def send(client, path, **body):
    return client.post(path, **{**RIGHT[path], **body}).json()


@pytest.mark.parametrize("path", RIGHT)
@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_what_is_required(sandbox, client, path, nothing):
    reply = client.post(path, **dict.fromkeys(RIGHT[path], nothing)).json()
    texts = {name: [f"The {name.replace('_', ' ')} field is required."] for name in RIGHT[path]}
    assert reply == {"status": "error", "message": texts}
    assert sandbox.accepted() == 0


@pytest.mark.parametrize("kind", V6)
def test_the_newer_paths_ask_for_the_same(client, kind):
    assert client.post(f"v6/images/{kind}", **RIGHT[V6[kind]]).json()["status"] == "processing"
    assert list(client.post(f"v6/images/{kind}").json()["message"]) == list(RIGHT[V6[kind]])


WRONG = [
    ("width", [255, 1025, 260, "wide", 512.5, True, [512], "nan"]),
    ("height", [248, "1032", 513]),
    ("samples", [0, 5, "1.5"]),
    ("guidance_scale", [0.9, 20.1, "much", True, "nan", {}]),
    ("safety_checker", ["maybe", 2, "YES please", []]),
    ("safety_checker_type", ["red"]),
    ("enhance_prompt", ["on"]),
    ("seed", [-1, "lucky", 1.5, 2**63]),
    ("scheduler", ["DDIM", "ddimscheduler", 1, []]),
    ("algorithm_type", ["dpmsolver++"]),
    ("clip_skip", [0, 9]),
    ("lora_strength", [0.05, "0.4,1.1", "0.4,,0.5", [0.4, 0.6], "a"]),
    ("lora_model", ["a,,b", ["a", "b"]]),
    ("base64", ["base64"]),
    ("temp", [2]),
    ("prompt", [["a portrait"], {"text": "a portrait"}, True]),
    ("webhook", ["example.com"]),
]
OF_ONE_PATH = [
    ("v4/dreambooth", "num_inference_steps", [0, 52]),
    ("v4/dreambooth", "panorama", ["wide"]),
    ("v4/dreambooth", "upscale", [4]),
    ("v4/dreambooth/img2img", "num_inference_steps", [0, 51]),
    ("v4/dreambooth/img2img", "strength", [-0.1, 1.1]),
    ("v4/dreambooth/img2img", "init_image", ["iVBORw0KGgo=", "file:///etc/passwd"]),
    ("v4/dreambooth/inpaint", "steps", [0, "51"]),
    ("v4/dreambooth/inpaint", "mask_image", ["iVBORw0KGgo="]),
]


@pytest.mark.parametrize(
    ("path", "name", "values"),
    [(path, name, values) for name, values in WRONG for path in RIGHT] + OF_ONE_PATH,
)
def test_what_is_wrong(sandbox, client, path, name, values):
    for value in values:
        reply = send(client, path, **{name: value})
        assert list(reply["message"]) == [name], value
        assert reply["message"][name][0].startswith(f"The {name.replace('_', ' ')} must ") or reply[
            "message"
        ][name][0].endswith(" is invalid.")
    assert sandbox.accepted() == 0


OK = [
    ("width", [256, "1024", " 512 "]),
    ("samples", ["4", 1]),
    ("guidance_scale", [1, 20, "7.5"]),
    ("safety_checker", [True, False, "yes", "no", "true", "false", None, ""]),
    ("seed", [0, "0", None, 2**32, "3361266218"]),
    ("scheduler", [*SCHEDULERS, None]),
    ("clip_skip", ["1", 8]),
    ("lora_model", ["one", "one,two", "one, two"]),
    ("lora_strength", [0.1, "1", 1]),
    ("track_id", ["dag/task/1", 7]),
    ("webhook", ["https://example.com/hook"]),
    ("parameter_of_tomorrow", [{"any": "thing"}]),
]


@pytest.mark.parametrize("path", RIGHT)
@pytest.mark.parametrize(("name", "values"), OK)
def test_what_is_right(sandbox, client, path, name, values):
    replies = [send(client, path, **{name: value})["status"] for value in values]
    assert replies == ["processing"] * len(values)
    assert sandbox.accepted() == len(values)


def test_right_only_together(client):
    path = "v4/dreambooth"
    two = {"lora_model": "one,two"}
    assert send(client, path, **two, lora_strength="0.4,0.6")["meta"]["lora_strength"] == "0.4,0.6"
    assert list(send(client, path, **two, lora_strength="0.4")["message"]) == ["lora_strength"]
    solver = {"algorithm_type": "dpmsolver+++"}
    scheduler = "DPMSolverMultistepScheduler"
    assert send(client, path, **solver, scheduler=scheduler)["status"] == "processing"
    assert list(send(client, path, **solver)["message"]) == ["algorithm_type"]


def test_a_picture_may_be_base64_where_that_is_said(client):
    raw = {"init_image": "iVBORw0KGgo=", "mask_image": "iVBORw0KGgo="}
    for switch in ("yes", True):
        assert send(client, "v4/dreambooth/inpaint", **raw, base64=switch)["status"] == "processing"
    assert list(send(client, "v4/dreambooth/inpaint", **raw)["message"]) == ["init_image", "mask_image"]


@pytest.mark.parametrize("path", ["v4/dreambooth", "v6/images/text2img"])
def test_the_prompt_is_rewritten_unless_the_submit_says_no(client, path):
    body = RIGHT["v4/dreambooth"]
    for switch in ({}, {"enhance_prompt": "yes"}, {"enhance_prompt": True}):
        prompt = client.post(path, **body, **switch).json()["meta"]["prompt"]
        assert prompt.startswith("a portrait, ")
    for no in ("no", False):
        assert client.post(path, **body, enhance_prompt=no).json()["meta"]["prompt"] == "a portrait"


def test_the_seed(client):
    seeds = [send(client, "v4/dreambooth", seed=seed)["meta"]["seed"] for seed in (7, "7", 0, None, None, "")]
    assert seeds[:3] == [7, 7, 0]
    assert len(set(seeds[3:])) == 3


def test_meta_tells_what_was_asked_for(sandbox, client):
    sandbox.script("submit", "success")
    meta = send(
        client,
        "v4/dreambooth/inpaint",
        width="256",
        height=320,
        samples="2",
        guidance_scale="3",
        steps="31",
        scheduler="LCMScheduler",
        negative_prompt="blurry",
    )["meta"]
    names = ("W", "H", "n_samples", "guidance_scale", "steps", "scheduler", "negative_prompt")
    assert [meta[name] for name in names] == [256, 320, 2, 3, 31, "LCMScheduler", "blurry"]
