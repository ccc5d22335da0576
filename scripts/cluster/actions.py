# SPDX-License-Identifier: Apache-2.0
"""What people do to tasks that wait in the triggerer: mark them, clear them, limit them."""

from __future__ import annotations

from scripts.cluster.stage import NEVER, Stage, expect
from scripts.cluster.work import Work


def marked_failed(stage: Stage, work: Work) -> str:
    """A waiting task is marked as failed."""
    return _marked(stage, work, "failed")


def marked_success(stage: Stage, work: Work) -> str:
    """A waiting task is marked as success."""
    return _marked(stage, work, "success")


def cleared_wait(stage: Stage, work: Work) -> str:
    """A waiting sensor is cleared."""
    request_id, run = _wait(stage, "patient", "a cleared wait")
    stage.cluster.api.clear("patient", run, "wait")
    stage.until("its next try waits", lambda: _waits_in_try(stage, "patient", run, 2))
    stage.until("the first try's trigger is gone", lambda: stage.triggers().total() == 1)
    stage.finish([request_id])
    stage.until_over("patient", run)
    work.silent[request_id] = stage.until_silent(request_id)
    return "it waits anew, one trigger polls; done when the pictures were ready"


def cleared_generation(stage: Stage, work: Work) -> str:
    """A generation that waits is cleared."""
    prompt = "cleared"
    work.prompts[prompt] = 1
    run = stage.start("in_the_triggerer", prompt=prompt)
    stage.until_state("in_the_triggerer", run, "generate", "deferred")
    stage.cluster.api.clear("in_the_triggerer", run, "generate")
    stage.until_over("in_the_triggerer", run)
    log = stage.cluster.task_log("in_the_triggerer", run, "generate")
    expect("going on, in the log", "going on with it. Nothing is submitted or billed" in log, True)
    found = stage.cluster.api.xcom("in_the_triggerer", run, "generate")["request_id"]
    [submit] = stage.submits(prompt)
    expect("the request", found, submit["request_id"])
    return (
        f"try {stage.tries('in_the_triggerer', run, 'generate')} went on with the same request; billed once"
    )


def execution_timeout(stage: Stage, work: Work) -> str:
    """`execution_timeout` of 10 s passes while a task waits."""
    request_id, run = _wait(stage, "hasty", "a hasty wait")
    took = stage.until_over("hasty", run, expected="failed")
    work.failures.add(("hasty", run))
    work.silent[request_id] = stage.until_silent(request_id)
    log = stage.cluster.task_log("hasty", run, "wait")
    expect("DreamboothTimeout in the log", '"exc_type":"DreamboothTimeout"' in log, True)
    tries = stage.tries("hasty", run, "wait")
    expect("tries", tries, 1)
    return f"the wait ended {took:.0f} s later with `DreamboothTimeout`, in its first try of 7"


def _marked(stage: Stage, work: Work, state: str) -> str:
    request_id, run = _wait(stage, "patient", f"marked {state}")
    stage.cluster.api.mark("patient", run, "wait", state)
    stage.until_over("patient", run, expected=state)
    took = stage.until("its trigger is gone", lambda: not stage.triggers())
    work.silent[request_id] = stage.until_silent(request_id)
    if state == "failed":
        work.failures.add(("patient", run))
    return f"its trigger was gone {took:.0f} s later, and nobody polled any more"


def _wait(stage: Stage, dag_id: str, prompt: str) -> tuple[str, str]:
    request_id = stage.sandbox.add(prompt=prompt, ready_in=NEVER)
    run = stage.start(dag_id, request_id=request_id)
    stage.until_state(dag_id, run, "wait", "deferred")
    stage.until_asked_again([request_id])
    return request_id, run


def _waits_in_try(stage: Stage, dag_id: str, run_id: str, number: int) -> bool:
    return bool(stage.states(dag_id, run_id)["deferred"]) and stage.tries(dag_id, run_id, "wait") == number
