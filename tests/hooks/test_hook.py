# SPDX-License-Identifier: Apache-2.0
"""The hook on real connections and real HTTP."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from airflow_provider_dreambooth import __version__
from airflow_provider_dreambooth.api.batch import Batch
from airflow_provider_dreambooth.api.polling import PollPolicy
from airflow_provider_dreambooth.api.replies import Failed, Pending, Ready, Refused, Unavailable
from airflow_provider_dreambooth.api.request_ids import Requested
from airflow_provider_dreambooth.exceptions import (
    DreamboothConnectionError,
    DreamboothInputError,
    DreamboothJobFailed,
    DreamboothKeyRefused,
    DreamboothTimeout,
    DreamboothUnavailable,
)
from airflow_provider_dreambooth.hooks.dreambooth import DreamboothHook
from airflow_provider_dreambooth.hooks.shared import shared_service
from airflow_provider_dreambooth.sandbox import Sandbox

KEY = "sandbox-key"


@pytest.fixture
def service():
    with Sandbox(key=KEY) as sandbox:
        yield sandbox


@pytest.fixture
def connect(monkeypatch, service):
    """Define the connection with these fields over the sandbox's."""

    def define(**fields):
        connection = {"conn_type": "dreambooth", "host": service.url, "password": KEY, **fields}
        monkeypatch.setenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT", json.dumps(connection))
        return DreamboothHook()

    return define


@pytest.mark.parametrize("version", ["v3", "v4", "v6"])
def test_fetch_gives_one_typed_outcome_in_every_dialect(connect, service, version):
    hook = connect(extra={"api_version": version})
    ready = service.add(prompt="a fox", samples=2)
    later = service.add(prompt="an owl", ready_in=60)
    failed = service.add(prompt="a cat", replies=("job_failed",))

    with hook:
        outcome = hook.fetch(ready)
        assert isinstance(outcome, Ready)
        assert len(outcome.output) == 2
        assert isinstance(hook.fetch(int(later)), Pending)
        assert hook.fetch(failed) == Failed("job_failed", "Failed, Try Again")
        assert hook.fetch("999") == Failed("not_found", "Request not found")
    assert {record.path.split("/fetch")[0] for record in service.journal} == {
        "/api/v6/images" if version == "v6" else f"/api/{version}/dreambooth"
    }


def test_one_session_serves_many_calls(connect, service):
    ids = [service.add(prompt=str(n)) for n in range(5)]
    with connect() as hook:
        for request_id in ids:
            hook.fetch(request_id)
        hook.system_load()
    assert service.connections == 1


def test_passing_faults_are_tried_again_after_the_delay_asked_for(connect, service):
    request_id = service.add(prompt="a fox", replies=("http_429:1",))
    assert isinstance(connect().fetch(request_id), Ready)
    first, second = (record.time for record in service.journal)
    assert service.fetches(request_id) == 2
    assert (second - first) >= 1


def test_what_does_not_pass_is_tried_three_times_and_told(connect, service):
    request_id = service.add(prompt="a fox", replies=("http_503",) * 9)
    outcome = connect().fetch(request_id)
    assert isinstance(outcome, Unavailable)
    assert outcome.http_status == 503
    assert service.fetches(request_id) == 3


def test_a_refusal_is_not_tried_again(connect, service):
    request_id = service.add(prompt="a fox", replies=("monthly_limit",) * 9)
    assert isinstance(connect().fetch(request_id), Refused)
    assert service.fetches(request_id) == 1


def test_wait_returns_what_the_sensor_returns(connect, service):
    one, two = service.add(prompt="one", ready_in=0.3), service.add(prompt="two")
    quick = PollPolicy(poke_interval=0.1)
    with connect() as hook:
        single = hook.wait(one, policy=quick)
        several = hook.wait([two, one], policy=quick)
    assert single["request_id"] == one
    assert [result["request_id"] for result in several] == [two, one]


