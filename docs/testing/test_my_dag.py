# SPDX-License-Identifier: Apache-2.0
"""What the guide on the sandbox shows of tests; the project's own tests run it as a user does."""

from __future__ import annotations

from dags.my_dag import my_dag, my_generating_dag


# [START sandbox_test]
def test_my_dag(dreambooth_sandbox):
    request_id = dreambooth_sandbox.add(prompt="a red fox", replies=["processing", "http_503"])
    run = my_dag.test(run_conf={"request_id": request_id})
    assert run.state == "success"
    assert dreambooth_sandbox.fetches(request_id) == 3


# [END sandbox_test]


# [START sandbox_lost_answer]
def test_an_answer_that_is_lost(dreambooth_sandbox):
    dreambooth_sandbox.script("submit", [{"fault": "billed_then_500", "http": 502}])
    run = my_generating_dag.test()
    assert run.state == "failed"  # it says so, and does not pay twice
    assert dreambooth_sandbox.accepted() == 1
    assert dreambooth_sandbox.submits[0].body["width"] == "512"


# [END sandbox_lost_answer]


def test_settings_of_ones_own():
    # [START sandbox_class]
    from airflow_provider_dreambooth.sandbox import Sandbox

    with Sandbox(key="sandbox-key", max_parallel=2, run_time=1.0, eta_error=0.5) as sandbox:
        print(sandbox.url)  # the host of the connection; sandbox.connection_json is the whole of it
        request_id = sandbox.add(prompt="a red fox", samples=2, ready_in=3.0)
    # [END sandbox_class]
    assert sandbox.fetches(request_id) == 0
    # [START sandbox_faults]
    sandbox.add(
        replies=[
            "processing*2",
            "http_429:7",  # Retry-After: 7
            {"fault": "queue_full_2025", "retry_after": 3, "http": 429},
            {"fault": "http_500", "delay": 0.5, "times": 2},  # each half a second late
            {"http": 418, "body": "short and stout", "headers": {"X-Tea": "yes"}},  # an answer of your own
        ],
        picture_faults=["late:3"],
    )
    # [END sandbox_faults]
