# SPDX-License-Identifier: Apache-2.0
"""The hook's part that bills, on real connections and real HTTP: what is sent, returned, raised and paid."""

from __future__ import annotations

import json
import logging
import threading

import pytest

from airflow_provider_dreambooth import exceptions
from airflow_provider_dreambooth.api import submitting
from airflow_provider_dreambooth.api.polling import PollPolicy
from airflow_provider_dreambooth.api.submitting import SubmitPolicy
from airflow_provider_dreambooth.hooks.dreambooth import DreamboothHook
from airflow_provider_dreambooth.sandbox import Sandbox
from tests.client.wire import Wire, reply

KEY = "canary-KEY-0123456789"
LINK = "https://pictures.example/a.png"
FOX = {"model_id": "midjourney", "prompt": "a fox"}
GIVEN = {
    "text_to_image": FOX,
    "image_to_image": {**FOX, "init_image": LINK},
    "inpaint": {**FOX, "init_image": LINK, "mask_image": LINK},
}
PATHS = {
    ("text_to_image", "v4"): "/api/v4/dreambooth",
    ("image_to_image", "v4"): "/api/v4/dreambooth/img2img",
    ("inpaint", "v4"): "/api/v4/dreambooth/inpaint",
    ("text_to_image", "v6"): "/api/v6/images/text2img",
    ("image_to_image", "v6"): "/api/v6/images/img2img",
    ("inpaint", "v6"): "/api/v6/images/inpaint",
}
PATIENT = SubmitPolicy(queue_timeout=600)


@pytest.fixture
def service():
    with Sandbox(key=KEY, run_time=0.2, reload_time=0.2, sleeping_models=("sleepy",)) as sandbox:
        yield sandbox