def test_wait_raises_at_the_deadline(connect, service):
    request_id = service.add(prompt="late", ready_in=60)
    with pytest.raises(DreamboothTimeout, match=f"request {request_id}: timed out: still processing"):
        connect().wait(request_id, timeout=0.3, policy=PollPolicy(poke_interval=0.1))


def test_bad_ids_are_refused_before_anything_is_sent(connect, service):
    for wrong in (None, "", "../x", [], {}):
        with pytest.raises(DreamboothInputError):
            connect().fetch(wrong)
    assert service.journal == []


def test_system_load_and_models(connect, service):
    with connect() as hook:
        assert set(hook.system_load()) == {"queue_num", "queue_time", "status"}
        assert all(model["model_id"] for model in hook.list_models())


def test_system_load_that_is_refused_or_no_reply_of_the_service(connect, service):
    with pytest.raises(DreamboothKeyRefused, match="dreambooth_default"):
        connect(password="wrong-key").system_load()
    with pytest.raises(DreamboothUnavailable):
        connect(host=f"{service.url}/elsewhere").system_load()


def test_it_says_who_is_asking(connect, service, monkeypatch):
    seen = {}

    class Echo(BaseHTTPRequestHandler):
        def do_POST(self):
            seen.update(self.headers)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status": "processing"}')

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        connect(host=f"http://127.0.0.1:{server.server_port}").fetch("1")
        server.shutdown()
    assert f"airflow-provider-dreambooth/{__version__} apache-airflow" in seen["User-Agent"]
    assert seen["Content-Type"] == "application/json"


def test_wait_for_a_list_keeps_what_is_ready_in_its_exception(connect, service):
    ready, failed = service.add(prompt="ready"), service.add(prompt="failed", replies=("job_failed",))
    with pytest.raises(DreamboothJobFailed, match="in this exception's 'ready'") as caught:
        connect().wait([ready, failed])
    assert [one["request_id"] for one in caught.value.ready] == [ready]
    assert [one.request_id for one in caught.value.failures] == [failed]


def test_fetch_takes_one_id(connect):
    with pytest.raises(DreamboothInputError, match="wait\\(\\) takes a list"):
        connect().fetch(["1", "2"])


def test_a_changed_key_heals_every_call(connect, service):
    hook = connect()
    hook.system_load()
    service.set_key("rotated-key")
    connect(password="rotated-key")
    assert hook.system_load()["status"] == "ok"


def test_a_kill_interrupts_a_look_that_hangs(connect, service):
    """Were the look waited for, it would take an hour, and the timeout of every test would end this one."""

    def interrupt(*_):
        raise KilledError

    class KilledError(BaseException):
        pass

    hook = connect(extra={"timeout": 3600})
    batch = Batch([Requested(service.add(prompt="x", replies=("hang:3600",)))], began=0, deadline=2e9)
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(KilledError):
            hook.look(batch)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert batch.waiting == 1


class TestConnection:
    """``test_connection`` bills nothing and says why it failed."""

    def test_all_is_well(self, connect, service):
        assert connect().test_connection() == (True, f"{service.url} answers and accepts the API key")
        assert [record.path for record in service.journal] == ["/api/v4/dreambooth/fetch"]

    def test_no_key(self, connect, service):
        ok, why = connect(password=None).test_connection()
        assert not ok
        assert "no API key" in why
        assert service.journal == []

    def test_key_refused(self, connect):
        ok, why = connect(password="wrong-key").test_connection()
        assert not ok
        assert "refuses the API key: Invalid Api Key" in why
        assert "wrong-key" not in why

    def test_host_not_reachable(self, connect):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            ok, why = connect(host=f"http://127.0.0.1:{closed.getsockname()[1]}").test_connection()
        assert not ok
        assert why.startswith("Not reachable")

    @pytest.mark.parametrize("host", ["http://modelslab..com", f"http://{'x' * 64}.example"])
    def test_a_typo_in_the_host(self, connect, host):
        ok, why = connect(host=host).test_connection()
        assert not ok
        assert "its host is no base URL" in why

    def test_of_another_type(self, connect, service):
        ok, why = connect(conn_type="http").test_connection()
        assert not ok
        assert "is of type 'http', not 'dreambooth'" in why
        assert service.journal == []

    def test_not_this_api(self, connect, service):
        ok, why = connect(host=f"{service.url}/pictures").test_connection()
        assert not ok
        assert "is not this API" in why


