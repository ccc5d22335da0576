# SPDX-License-Identifier: Apache-2.0
"""Starting and stopping: in a test, on the command line, as a fixture."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path

import pytest
import requests

from airflow_provider_dreambooth.sandbox import Sandbox
from airflow_provider_dreambooth.sandbox.__main__ import _parser, fault_tables
from airflow_provider_dreambooth.sandbox.settings import Settings

COMMAND = [sys.executable, "-W", "error", "-m", "airflow_provider_dreambooth.sandbox"]
ROOT = Path(__file__).parents[2]


def test_stop_does_not_wait_for_what_hangs(client_of):
    with Sandbox() as sandbox, ThreadPoolExecutor() as pool:
        client = client_of(sandbox.url)
        ids = [sandbox.add(replies=["hang"]) for _ in range(3)]
        hanging = [pool.submit(client_of(sandbox.url).fetch, request_id) for request_id in ids]
        while len(sandbox.journal) < 3:
            client.get(f"{sandbox.url}/sandbox/journal")
        sandbox.stop()
        assert all(isinstance(future.exception(), requests.ConnectionError) for future in hanging)
    assert not [thread for thread in threading.enumerate() if thread.name == "dreambooth-sandbox"]


def test_stop_and_start_at_the_same_address(client_of):
    sandbox = Sandbox()
    sandbox.stop()
    with sandbox:
        url, request_id = sandbox.url, sandbox.add()
        with pytest.raises(RuntimeError, match="running already"):
            sandbox.start()
    with pytest.raises(requests.ConnectionError):
        client_of(url).fetch(request_id)
    with sandbox:
        assert sandbox.url == url
        assert client_of(url).fetch(request_id).json()["status"] == "success"
    sandbox.stop()


def test_a_port_that_is_taken():
    with Sandbox() as sandbox:
        port = int(sandbox.url.rpartition(":")[2])
        other = Sandbox(port=port)
        with pytest.raises(OSError, match="address already in use"):
            other.start()
        assert _run("--port", str(port)).returncode == 1


def test_the_links_have_the_address_that_the_client_used(client_of):
    with Sandbox(host="0.0.0.0") as sandbox:
        client = client_of(sandbox.url.replace("127.0.0.1", "localhost"))
        (link,) = client.links(sandbox.add())
        assert link.startswith("http://localhost:")


def test_https(tmp_path, client_of):
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    with Sandbox(certificate=str(tmp_path / "server.pem")) as sandbox:
        client = client_of(sandbox.url)
        client.session.verify = str(tmp_path / "ca.pem")
        (link,) = client.links(sandbox.add())
        assert link.startswith("https://127.0.0.1:")
        assert client.get(link).status_code == 200


def test_without_pillow():
    script = (
        "import sys; sys.modules['PIL'] = None\n"
        "from airflow_provider_dreambooth.sandbox import Sandbox; Sandbox()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert "pip install 'airflow-provider-dreambooth[sandbox]'" in done.stderr


def test_the_fixture(dreambooth_sandbox, client_of):
    connection = json.loads(os.environ["AIRFLOW_CONN_DREAMBOOTH_DEFAULT"])
    assert connection == {
        "conn_type": "dreambooth",
        "host": dreambooth_sandbox.url,
        "password": "sandbox-key",
    }
    client = client_of(connection["host"], connection["password"])
    assert client.fetch(dreambooth_sandbox.add()).json()["status"] == "success"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_line(number, client_of):
    command = [*COMMAND, "--port", "0", "--key", "it's", "--any-id", "--run-time", "0", "--model", "mine"]
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **piped) as process, ExitStack() as stack:
        stack.callback(process.kill)  # whatever happens: Popen waits at the end
        welcome = ""
        while "Ctrl-C" not in welcome:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            welcome += line
        export = re.search(r"^ .*(export .*)", welcome, re.MULTILINE)[1]
        printed = subprocess.check_output(
            ["sh", "-c", f'{export}; printf %s "$AIRFLOW_CONN_DREAMBOOTH_DEFAULT"']
        )
        connection = json.loads(printed)
        client = client_of(connection["host"], connection["password"])
        assert client.fetch(4711).json()["status"] == "success"
        assert client.post("v4/dreambooth", prompt="x", model_id="mine").json()["status"] == "success"
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
        assert process.stderr.read() == ""


def test_the_command_line_says_what_is_wrong():
    assert "fault_rate is a share" in _run("--port", "0", "--fault-rate", "3").stderr
    assert "No fault is named" in _run("--port", "0", "--fault", "htpp_500").stderr


def test_the_guide_lists_every_fault():
    assert _run("--list-faults").stdout.strip() == fault_tables()
    assert fault_tables() in (ROOT / "docs" / "guides" / "sandbox.md").read_text()


def test_the_guide_lists_every_setting():
    guide = (ROOT / "docs" / "guides" / "sandbox.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (?:`(--[a-z-]+)`)? *\| (.*?) \|", guide, re.MULTILINE)
    told = {name: (option, default.strip("`")) for name, option, default in rows}
    options = {option for action in _parser()._actions for option in action.option_strings}
    for field in fields(Settings):
        option, default = told[field.name]
        assert default in (str(field.default), "six of them"), field.name
        assert (option in options) or (field.name == "first_id" and not option), field.name


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, cwd=ROOT, timeout=30
    )
