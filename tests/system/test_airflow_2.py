# SPDX-License-Identifier: Apache-2.0
"""
The oldest Airflow as processes of its own: it waits, generates and saves, and writes the key nowhere.

Its triggerer loses power while a wait is on, as that of the newer ones does in ``test_restart.py``.
"""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass
from math import inf

import pytest

from airflow_provider_dreambooth.sandbox import Sandbox
from tests.airflow_versions import AIRFLOW
from tests.system.airflow_2 import Airflow2
from tests.system.conftest import EXAMPLES, HERE, connections
from tests.system.traces import masked_in, places_of, stored_triggers, written_below
from tests.system.until import until

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(400),
    pytest.mark.skipif(AIRFLOW >= (3, 0), reason="the tests beside it look at newer ones"),
]


@dataclass(frozen=True)
class Left:
    """How the runs ended, and what is left of them."""

    states: dict[str, str]
    pictures: int
    billed: int
    written: dict[str, bytes]
    keys: tuple[str, str]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    folder = tmp_path_factory.mktemp("airflow_2")
    dags, home = folder / "dags", folder / "airflow"
    destination = home / "pictures"
    dags.mkdir()
    home.mkdir()
    for source in (HERE / "dags" / "waiting.py", *EXAMPLES.glob("example_dreambooth_[gs]a*.py")):
        shutil.copy(source, dags)
    key, refused_key = (f"canary{secrets.token_hex(12)}" for _ in range(2))
    with Sandbox(key) as sandbox:
        with Airflow2(home, dags, connections(sandbox, refused_key)) as airflow:
            waiting = sandbox.add(prompt="a slow one", ready_in=inf)
            ids = [waiting, *(sandbox.add(replies=[fault]) for fault in ("http_500", "drop", "http_429"))]
            conf = {"request_ids": ids, "destination": destination.as_uri()}
            saved = airflow.trigger("example_dreambooth_save", conf)
            airflow.wait_for_task(saved, "wait_for_pictures", "deferred")
            until(lambda: sandbox.fetches(waiting) >= 2)  # the worker's look, and the trigger's
            triggers = stored_triggers(home, airflow.env["AIRFLOW__CORE__FERNET_KEY"])
            assert waiting in triggers
            airflow.processes.kill("triggerer")
            sandbox.finish(waiting)
            airflow.start("triggerer")
            runs = {"saved": saved}
            runs["refused"] = airflow.trigger(
                "patient", {"request_id": waiting, "conn_id": "dreambooth_refused"}
            )
            pictures = [{"prompt": "one"}, {"prompt": "two"}]
            conf = {"pictures": pictures, "destination": destination.as_uri()}
            runs["generated"] = airflow.trigger("example_dreambooth_gallery", conf)
            states = {name: airflow.wait_for_run(run_id) for name, run_id in runs.items()}
        written = {**written_below(home), "triggers": triggers.encode()}
        pictures = sum(name.endswith(".png") for name in written)
        return Left(states, pictures, sandbox.accepted(), written, (key, refused_key))


def test_it_waits_generates_and_saves(left):
    assert left.states == {"saved": "success", "generated": "success", "refused": "failed"}
    assert left.pictures == 4 + 2


def test_each_prompt_is_billed_once(left):
    assert left.billed == 2


def test_the_key_is_nowhere(left):
    assert [name for name in left.written if name.startswith("logs/dag_id=patient/")]
    for key in left.keys:
        assert places_of(key, left.written) == []


def test_nobody_relied_on_airflow_to_mask_it(left):
    assert masked_in(left.written) == []
