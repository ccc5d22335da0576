# SPDX-License-Identifier: Apache-2.0
"""What must hold at the end, whatever has happened: each check says what it found."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.cluster.stage import Stage, expect
from scripts.cluster.work import Work

OVER = ("success", "failed")
FIRED, STARTED = "fired event", "Worker startup parse complete"


def no_task_is_stuck(stage: Stage, work: Work) -> str:
    """No task is stuck, none failed that should not"""
    rows = stage.cluster.rows("select dag_id, run_id, state from task_instance")
    stuck = [row for row in rows if row[2] not in OVER]
    expect("tasks that are not over", stuck, [])
    failed = {(dag_id, run_id) for dag_id, run_id, state in rows if state == "failed"}
    expect("runs with failed tasks", failed, work.failures)
    expect("triggers that are left", stage.triggers().total(), 0)
    return f"{len(rows)} tasks, {len(failed)} of which failed, as they should; no trigger is left"


def every_picture_once(stage: Stage, work: Work) -> str:
    """Every picture is there once, whole"""
    generated = [each["request_id"] for prompt in work.generated for each in stage.submits(prompt)]
    expected = {"listed": work.listed, "mapped": work.mapped, "generated": generated}
    for folder, request_ids in expected.items():
        expect(f"damage in {folder}", damaged(pictures_in(stage, folder), request_ids), [])
    count = sum(map(len, expected.values()))
    return f"{count} pictures, each once, with the digest that its manifest says; nothing beside them"


def billed_as_expected(stage: Stage, work: Work) -> str:
    """Each submit that could be known was billed once"""
    found = Counter(each["body"]["prompt"] for each in stage.sandbox.submits() if each["request_id"])
    expect("billed submits by prompt", dict(found), work.prompts)
    accepted = stage.sandbox.billed()
    expect("the billing counter", accepted, sum(work.prompts.values()))
    return f"the counter says {accepted}, for {len(work.prompts)} prompts"


def no_event_twice(stage: Stage, work: Work) -> str:
    """No event, XCom or asset event is doubled or missing"""
    # How many instances, and how often each starts on a worker: to look, and unless it ends in the triggerer
    # once more, to go on.
    waits = {
        ("listed", "wait"): (1, 2),
        ("mapped", "save"): (len(work.chunks), 2),
        ("ended", "wait"): (len(work.ended), 1),
    }
    for (dag_id, task_id), (count, starts) in waits.items():
        folder = stage.cluster.home / "logs" / f"dag_id={dag_id}" / f"run_id={work.runs[dag_id]}"
        logs = list(_logs(folder / f"task_id={task_id}"))
        expect(f"logs of {dag_id}.{task_id}", len(logs), count)
        expect(f"starts of {dag_id}.{task_id}", {log.count(STARTED) for log in logs}, {starts})
        # Airflow's triggerer loses the last lines of a busy moment: one that is missing says nothing.
        expect(f"{dag_id}.{task_id} with two events", sum(log.count(FIRED) > 1 for log in logs), 0)
    results = stage.cluster.api.xcom("listed", work.runs["listed"], "wait")
    expect("results of the list", [each["request_id"] for each in results], work.listed)
    query = """
        select count(*), count(distinct (dag_id, run_id, task_id, map_index)) from xcom
        where key = 'return_value' and dag_id in ('mapped', 'ended') and task_id <> 'given'
    """
    count, distinct = stage.cluster.rows(query)[0]
    expect("XComs of mapped tasks", (count, distinct), (work.waits - 1, work.waits - 1))
    [[assets]] = stage.cluster.rows("select count(*) from asset_event")
    expect("asset events", assets, 1)
    return f"each of the {work.waits} waits of the beginning went on once, and has one result"


def nobody_polls_in_vain(stage: Stage, work: Work) -> str:
    """What nobody waits for is not polled"""
    found = {each: stage.fetches(each) for each in work.silent}
    expect("looks", found, work.silent)
    return f"{len(found)} requests whose waits were broken off were not looked at again"


def no_key_anywhere(stage: Stage, _: Work | None) -> str:
    """No key is in a log or a table"""
    written = {f"table {name}": content for name, content in stage.cluster.dump().items()}
    written["Redis"] = stage.cluster.redis.dump()
    service = stage.folder / "sandbox"  # it is told its key
    paths = [path for path in stage.folder.rglob("*") if path.is_file() and service not in path.parents]
    written |= {str(path): path.read_bytes() for path in paths}
    traces = [form for key in stage.keys for form in forms(key)]
    found = [name for name, content in written.items() if any(form in content for form in traces)]
    expect("places with a key", found, [])
    size = sum(map(len, written.values())) / 1e6
    return f"{len(stage.keys)} keys, {len(written)} files and tables of {size:.0f} MB"


CHECKS = (
    no_task_is_stuck,
    every_picture_once,
    billed_as_expected,
    no_event_twice,
    nobody_polls_in_vain,
    no_key_anywhere,
)


def _logs(folder: Path) -> Iterator[str]:
    """The log of each instance of a task, of all its tries, on workers and in triggerers."""
    mapped = [path for path in folder.iterdir() if path.is_dir()]
    for path in mapped or [folder]:
        yield "".join(log.read_text(errors="replace") for log in path.glob("attempt=*.log*"))


def pictures_in(stage: Stage, folder: str) -> dict[str, bytes]:
    """Everything in a folder of pictures, on disk or in the bucket."""
    prefix, local = f"{folder}/", stage.folder / "pictures" / folder
    if local.is_dir():
        paths = [path for path in local.rglob("*") if path.is_file()]
        return {str(path.relative_to(local)): path.read_bytes() for path in paths}
    return {name.removeprefix(prefix): stage.bucket.read(name) for name in stage.bucket.objects(prefix)}


def damaged(files: dict[str, bytes], request_ids: list[str]) -> list[str]:
    """What is wrong with a folder that is to hold one picture of each request, and its manifest."""
    if "manifest.json" not in files:
        return ["there is no manifest"]
    manifest = json.loads(files["manifest.json"])
    entries: list[dict[str, Any]] = manifest["pictures"]
    named = {Path(each["uri"]).name: each for each in entries}
    found = Counter(str(each["request_id"]) for each in entries)
    wrong = [f"request {each}: {found[each]} times" for each in {*found, *request_ids} if found[each] != 1]
    wrong += [f"request {each} is a stranger" for each in found.keys() - set(request_ids)]
    wrong += [f"{name} is missing" for name in named.keys() - files.keys()]
    wrong += [f"{name} is left over" for name in files.keys() - {*named, *manifest["parts"], "manifest.json"}]
    wrong += [
        f"{name} has another digest"
        for name, entry in named.items()
        if name in files and hashlib.sha256(files[name]).hexdigest() != entry["sha256"]
    ]
    return wrong


def forms(key: str) -> list[bytes]:
    """The key as it is, and as base64 shows it in whichever place of a longer text it stands."""
    inner = [b64encode(b"\0" * shift + key.encode())[4 if shift else 0 : -4] for shift in range(3)]
    return [key.encode(), *inner]
