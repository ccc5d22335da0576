# SPDX-License-Identifier: Apache-2.0
"""What happens to the cluster while workers submit, look and save: each fault says how it went."""

from __future__ import annotations

from scripts.cluster.stage import NEVER, Stage, expect
from scripts.cluster.work import Work

PARALLEL = 8  # downloads at a time, in dags/cluster.py
REFUSALS = ["http_429:1", "queue_full_2025:2", "queue_full_2025:7", "http_429:2"]


def killed_saving(stage: Stage, work: Work) -> str:
    """`kill -9` of the worker that saves the list, in the middle of a picture."""
    stage.finish(work.listed)
    run = work.runs["listed"]
    stage.until("the slow picture is asked for", lambda: _picture_requests(stage, work.slow) > 0, 240)
    there = len(stage.bucket.objects("listed/"))
    name = stage.kill_worker_of("listed", run, "save")
    stage.until_over("listed", run, seconds=300)
    tries = stage.tries("listed", run, "save")
    twice = sum(_picture_requests(stage, each) > 1 for each in work.listed)
    expect("whether more was loaded twice than was under way", twice > PARALLEL, False)
    return f"{name} died with {there} pictures saved; try {tries} loaded the rest, and {twice} anew"


def killed_scheduler(stage: Stage, work: Work) -> str:
    """`kill -9` of the scheduler while all mapped tasks resume; it is started again."""
    stage.finish([*work.mapped, *work.ended])
    run = work.runs["mapped"]
    done = max(1, len(work.chunks) // 5)
    stage.until_state("mapped", run, "save", "success", done)
    stage.cluster.kill("scheduler")
    before = stage.states("mapped", run, "save")["success"]
    stage.cluster.start("scheduler")
    stage.until_over("mapped", run, seconds=400)
    stage.until_over("ended", work.runs["ended"])
    return f"it died with {before} of {len(work.chunks)} mapped tasks done; all were done afterwards"


def refused_submits(stage: Stage, work: Work) -> str:
    """The service refuses submits for load."""
    stage.sandbox.script("submit", REFUSALS)
    work.prompts |= dict.fromkeys(work.generated, 1)
    work.runs["generated"] = stage.start(
        "generated", given=work.generated, destination="s3://pictures/generated"
    )
    stage.until_over("generated", work.runs["generated"], seconds=300)
    return f"{len(work.generated)} submits, {len(REFUSALS)} refusals; each was billed once"


def killed_submitting(stage: Stage, work: Work) -> str:
    """`kill -9` of a worker whose submit was accepted and not yet answered."""
    prompt = "killed at submit"
    work.prompts[prompt] = 1
    stage.sandbox.script("submit", ["billed_then_hang"])
    run = stage.start("on_the_worker", prompt=prompt)
    stage.until("the submit is accepted", lambda: len(stage.submits(prompt)) == 1)
    stage.kill_worker_of("on_the_worker", run, "generate")
    stage.until_over("on_the_worker", run, expected="failed")
    work.failures.add(("on_the_worker", run))
    expect("submits", len(stage.submits(prompt)), 1)
    tries = stage.tries("on_the_worker", run, "generate")
    log = stage.cluster.task_log("on_the_worker", run, "generate")
    expect("DreamboothSubmitUnknown in the log", '"exc_type":"DreamboothSubmitUnknown"' in log, True)
    return f"try {tries} does not submit again and says that it may have been billed; billed once"


def killed_waiting(stage: Stage, work: Work) -> str:
    """`kill -9` of a worker that waits for what it submitted."""
    prompt = "killed while it waits"
    work.prompts[prompt] = 1
    run = stage.start("on_the_worker", prompt=prompt)
    stage.until("the submit is accepted", lambda: len(stage.submits(prompt)) == 1)
    request_id = stage.submits(prompt)[0]["request_id"]
    stage.until("it is looked at", lambda: stage.fetches(request_id) > 0)
    stage.kill_worker_of("on_the_worker", run, "generate")
    stage.until_over("on_the_worker", run)
    found = stage.cluster.api.xcom("on_the_worker", run, "generate")["request_id"]
    expect("the request that was waited for", found, request_id)
    tries = stage.tries("on_the_worker", run, "generate")
    return f"try {tries} went on with the same request; billed once"


def killed_looking(stage: Stage, _: Work) -> str:
    """`kill -9` of a worker at a sensor's first look."""
    request_id = stage.sandbox.add(prompt="killed at first look", ready_in=NEVER, replies=["hang"])
    run = stage.start("patient", request_id=request_id)
    stage.until("it is looked at", lambda: stage.fetches(request_id) > 0)
    stage.kill_worker_of("patient", run, "wait")
    stage.finish([request_id])
    stage.until_over("patient", run)
    return f"try {stage.tries('patient', run, 'wait')} found it ready"


def _picture_requests(stage: Stage, request_id: str) -> int:
    return sum(stage.sandbox.told(request_id)["picture_requests"])