class TestWhereTheConnectionComesFrom:
    """Environment as URI and as JSON, and a secrets backend; the UI stores the same fields."""

    def test_uri(self, monkeypatch, service):
        port = service.url.rsplit(":", 1)[1]
        uri = f"dreambooth://:{KEY}@http%3A%2F%2F127.0.0.1:{port}/?api_version=v6&timeout=5&trusted_hosts=a.example,b.example&verify=false"
        monkeypatch.setenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT", uri)
        config = DreamboothHook().get_conn().config
        assert (config.base_url, config.api_version, config.timeout) == (service.url, "v6", 5.0)
        assert (config.trusted_hosts, config.verify) == (("a.example", "b.example"), False)
        assert DreamboothHook().test_connection()[0]

    def test_plain_uri_means_https(self, monkeypatch):
        monkeypatch.setenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT", f"dreambooth://:{KEY}@modelslab.example")
        assert DreamboothHook().get_conn().config.base_url == "https://modelslab.example"

    def test_key_alone(self, monkeypatch):
        monkeypatch.setenv("AIRFLOW_CONN_DREAMBOOTH_DEFAULT", f"dreambooth://:{KEY}@")
        assert DreamboothHook().get_conn().config.base_url == "https://modelslab.com"

    def test_extra_that_is_no_json(self, connect):
        # Airflow 3.0 and 3.1 do not even make a connection of it.
        with pytest.raises(DreamboothConnectionError, match=r"no JSON object|Airflow could not read it"):
            connect(extra="timeout=3").get_conn()

    def test_nothing_is_looked_up_before_the_first_call(self):
        assert DreamboothHook("nowhere").dreambooth_conn_id == "nowhere"
        with pytest.raises(DreamboothConnectionError, match="AIRFLOW_CONN_NOWHERE"):
            DreamboothHook("nowhere").get_conn()

    def test_no_repr_shows_the_key(self, connect):
        hook = connect(extra={"proxy": "http://user:proxy-password@127.0.0.1:9"})
        shown = f"{hook!r} {hook.get_conn()!r} {hook.get_conn().config!r} {vars(hook)}"
        assert KEY not in shown
        assert "proxy-password" not in shown


class TestWhereTheKeyGoes:
    """The key is in the body: it goes to the connection's host and to trusted hosts, by POST, or nowhere."""

    @pytest.fixture
    def elsewhere(self):
        with Sandbox(key=KEY) as other:
            yield other

    @pytest.mark.parametrize("code", [301, 302, 307, 308])
    def test_not_to_another_host(self, connect, service, elsewhere, code):
        target = elsewhere.url.replace("127.0.0.1", "localhost") + "/api/v4/dreambooth/fetch"
        request_id = service.add(prompt="x", replies=(f"redirect_{code}:{target}",))
        outcome = connect().fetch(request_id)
        assert isinstance(outcome, Refused)
        assert outcome.kind == "redirected"
        assert "'localhost'" in outcome.message
        assert elsewhere.journal == []

    @pytest.mark.parametrize("code", [301, 302, 307, 308])
    def test_to_a_trusted_host_as_the_same_post(self, connect, service, elsewhere, code):
        target = elsewhere.url.replace("127.0.0.1", "localhost") + "/api/v4/dreambooth/fetch"
        request_id = service.add(prompt="x", replies=(f"redirect_{code}:{target}",))
        elsewhere.add(prompt="x", request_id=request_id)
        outcome = connect(extra={"trusted_hosts": ["localhost"]}).fetch(request_id)
        assert isinstance(outcome, Ready)
        assert [(record.method, record.key_ok) for record in elsewhere.journal] == [("POST", True)]

    def test_not_to_the_url_that_a_reply_names(self, connect, service, elsewhere):
        reply = {
            "http": 200,
            "body": {"status": "processing", "fetch_result": f"{elsewhere.url}/api/v3/dreambooth/fetch/1"},
        }
        request_id = service.add(prompt="x", replies=(reply,))
        with connect() as hook:
            result = hook.wait(request_id, policy=PollPolicy(poke_interval=0.1))
        assert result["status"] == "success"
        assert elsewhere.journal == []

    def test_not_into_messages_when_the_service_repeats_it(self, connect, service):
        reply = {"http": 200, "body": {"status": "error", "message": f"Invalid Api Key {KEY}"}}
        request_id = service.add(prompt="x", replies=(reply,))
        outcome = connect().fetch(request_id)
        assert isinstance(outcome, Refused)
        assert outcome.message == "Invalid Api Key ***"


