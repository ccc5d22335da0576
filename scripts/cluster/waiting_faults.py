# SPDX-License-Identifier: Apache-2.0
"""What happens to the cluster while everything waits in the triggerers: each fault says how it went."""

from __future__ import annotations

import math
import signal
import time
from collections import Counter

from scripts.cluster.stage import Stage, expect
from scripts.cluster.work import Work
from scripts.local_cluster import TRIGGERERS

BAD_REPLIES = {"http_429": 3, "http_500": 30, "server_error": 20, "hang": 15, "drop": 30}  # of 1000 requests


def bad_service(stage: Stage, work: Work) -> str:
    """The service answers 429 and 500, is silent, hangs up."""
    began = time.time()
    share = min(1, len(work.listed) / 500)
    wanted = {name: math.ceil(count * share) for name, count in BAD_REPLIES.items()}
    replies = [f"{name}*{count}" for name, count in wanted.items()]
    stage.sandbox.script("fetch", replies)
    seen: Counter[str] = Counter()

    def all_played() -> bool:
        journal = stage.sandbox.journal()
        seen.clear()
        seen.update(each["answered_as"] for each in journal if each["time"] >= began)
        return all(seen[name] >= count for name, count in wanted.items())

    stage.until("every bad reply was given", all_played)
    stage.until_asked_again(work.sample)
    _all_wait(stage, work)
    told = ", ".join(f"{count} × {name}" for name, count in wanted.items())
    return f"{told}; every wait goes on, none failed"


def killed_triggerer(stage: Stage, work: Work) -> str:
    """`kill -9` of the triggerer that has most triggers."""
    victim, held = _busiest(stage)
    stage.cluster.kill(victim)
    took = stage.until("others have its triggers", lambda: stage.triggers().keys() == {_other(victim)})
    asked = stage.until_asked_again(work.sample)
    stage.cluster.start(victim)
    stage.until("it is back", lambda: not stage.cluster.missing())
    _all_wait(stage, work)
    return f"{held} triggers moved to the other within {took:.0f} s; each was polled {asked:.0f} s later"


def frozen_triggerer(stage: Stage, work: Work) -> str:
    """`SIGSTOP` of the other triggerer; `SIGCONT` when its triggers have moved."""
    victim, held = _busiest(stage)
    stage.cluster.processes.signal(victim, signal.SIGSTOP)
    took = stage.until("others have its triggers", lambda: stage.triggers().keys() == {_other(victim)})
    stage.cluster.processes.signal(victim, signal.SIGCONT)
    stage.cluster.expect_news(victim)
    stage.until("it is back", lambda: not stage.cluster.missing())
    asked = stage.until_asked_again(work.sample)
    _all_wait(stage, work)
    return (
        f"{held} triggers moved within {took:.0f} s; the thawed one let go of them, "
        f"each was polled by the other {asked:.0f} s later"
    )


def rotated_key(stage: Stage, work: Work) -> str:
    """The API key is changed in the connection, then refused by the service in its old form."""
    began = time.time()
    stage.rotate_key()
    asked = stage.until_asked_again(work.sample)
    journal = [each for each in stage.sandbox.journal() if each["time"] >= began]
    refused = sum(each["answered_as"] == "invalid_key" for each in journal)
    accepted = sum(bool(each["key_ok"]) for each in journal)
    expect("whether polls go on with the new key", accepted > 0, True)
    _all_wait(stage, work)
    return f"{refused} polls were refused, then all had the new key, within {asked:.0f} s; no task noticed"


def restarted_postgres(stage: Stage, work: Work) -> str:
    """PostgreSQL is restarted (`pg_ctl restart -m fast`)."""
    before = stage.cluster.restarted.copy()
    stage.cluster.postgres.restart()
    stage.cluster.expect_news()
    ended: list[str] = []

    def back() -> bool:
        ended[:] = sorted(stage.cluster.restarted - before)
        return not stage.cluster.missing()

    took = stage.until("the cluster is well", back)
    stage.until("the triggers are in good hands", lambda: not stage.triggers()[""])
    asked = stage.until_asked_again(work.sample)
    stage.until("the cluster is well", back)
    _all_wait(stage, work)
    names = f"{', '.join(ended)} ended and were started again" if ended else "no component ended"
    return f"{names}; well after {took:.0f} s, each wait was polled {asked:.0f} s later"


def _busiest(stage: Stage) -> tuple[str, int]:
    name, count = stage.triggers().most_common(1)[0]
    expect("the busiest triggerer", name in TRIGGERERS, True)
    return name, count


def _other(name: str) -> str:
    [other] = set(TRIGGERERS) - {name}
    return other


def _all_wait(stage: Stage, work: Work) -> None:
    """:raises Unexpected: if a wait ended, or is done by two."""
    expect("triggers", stage.triggers().total(), work.waits)
    query = "select count(*) from task_instance where state = 'deferred' and try_number = 1"
    expect("tasks that wait in their first try", stage.cluster.rows(query)[0][0], work.waits)