@pytest.fixture
def connect(monkeypatch, service, caplog, capsys):
    """Define the connection with these extras; after the test, the key is in no log line."""
    caplog.set_level(logging.DEBUG)

    def define(*, password=KEY, **extra):
        connection = {"conn_type": "dreambooth", "host": service.url, "password": password, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT", json.dumps(connection))
        return DreamboothHook()

    yield define
    assert KEY not in caplog.text + "".join(capsys.readouterr())


def submit_to(wire, monkeypatch, retry_unknown):
    """Give a submit to such a server, and let what may have been accepted be repeated soon, if at all."""
    monkeypatch.setattr(submitting, "_LOAD_DELAY", 0.05)
    connection = {"conn_type": "dreambooth", "host": wire.url, "password": KEY}
    monkeypatch.setenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT", json.dumps(connection))
    policy = SubmitPolicy(retry_unknown=retry_unknown)
    return lambda: DreamboothHook().text_to_image(**FOX, policy=policy)


def failing(cls, call):
    """Call, and give the error, which is of exactly this class and does not name the key."""
    with pytest.raises(exceptions.DreamboothError) as caught:
        call()
    assert type(caught.value) is cls
    assert KEY not in str(caught.value)
    assert str(caught.value).isprintable()
    return caught.value


@pytest.mark.parametrize("version", ["v3", "v4", "v6"])
@pytest.mark.parametrize("kind", GIVEN)
def test_each_kind_in_each_dialect(connect, service, kind, version):
    with connect(api_version=version) as hook:
        result = getattr(hook, kind)(**GIVEN[kind], width=256, height="512", safety_checker=True, seed=7)
        assert set(result) == {"request_id", "status", "eta", "output", "meta", "submitted_at"}
        assert result["status"] == "processing"
        assert 0 <= result["eta"] <= 1
        assert result["output"] == []
        assert result["meta"]["seed"] == 7
        ready = hook.wait(result, policy=PollPolicy(poke_interval=0.1))
    [submit] = service.submits
    assert submit.path == PATHS[kind, "v6" if version == "v6" else "v4"]
    typed = {"width": 256, "height": 512, "safety_checker": True, "seed": 7, "enhance_prompt": False}
    written = {"width": "256", "height": "512", "safety_checker": "yes", "seed": "7", "enhance_prompt": "no"}
    assert submit.body == {**GIVEN[kind], **(typed if version == "v6" else written)}
    assert submit.request_id == result["request_id"] == ready["request_id"]
    assert service.accepted() == 1
    # Fetch does not tell the seed: it comes from the submit's reply.
    assert ready["meta"]["seed"] == 7
    assert ready["output"][0].startswith(service.url)


@pytest.mark.parametrize("version", ["v4", "v6"])
def test_ready_at_once(connect, service, version):
    service.script("submit", "success")
    result = connect(api_version=version).text_to_image(**FOX, samples=2)
    assert (result["status"], result["eta"], len(result["output"])) == ("success", None, 2)
    assert result["meta"]["prompt"] == "a fox"
    assert ("nsfw_content_detected" in result) == (version == "v6")


def test_lora_and_what_goes_past_the_check(connect, service):
    connect().text_to_image(
        **FOX, lora_model=["a", "b"], lora_strength=[0.4, 0.6], extra_parameters={"hologram": 1}
    )
    body = service.submits[0].body
    assert (body["lora_model"], body["lora_strength"], body["hologram"]) == ("a,b", "0.4,0.6", 1)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("text_to_image", {"width": 100}),
        ("text_to_image", {"prompt": None}),
        ("text_to_image", {"steps": 20}),
        ("text_to_image", {"extra_parameters": {"key": KEY}}),
        ("image_to_image", {"init_image": "a.png"}),
        ("inpaint", {"mask_image": None}),
        ("inpaint", {"num_inference_steps": 20}),
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_is_sent(connect, service, kind, wrong):
    error = failing(
        exceptions.DreamboothInputError, lambda: getattr(connect(), kind)(**{**GIVEN[kind], **wrong})
    )
    assert str(error).endswith("Nothing was sent.")
    assert service.journal == []


@pytest.mark.parametrize(
    ("fault", "cls", "says"),
    [
        ("invalid_key", exceptions.DreamboothKeyRefused, "password"),
        ("http_401", exceptions.DreamboothKeyRefused, "password"),
        ("monthly_limit", exceptions.DreamboothQuotaExceeded, "Your monthly limit exceeded"),
        ("insufficient_credits", exceptions.DreamboothQuotaExceeded, "Add credits"),
        ("model_not_found", exceptions.DreamboothRequestRefused, "reload_model=True"),
        ("http_403", exceptions.DreamboothRequestRefused, "Access denied"),
        ("validation", exceptions.DreamboothRequestRefused, "The prompt field is required"),
        ("invalid_request", exceptions.DreamboothRequestRefused, "Invalid API Request"),
        ("redirect_302:https://elsewhere.example/", exceptions.DreamboothRequestRefused, "elsewhere.example"),
        ("queue_full_2025:30", exceptions.DreamboothRateLimited, "pool"),
        ("rate_limit_2023", exceptions.DreamboothRateLimited, "pool"),
        ("http_429:7", exceptions.DreamboothRateLimited, "pool"),
    ],
)
def test_what_is_refused_is_not_billed_and_says_so(connect, service, fault, cls, says):
    service.script("submit", fault)
    error = failing(cls, lambda: connect().text_to_image(**FOX))
    model = FOX["model_id"]
    assert str(error).startswith(
        f"The submit of text_to_image with model {model!r} on connection 'dreambooth_default' was refused"
    )
    assert "Nothing was billed." in str(error)
    assert says in str(error)
    assert (service.accepted(), len(service.submits)) == (0, 1)


@pytest.mark.parametrize(
    ("fault", "seconds"), [("queue_full_2025:30", 30), ("http_429:7", 7), ("rate_limit_2023", 30)]
)
def test_an_error_for_load_says_when_to_come_back(connect, service, fault, seconds):
    service.script("submit", fault)
    error = failing(exceptions.DreamboothRateLimited, lambda: connect().text_to_image(**FOX))
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    ("fault", "billed"),
    [
        ("drop", 0),
        ("http_500", 0),
        ("http_502", 0),
        ("http_503", 0),
        ("server_error", 0),
        ("html_200", 0),
        ("not_json", 0),
        ("half_json", 0),
        ("json_list", 0),
        ("empty_body", 0),
        ("messege", 0),
        ("processing", 0),
        ("billed_then_drop", 1),
        ("billed_then_500", 1),
        ("billed_then_garbage", 1),
        ("cut", 1),
    ],
)
def test_what_may_have_been_accepted_is_not_repeated(connect, service, fault, billed):
    """From outside the two halves of this table look the same."""
    service.script("submit", fault)
    error = failing(
        exceptions.DreamboothSubmitUnknown,
        lambda: connect().text_to_image(**FOX, track_id="mine", policy=PATIENT),
    )
    assert "It may have been billed, so it is not repeated" in str(error)
    assert "track_id mine" in str(error)
    assert (service.accepted(), len(service.submits)) == (billed, 1)


@pytest.mark.parametrize("fault", ["billed_then_drop", "http_500", "html_200"])
def test_repeating_what_is_unknown_is_the_users_decision(connect, service, fault, monkeypatch):
    monkeypatch.setattr(submitting, "_LOAD_DELAY", 0.05)
    service.script("submit", fault)
    result = connect().text_to_image(**FOX, policy=SubmitPolicy(retry_unknown=True))
    assert result["request_id"] == service.submits[-1].request_id
    assert service.accepted() == (2 if fault == "billed_then_drop" else 1)