def test_a_proxy_from_the_environment_is_used_and_its_password_stays_there(connect, service, monkeypatch):
    request_id = service.add(prompt="x")
    hook = connect(host="http://service.invalid")
    for proxy in (service.url, service.url.removeprefix("http://")):
        monkeypatch.setenv("http_proxy", proxy)
        assert isinstance(hook.fetch(request_id), Ready)
    monkeypatch.setenv("http_proxy", "user:PROXYSECRET@127.0.0.1:1")
    outcome = connect(host="http://service.invalid").fetch(request_id)
    assert isinstance(outcome, Unavailable)
    assert "PROXYSECRET" not in outcome.message


def test_a_proxy_from_the_connection_is_used(connect, service):
    """The proxy here is the sandbox itself, asked in a proxy's way for a host that does not exist."""
    hook = connect(host="http://service.invalid", extra={"proxy": service.url})
    outcome = hook.fetch(service.add(prompt="x"))
    assert isinstance(outcome, (Ready, Unavailable))
    assert service.journal


def test_a_slow_service_is_given_up_in_time(connect, service):
    request_id = service.add(prompt="x", replies=("hang:30",) * 3)
    outcome = connect(extra={"timeout": 0.3}).fetch(request_id)
    assert isinstance(outcome, Unavailable)
    assert "no reply" in outcome.message
    assert "0.3 seconds" in outcome.message


def test_a_reply_without_end_is_cut_off(connect, service):
    reply = {"http": 200, "body": "x" * (2 << 20)}
    request_id = service.add(prompt="x", replies=(reply,) * 3)
    outcome = connect().fetch(request_id)
    assert isinstance(outcome, Unavailable)
    assert "longer than" in outcome.message


class Dripping(BaseHTTPRequestHandler):
    """Sends a header that never ends, a byte at a time, so that no single read takes long."""

    def do_POST(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-A: ")
        with contextlib.suppress(OSError):
            while not self.server.stop.wait(0.1):
                self.wfile.write(b"a")

    def log_message(self, *args):
        pass


@pytest.fixture
def dripping():
    with ThreadingHTTPServer(("127.0.0.1", 0), Dripping) as server:
        server.stop = threading.Event()
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.stop.set()
        server.shutdown()
        thread.join()


def test_headers_that_drip_are_given_up_too(connect, dripping):
    fields = {"host": dripping, "extra": {"timeout": 0.5}}
    waited = connect(**fields).look_once("1")
    assert isinstance(waited, Unavailable)
    assert "no reply" in waited.message


async def test_headers_that_drip_are_given_up_in_the_triggerer_too(connect, dripping):
    connect(host=dripping, extra={"timeout": 0.5})
    async with shared_service("dreambooth_default") as service:
        outcome = await service.fetch("1")
    assert isinstance(outcome, Unavailable)
    assert "no reply" in outcome.message
