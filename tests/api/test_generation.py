# SPDX-License-Identifier: Apache-2.0
"""Each parameter of each kind of generation: what it takes, what it refuses, and how it is sent."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from typing import Any, Required, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_dreambooth.api import generation_types, parameters
from airflow_provider_dreambooth.api.generation import (
    IMAGE_TO_IMAGE,
    INPAINT,
    LEAST_TIMEOUT,
    TEXT_TO_IMAGE,
    Generation,
    Kind,
    model_reload,
    read_generation,
)
from airflow_provider_dreambooth.operators import dreambooth as operators

KINDS = {kind.name: kind for kind in (TEXT_TO_IMAGE, IMAGE_TO_IMAGE, INPAINT)}
LINK = "https://pictures.example/a.png"
REQUIRED = {"model_id": "midjourney", "prompt": "a fox", "init_image": LINK, "mask_image": LINK}


@dataclass(frozen=True)
class Parameter:
    """
    One parameter.

    :param accepted: what may be given, with the body's value in v4 and in v6.
    :param refused: what may not, and what the error says is accepted.
    """

    accepted: list[tuple[Any, str, Any]]
    refused: list[Any]
    says: str


def whole(low: int, high: int, *more: Any, says: str = "") -> Parameter:
    return Parameter(
        [(low, str(low), low), (high, str(high), high), (str(low), str(low), low)],
        [low - 1, high + 1, low + 0.5, "many", True, *more],
        says or f"a whole number from {low} to {high}",
    )


def real(low: float, high: float) -> Parameter:
    between = (low + high) / 2
    return Parameter(
        [
            (low, f"{low:g}", float(low)),
            (high, f"{high:g}", float(high)),
            (str(between), f"{between:g}", between),
        ],
        [low - 0.01, high + 0.01, "much", True, "nan"],
        f"a number from {low:g} to {high:g}",
    )


def words(*good: str, bad: tuple[Any, ...], says: str) -> Parameter:
    return Parameter([(word, word, word) for word in good], list(bad), says)


SIZE = whole(256, 1024, 260, says="a whole number from 256 to 1024 that 8 divides")
SWITCH = Parameter(
    [(True, "yes", True), (False, "no", False), ("False", "no", False), ("yes", "yes", True)],
    ["maybe", 2, [True]],
    "True or False",
)
TEXT = words("a fox", " a fox ", bad=(7, ["a"], True), says="a text")
PICTURE = words(LINK, "http://a.example/b", bad=("a.png", "ftp://a/b", 7), says="an http(s) link")
NAMES = Parameter(
    [
        ("a", "a", "a"),
        (["a", "b"], "a,b", "a,b"),
        (("a", "b"), "a,b", "a,b"),
        ("a, b", "a,b", "a,b"),
        ("['a', 'b']", "a,b", "a,b"),
    ],
    [[], ["a", ""], ["a,b"], 7, [None], {"a": 1}],
    "accepted is",
)
STEPS = {"text_to_image": whole(1, 51), "image_to_image": whole(1, 50)}
TABLE: dict[str, Parameter] = {
    "model_id": TEXT,
    "prompt": TEXT,
    "negative_prompt": TEXT,
    "width": SIZE,
    "height": SIZE,
    "samples": whole(1, 4),
    "guidance_scale": real(1, 20),
    "safety_checker": SWITCH,
    "safety_checker_type": words(
        "sensitive_content_text", "blur", "pixelate", "black", bad=("white", 1), says="blur, pixelate, black"
    ),
    "enhance_prompt": SWITCH,
    "seed": whole(0, 2**63 - 1),
    "scheduler": words(
        "UniPCMultistepScheduler",
        "DDIMScheduler",
        "LCMScheduler",
        bad=("DDIM", "ddimscheduler", 1),
        says="DDPMScheduler",
    ),
    "algorithm_type": words("none", "dpmsolver+++", bad=("dpmsolver", 1), says="none, dpmsolver+++"),
    "use_karras_sigmas": SWITCH,
    "tomesd": SWITCH,
    "vae": TEXT,
    "embeddings_model": NAMES,
    "lora_model": NAMES,
    "clip_skip": whole(1, 8),
    "base64": SWITCH,
    "temp": SWITCH,
    "webhook": words(
        "https://hooks.example/a", bad=("http://hooks.example/a", "hooks.example", 7), says="link"
    ),
    "track_id": TEXT,
    "multi_lingual": SWITCH,
    "panorama": SWITCH,
    "self_attention": SWITCH,
    "highres_fix": SWITCH,
    "upscale": SWITCH,
    "init_image": PICTURE,
    "mask_image": PICTURE,
    "strength": real(0, 1),
    "steps": whole(1, 50),
}


def table_of(kind: Kind) -> dict[str, Parameter]:
    """``lora_strength`` is apart: it needs models beside it."""
    own = {name: TABLE.get(name) or STEPS[kind.name] for name in kind.checks if name != "lora_strength"}
    assert set(own) | {"lora_strength"} == set(kind.checks)
    return own


EACH = [
    pytest.param(kind, name, parameter, id=f"{kind.name}-{name}")
    for kind in KINDS.values()
    for name, parameter in table_of(kind).items()
]


def read(kind: Kind, extra: object = None, **given: Any) -> Generation:
    needed = {name: REQUIRED[name] for name in kind.required}
    return read_generation(kind, {**needed, **given}, extra)


def body(kind: Kind, api_version: str = "v4", extra: object = None, **given: Any) -> dict[str, Any]:
    return dict(read(kind, extra, **given).call(api_version).body)


def refused(kind: Kind, extra: object = None, **given: Any) -> str:
    with pytest.raises(ValueError) as caught:
        read(kind, extra, **given)
    return str(caught.value)


@pytest.mark.parametrize(("kind", "name", "parameter"), EACH)
def test_each_parameter_is_sent_as_the_dialect_wants_it(kind, name, parameter):
    for value, v4, v6 in parameter.accepted:
        given = {name: value}
        for version in ("v3", "v4"):
            assert body(kind, version, **given)[name] == v4
        sent = body(kind, "v6", **given)[name]
        assert (sent, type(sent)) == (v6, type(v6))


@pytest.mark.parametrize(("kind", "name", "parameter"), EACH)
def test_each_parameter_is_refused_by_name_value_and_range(kind, name, parameter):
    for value in parameter.refused:
        said = refused(kind, **{name: value})
        assert said.startswith(name)
        assert parameter.says in said
        if not isinstance(value, (list, dict)):
            assert f"{name} is {value!r}; accepted is" in said


@pytest.mark.parametrize(("kind", "name", "parameter"), EACH)
def test_nothing_is_sent_where_a_template_gave_nothing(kind, name, parameter):
    for value in (None, "", " ", "None"):
        if name in kind.required:
            assert refused(kind, **{name: value}).startswith(f"{name} is {value!r}; accepted is")
        elif name == "enhance_prompt":
            assert body(kind, enhance_prompt=value)[name] == "no"
        else:
            assert name not in body(kind, **{name: value})


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_what_is_required(kind):
    needed = {name: REQUIRED[name] for name in kind.required}
    for name in needed:
        rest = {other: value for other, value in needed.items() if other != name}
        with pytest.raises(ValueError, match=f"^{name} is None; accepted is"):
            read_generation(kind, rest)
    assert dict(read_generation(kind, needed).call("v4").body) == {**needed, "enhance_prompt": "no"}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_an_unknown_name_is_refused_and_the_way_past_it_told(kind):
    said = refused(kind, colour="red", aspect=1)
    assert said.startswith(f"{kind.name} takes no aspect, colour; extra_parameters")


def test_inpaint_calls_the_steps_by_another_name():
    assert "takes no num_inference_steps" in refused(INPAINT, num_inference_steps=20)
    assert "takes no steps" in refused(TEXT_TO_IMAGE, steps=20)
    assert "takes no steps" in refused(IMAGE_TO_IMAGE, steps=20)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_paths_and_patience(kind):
    v4, v6 = (read(kind).call(version) for version in ("v4", "v6"))
    suffix = {"text_to_image": "", "image_to_image": "/img2img", "inpaint": "/inpaint"}[kind.name]
    assert v4.path == f"/api/v4/dreambooth{suffix}"
    assert v6.path == f"/api/v6/images{suffix or '/text2img'}"
    # v3 is a dialect of fetching only: the same ids, and v4 generates.
    assert read(kind).call("v3") == v4
    assert v4.least_timeout == v6.least_timeout == LEAST_TIMEOUT >= 60


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_prompt_is_not_rewritten_unless_asked_for(kind):
    assert body(kind)["enhance_prompt"] == "no"
    assert body(kind, "v6")["enhance_prompt"] is False
    assert body(kind, enhance_prompt=True)["enhance_prompt"] == "yes"
    assert body(kind, extra={"enhance_prompt": "yes"})["enhance_prompt"] == "yes"


# -- LoRA


@pytest.mark.parametrize(
    ("strength", "v4"),
    [(0.4, "0.4"), ("0.4", "0.4"), ([0.4, 0.6], "0.4,0.6"), ("0.4, 0.6", "0.4,0.6"), ("[0.4, 1]", "0.4,1")],
)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_one_strength_or_one_each(kind, strength, v4):
    for version in ("v4", "v6"):  # commas in v6 as well: a list there is not documented
        sent = body(kind, version, lora_model=["a", "b"], lora_strength=strength)
        assert (sent["lora_model"], sent["lora_strength"]) == ("a,b", v4)


@pytest.mark.parametrize("strength", [0.09, 1.01, [0.4, 7], "strong", True, []])
def test_strengths_out_of_range(strength):
    assert "lora_strength" in refused(TEXT_TO_IMAGE, lora_model="a", lora_strength=strength)


def test_as_many_strengths_as_models():
    assert refused(TEXT_TO_IMAGE, lora_model=["a", "b", "c"], lora_strength=[0.4, 0.6]) == (
        "lora_strength is [0.4, 0.6]; accepted is one number, or as many as lora_model has names (3)"
    )
    assert refused(TEXT_TO_IMAGE, lora_strength=0.4) == ("lora_strength is [0.4], but there is no lora_model")


def test_models_or_strengths_that_go_past_the_check_are_not_counted():
    sent = body(TEXT_TO_IMAGE, extra={"lora_model": "a,b"}, lora_strength=[0.4, 0.6])
    assert (sent["lora_model"], sent["lora_strength"]) == ("a,b", "0.4,0.6")
    sent = body(TEXT_TO_IMAGE, extra={"lora_strength": "1.5,0.2,0.3"}, lora_model=["a", "b"])
    assert (sent["lora_model"], sent["lora_strength"]) == ("a,b", "1.5,0.2,0.3")


# -- base64


@pytest.mark.parametrize("name", ["init_image", "mask_image"])
def test_with_base64_a_picture_may_be_its_bytes(name):
    picture = "aGVsbG8="
    assert refused(INPAINT, **{name: picture}).startswith(
        f"{name} is {picture!r}; accepted is an http(s) link"
    )
    for switched in (True, "yes", "true"):
        assert body(INPAINT, base64=switched, **{name: picture})[name] == picture
    assert body(INPAINT, extra={"base64": "yes"}, **{name: picture})[name] == picture
    assert "http(s) link" in refused(INPAINT, base64="no", **{name: picture})
    assert "text" in refused(INPAINT, base64=True, **{name: ""})
    assert body(INPAINT, base64=True)[name] == LINK
    assert "http(s) link" in refused(INPAINT, base64=True, **{name: "https://"})


def test_a_long_picture_is_not_quoted_whole():
    assert len(refused(INPAINT, init_image="A" * 100_000)) < 300


# -- what goes past the check


def test_a_parameter_of_a_later_service():
    assert body(TEXT_TO_IMAGE, extra={"hologram": {"depth": 3}})["hologram"] == {"depth": 3}


def test_past_a_range():
    assert "512" in body(TEXT_TO_IMAGE, width=512)["width"]
    assert body(TEXT_TO_IMAGE, extra={"width": "2048"})["width"] == "2048"
    assert body(TEXT_TO_IMAGE, extra={"width": 2048}, width="wrong but not sent")["width"] == 2048
    assert read_generation(TEXT_TO_IMAGE, {}, {"model_id": "m", "prompt": ""}).call("v4").body["prompt"] == ""


@pytest.mark.parametrize(
    "value", [7, "text", ["a"], {1: 2}, {"a": object()}, {"a": {1, 2}}, {"a": float("nan")}]
)
def test_extra_parameters_are_a_dict_that_json_can_hold(value):
    said = refused(TEXT_TO_IMAGE, extra=value)
    assert said.startswith("extra_parameters is ")
    assert "accepted is" in said


@pytest.mark.parametrize("value", [None, "", "None", {}])
def test_no_extra_parameters(value):
    assert body(TEXT_TO_IMAGE, extra=value) == body(TEXT_TO_IMAGE)


@pytest.mark.parametrize("name", ["key", "Key", "KEY", " key "])
def test_the_key_is_refused_without_being_quoted(name):
    said = refused(TEXT_TO_IMAGE, extra={name: "canary-KEY-0123456789", "colour": 1})
    assert "canary" not in said
    assert "connection's password" in said


@pytest.mark.parametrize(
    "value",
    [
        {"key": "canary-KEY-0123456789", "a": object()},
        {"key": "canary-KEY-0123456789", 1: 2},
        "{'key': 'canary-KEY-0123456789'}",
        [("key", "canary-KEY-0123456789")],
    ],
)
def test_the_key_in_a_wrong_extra_is_not_quoted_either(value):
    assert "canary" not in refused(TEXT_TO_IMAGE, extra=value)


# -- the fingerprint

SPELLINGS: dict[str, list[list[Any]]] = {
    "width": [[512, "512", 512.0, " 512 "], [768, "768"]],
    "guidance_scale": [[7, 7.0, "7", "7.0"], [7.5, "7.5"]],
    "safety_checker": [[True, "yes", "true", 1], [False, "no", "False", 0]],
    "enhance_prompt": [[None, False, "no", "None"], [True, "yes"]],
    "seed": [[2**53 + 1, str(2**53 + 1)], [2**53, str(2**53)], [None, "", "None"]],
    "lora_model": [[["a", "b"], "a,b", "a, b", "['a', 'b']"], ["b,a", ["b", "a"]]],
    "negative_prompt": [[None, "", "None"], ["blue"], ["Blue"]],
    "scheduler": [["DDIMScheduler"], ["LCMScheduler"]],
}
MEANINGS = st.fixed_dictionaries(
    {name: st.integers(0, len(meanings) - 1) for name, meanings in SPELLINGS.items()}
)


def spelled(draw: st.DataObject, meaning: dict[str, int]) -> Generation:
    given = {name: draw.draw(st.sampled_from(SPELLINGS[name][which])) for name, which in meaning.items()}
    return read(TEXT_TO_IMAGE, **given)


@given(meaning=MEANINGS, data=st.data())
def test_the_same_however_it_is_spelled(meaning, data):
    one, other = spelled(data, meaning), spelled(data, meaning)
    assert one.fingerprint == other.fingerprint
    assert one.call("v4") == other.call("v4")


@given(meaning=MEANINGS, other=MEANINGS, data=st.data())
def test_another_picture_has_another_fingerprint(meaning, other, data):
    same = spelled(data, meaning).fingerprint == spelled(data, other).fingerprint
    assert same == (meaning == other)


@given(order=st.permutations(sorted(SPELLINGS)))
def test_the_order_of_the_names_does_not_matter(order):
    given = {name: SPELLINGS[name][-1][0] for name in order}
    named = {name: SPELLINGS[name][-1][0] for name in SPELLINGS}
    assert read(TEXT_TO_IMAGE, **given).fingerprint == read(TEXT_TO_IMAGE, **named).fingerprint


@pytest.mark.parametrize(("kind", "name", "parameter"), EACH)
def test_each_parameter_counts(kind, name, parameter):
    """But those that say where the result goes."""
    prints = {read(kind).fingerprint}
    for value, _, _ in parameter.accepted:
        prints.add(read(kind, **{name: value}).fingerprint)
    if name in ("track_id", "webhook"):
        assert len(prints) == 1
    else:
        assert len(prints) > 1


def test_the_kind_and_what_goes_past_the_check_count():
    pictures = {"init_image": LINK, "model_id": "m", "prompt": "p"}
    one = read_generation(IMAGE_TO_IMAGE, pictures)
    other = read_generation(INPAINT, {**pictures, "mask_image": LINK})
    assert one.fingerprint != other.fingerprint
    assert read(INPAINT, extra={"hologram": 1}).fingerprint != read(INPAINT).fingerprint
    assert (
        read(INPAINT, extra={"hologram": 1}).fingerprint != read(INPAINT, extra={"hologram": 2}).fingerprint
    )
    assert read(INPAINT, extra={"track_id": "a"}).fingerprint == read(INPAINT).fingerprint


def test_the_fingerprint_is_of_the_picture_not_of_the_account():
    found = read(TEXT_TO_IMAGE)
    assert len(found.fingerprint) == 64
    assert json.loads(found.call("v4").encode("canary-KEY-0123456789"))["key"] == "canary-KEY-0123456789"
    assert "canary" not in repr(found)


def test_of_what_goes_past_the_check():
    found = read(TEXT_TO_IMAGE, extra={"model_id": "other", "track_id": "mine"}, track_id="not sent")
    assert (found.model_id, found.track_id) == ("other", "mine")
    assert read(TEXT_TO_IMAGE).track_id is None


# -- reloading


def test_model_reload():
    assert model_reload("v4", "midjourney").path == "/api/v4/dreambooth/model_reload"
    assert model_reload("v3", "midjourney").path == "/api/v4/dreambooth/model_reload"
    assert model_reload("v6", "midjourney").path == "/api/v6/images/model_reload"
    assert model_reload("v6", "midjourney").body == {"model_id": "midjourney"}
    for wrong in (None, "", "None", 7):
        with pytest.raises(ValueError, match=r"^model_id is .*; accepted is a text"):
            model_reload("v4", wrong)


# -- the same parameters in each place that names them

TYPES = {
    "text_to_image": generation_types.TextToImage,
    "image_to_image": generation_types.ImageToImage,
    "inpaint": generation_types.Inpaint,
}
OPERATORS: dict[str, Any] = {
    "text_to_image": operators.DreamboothTextToImageOperator,
    "image_to_image": operators.DreamboothImageToImageOperator,
    "inpaint": operators.DreamboothInpaintOperator,
}
PLUMBING = {
    "dreambooth_conn_id",
    "wait_for_completion",
    "deferrable",
    "poke_interval",
    "timeout",
    "queue_timeout",
    "retry_unknown_submit",
    "force_new",
    "reload_model",
    "reload_seconds",
    "fail_on_nsfw",
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_types_name_what_is_checked(kind):
    types = TYPES[kind.name]
    assert set(get_type_hints(types)) == {*kind.checks, "extra_parameters"}
    marked = get_type_hints(types, include_extras=True)
    required = {name for name, marks in marked.items() if get_origin(marks) is Required}
    assert required == set(kind.required)


def parameters_of(operator: Any) -> dict[str, inspect.Parameter]:
    """What its constructors name, up to the common one of this provider."""
    found: dict[str, inspect.Parameter] = {}
    for cls in operator.__mro__:
        if cls.__module__.startswith("airflow_provider_dreambooth"):
            named = inspect.signature(cls.__init__).parameters.items()
            found |= {name: one for name, one in named if one.kind is one.KEYWORD_ONLY}
    return found


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_operator_takes_what_is_checked(kind):
    operator = OPERATORS[kind.name]
    assert operator.kind is kind
    found = parameters_of(operator)
    assert set(found) == {*kind.checks, "extra_parameters"} | PLUMBING
    defaults = {name: found[name].default for name in kind.checks}
    assert {name for name, default in defaults.items() if default is inspect.Parameter.empty} == set(
        kind.required
    )
    given = {
        name: default for name, default in defaults.items() if default not in (inspect.Parameter.empty, None)
    }
    assert given == {"enhance_prompt": False}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_operator_templates_what_is_checked(kind):
    operator = OPERATORS[kind.name]
    expected = [*kind.checks, "extra_parameters", "dreambooth_conn_id", "force_new"]
    assert list(operator.template_fields) == expected


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_types_and_operator_mean_the_same_types(kind):
    types = get_type_hints(TYPES[kind.name])
    base = inspect.get_annotations(operators.DreamboothTextToImageOperator.__mro__[1].__init__, eval_str=True)
    own = inspect.get_annotations(OPERATORS[kind.name].__init__, eval_str=True)
    named = {**base, **own}
    for name in kind.checks:
        assert named[name] == types[name], name


def test_each_scheduler_is_documented_with_its_suffix():
    assert len(set(parameters.SCHEDULERS)) == len(parameters.SCHEDULERS) == 18
    assert all(name.endswith("Scheduler") for name in parameters.SCHEDULERS)