def test_a_refusal_after_an_unknown_attempt_does_not_say_that_nothing_was_billed(
    connect, service, monkeypatch
):
    monkeypatch.setattr(submitting, "_LOAD_DELAY", 0.05)
    service.script("submit", ["billed_then_drop", "monthly_limit"])
    error = failing(
        exceptions.DreamboothQuotaExceeded,
        lambda: connect().text_to_image(**FOX, track_id="mine", policy=SubmitPolicy(retry_unknown=True)),
    )
    assert "Nothing was billed for this attempt; an earlier one may have been (track_id mine)." in str(error)
    assert service.accepted() == 1


@pytest.mark.parametrize(
    ("fault", "cls"),
    [
        ("model_not_found", exceptions.DreamboothRequestRefused),
        ("queue_full_2025:30", exceptions.DreamboothRateLimited),
        ("job_failed", exceptions.DreamboothGenerationFailed),
        ("billed_then_drop", exceptions.DreamboothSubmitUnknown),
    ],
)
@pytest.mark.parametrize("place", ["model_id", "prompt", "track_id"])
def test_a_key_put_into_a_parameter_by_mistake_is_in_no_error(connect, service, place, fault, cls):
    service.script("submit", fault)
    error = failing(cls, lambda: connect().text_to_image(**{**FOX, place: KEY}))
    assert ("***" in str(error)) == (
        place == "model_id" or (place == "track_id" and fault == "billed_then_drop")
    )


@pytest.mark.parametrize("wrong", ["seed", "width", "scheduler", "webhook"])
def test_a_key_in_place_of_another_parameter_is_in_no_error(connect, service, wrong):
    error = failing(exceptions.DreamboothInputError, lambda: connect().text_to_image(**FOX, **{wrong: KEY}))
    assert f"{wrong} is '***'" in str(error)
    assert service.submits == []


def test_a_key_put_in_place_of_a_model_to_reload_is_in_no_error(connect, service):
    error = failing(exceptions.DreamboothRequestRefused, lambda: connect().reload_model(KEY))
    assert "model_reload of ***" in str(error)


PAID = "https://a.example/paid.png"


@pytest.mark.parametrize("output", [[PAID], [PAID, "nothing"]])
@pytest.mark.parametrize("retry_unknown", [False, True])
def test_pictures_without_an_id_are_not_lost(monkeypatch, output, retry_unknown):
    body = json.dumps({"status": "success", "output": output}).encode()
    with Wire(lambda connection: (wire.read(connection), connection.sendall(reply(body)))) as wire:
        error = failing(exceptions.DreamboothSubmitUnknown, submit_to(wire, monkeypatch, retry_unknown))
    assert f"Its pictures: {PAID}." in str(error)
    assert "track_id" not in str(error)  # none was sent
    assert wire.connections == 1


@pytest.mark.parametrize("retry_unknown", [False, True])
def test_an_id_in_a_reply_that_broke_off_is_told_and_not_paid_again(monkeypatch, retry_unknown):
    body = b'{"status": "processing", "id": 111, "eta": 3}'
    with Wire(lambda connection: (wire.read(connection), connection.sendall(reply(body, length=99)))) as wire:
        error = failing(exceptions.DreamboothSubmitUnknown, submit_to(wire, monkeypatch, retry_unknown))
    assert "request 111: " in str(error)
    assert wire.connections == 1


def test_the_log_says_why_a_submit_is_repeated(connect, service, monkeypatch, task_log):
    monkeypatch.setattr(submitting, "_LOAD_DELAY", 0.05)
    service.script("submit", "http_500")
    connect().text_to_image(**FOX, policy=SubmitPolicy(retry_unknown=True))
    assert "it is not known what became of it: HTTP 500" in task_log()


def test_a_generation_that_failed(connect, service):
    service.script("submit", "job_failed")
    error = failing(exceptions.DreamboothGenerationFailed, lambda: connect().text_to_image(**FOX))
    assert "submits anew, which is billed anew" in str(error)


def test_the_id_is_in_the_log_before_the_caller_has_it(connect, task_log):
    request_id = connect().text_to_image(**FOX)["request_id"]
    assert f"Request {request_id}: accepted on connection 'dreambooth_default'" in task_log()


def test_success_without_links_is_a_request_that_can_be_fetched(connect, service):
    service.script("submit", "success_empty_list")
    hook = connect()
    submitted = hook.text_to_image(**FOX)
    assert (submitted["status"], submitted["output"]) == ("processing", [])
    assert hook.wait(submitted)["output"]
    assert service.accepted() == 1


