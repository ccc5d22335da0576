# SPDX-License-Identifier: Apache-2.0
"""The work that goes on while the cluster is mistreated: waits for many requests, and their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from scripts.cluster.stage import Stage

CHUNK = 5  # requests a mapped task: a hundred tasks for 500, or two cores would be busy with tasks alone
SLOW = 3600  # seconds that a picture takes, of which the first request is broken off with its worker


@dataclass
class Work:
    """
    Requests, the runs that wait for them, and what these have done so far.

    :param slow: one of the list, whose picture takes long.
    :param listed: ids, one task waits for all of them and one saves all pictures.
    :param mapped: ids, as many as ``listed``; each task waits for some and saves them.
    :param ended: ids, a task each, which ends in the triggerer.
    :param generated: prompts.
    :param runs: the run of each DAG.
    :param prompts: how often each prompt is to be billed.
    :param silent: requests that nobody waits for any more, with the number of looks so far.
    :param failures: runs, as DAG and id, that are to fail.
    """

    slow: str
    listed: list[str]
    mapped: list[str]
    ended: list[str]
    generated: list[str]
    runs: dict[str, str] = field(default_factory=dict)
    prompts: dict[str, int] = field(default_factory=dict)
    silent: dict[str, int] = field(default_factory=dict)
    failures: set[tuple[str, str]] = field(default_factory=set)

    @property
    def chunks(self) -> list[list[str]]:
        """What each mapped task waits for."""
        return [self.mapped[begin : begin + CHUNK] for begin in range(0, len(self.mapped), CHUNK)]

    @property
    def sample(self) -> list[str]:
        """Requests by which one sees whether the waits go on."""
        return [*_spread(self.listed, 5), *_spread(self.mapped, 10), *_spread(self.ended, 3)]

    @property
    def waits(self) -> int:
        """How many tasks wait in the triggerers."""
        return 1 + len(self.chunks) + len(self.ended)


def prepare(stage: Stage, count: int) -> Work:
    """Queue the requests; the pictures of one of the list are slow when first asked for."""
    [slow] = stage.add(1, picture_faults=[[f"delay:{SLOW}"]])
    listed = stage.add(count - 1)
    return Work(
        slow=slow,
        listed=[*listed[: count // 2], slow, *listed[count // 2 :]],
        mapped=stage.add(count),
        ended=stage.add(min(20, count)),
        generated=[f"prompt {number}" for number in range(min(20, count))],
    )


def begin(stage: Stage, work: Work) -> str:
    """Start the runs that wait, and see them wait."""
    mapped = (stage.folder / "pictures" / "mapped").as_uri()
    work.runs["mapped"] = stage.start("mapped", given=work.chunks, destination=mapped)
    work.runs["ended"] = stage.start("ended", given=work.ended)
    work.runs["listed"] = stage.start("listed", given=work.listed, destination="s3://pictures/listed")
    tasks = {"mapped": ("save", len(work.chunks)), "ended": ("wait", len(work.ended)), "listed": ("wait", 1)}
    for dag_id, (task_id, count) in tasks.items():
        stage.until_state(dag_id, work.runs[dag_id], task_id, "deferred", count, seconds=400)
    return f"{work.waits} tasks wait in two triggerers for {len(work.listed) + len(work.mapped)} requests"


def _spread(ids: Sequence[str], count: int) -> list[str]:
    return list(ids[:: max(1, len(ids) // count)])[:count]