@pytest.mark.parametrize("fault", ["queue_full_2025:0.05", "http_429:0.05"])
def test_a_full_queue_is_waited_out(connect, service, fault):
    service.script("submit", [fault] * 3)
    result = connect().text_to_image(**FOX, policy=PATIENT)
    assert result["status"] == "processing"
    assert (service.accepted(), len(service.submits)) == (1, 4)


def test_a_full_queue_of_the_account(monkeypatch):
    with Sandbox(key=KEY, max_queued=1, run_time=0.3, queue_retry_after=0.1) as service:
        monkeypatch.setenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT", service.connection_json)
        with DreamboothHook() as hook:
            for prompt in ("one", "two", "three"):
                hook.text_to_image(model_id="flux", prompt=prompt, policy=PATIENT)
        assert service.accepted() == 3
        assert {each.reply for each in service.submits} == {"processing", "queue_full_2025"}


def test_queue_timeout_is_kept(connect, service):
    service.script("submit", "queue_full_2025:0.1*")
    policy = SubmitPolicy(queue_timeout=0.5)
    error = failing(exceptions.DreamboothRateLimited, lambda: connect().text_to_image(**FOX, policy=policy))
    assert "beyond queue_timeout" in str(error)
    assert service.accepted() == 0
    assert len(service.submits) >= 3


def test_a_service_that_comes_back(connect, service):
    """Nothing arrived while nobody listened."""
    hook = connect()
    hook.get_conn()
    service.stop()
    back = threading.Timer(0.5, service.start)
    back.start()
    result = hook.text_to_image(**FOX)
    back.join()
    assert result["request_id"]
    assert service.accepted() == 1


def test_a_changed_key_heals_a_submit(connect, service):
    hook = connect()
    hook.system_load()
    service.set_key("rotated-canary-KEY-0123456789")
    connect(password="rotated-canary-KEY-0123456789")
    hook.text_to_image(**FOX)
    assert service.accepted() == 1


# -- models that sleep


@pytest.mark.parametrize("version", ["v3", "v4", "v6"])
def test_reload_model(connect, service, version):
    said = connect(api_version=version).reload_model("sleepy")
    assert said
    [record] = service.journal
    assert record.path == (
        "/api/v6/images/model_reload" if version == "v6" else "/api/v4/dreambooth/model_reload"
    )


def test_reload_of_a_model_that_is_none(connect, service):
    error = failing(exceptions.DreamboothRequestRefused, lambda: connect().reload_model("no-such-model"))
    assert "model_reload of no-such-model" in str(error)
    for wrong in (None, "", "None", 7):
        failing(exceptions.DreamboothInputError, lambda wrong=wrong: connect().reload_model(wrong))
    assert len(service.journal) == 1


def test_faults_of_a_reload_pass(connect, service):
    service.script("model_reload", ["http_500"])
    assert connect().reload_model("sleepy")
    assert len(service.journal) == 2


def test_a_reload_that_is_answered_by_no_service(connect, service):
    service.script("model_reload", "html_200*")
    error = failing(exceptions.DreamboothUnavailable, lambda: connect().reload_model("sleepy"))
    assert "model_reload of sleepy" in str(error)
    assert len(service.journal) == 3


def test_a_model_that_sleeps_is_woken_once(connect, service):
    policy = SubmitPolicy(reload_model=True, reload_seconds=0.3)
    result = connect().text_to_image(model_id="sleepy", prompt="a fox", policy=policy)
    assert result["request_id"]
    assert [each.reply for each in service.submits] == ["model_not_found", "processing"]
    assert sum("model_reload" in record.path for record in service.journal) == 1
    assert service.accepted() == 1


def test_a_model_that_wakes_late(connect, service):
    policy = SubmitPolicy(reload_model=True, reload_seconds=0.1)
    connect().text_to_image(model_id="sleepy", prompt="a fox", policy=policy)
    replies = [each.reply for each in service.submits]
    assert replies[-1] == "processing"
    assert set(replies[:-1]) == {"model_not_found"}
    assert len(replies) > 2
    assert sum("model_reload" in record.path for record in service.journal) == 1


def test_a_model_that_does_not_exist_is_not_waited_for(connect, service):
    policy = SubmitPolicy(reload_model=True, reload_seconds=600)
    error = failing(
        exceptions.DreamboothRequestRefused,
        lambda: connect().text_to_image(model_id="no-such-model", prompt="a fox", policy=policy),
    )
    assert "no-such-model" in str(error)
    assert service.accepted() == 0
