# SPDX-License-Identifier: Apache-2.0
"""What the tests of the operators that generate share: the modes, a service, and tasks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from airflow_provider_dreambooth.operators import dreambooth as operators
from tests.client.wire import Wire
from tests.modes.task_runner import Ended, StateStore, run_task

KEY = "canary-KEY-0123456789"
LINK = "https://pictures.example/a.png"
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "text": (operators.DreamboothTextToImageOperator, {}),
    "picture": (operators.DreamboothImageToImageOperator, {"init_image": LINK}),
    "mask": (operators.DreamboothInpaintOperator, {"init_image": LINK, "mask_image": LINK}),
}


@dataclass(frozen=True)
class Mode:
    """How a task waits, and whether its Airflow has a task state store (from 3.3 on)."""

    deferrable: bool
    store: bool


MODES = {
    "worker": Mode(deferrable=False, store=True),
    "deferrable": Mode(deferrable=True, store=True),
    "worker before 3.3": Mode(deferrable=False, store=False),
    "deferrable before 3.3": Mode(deferrable=True, store=False),
}


def generate(mode: Mode, kind: str = "text", **options: Any) -> Callable[[], Any]:
    """Make the task anew at each call, as Airflow does in each of its processes."""
    cls, needed = KINDS[kind]
    settings = {
        "task_id": "wait",
        "model_id": "midjourney",
        "prompt": "a fox",
        "wait_for_completion": True,
        "deferrable": mode.deferrable,
        "poke_interval": 0.1,
        "timeout": 60,
    }
    return lambda: cls(**{**settings, **needed, **options})


def submits_of(wire: Wire) -> int:
    """Count what such a server was sent that may bill."""
    return sum(b"/fetch HTTP" not in request for request in wire.received)


class History:
    """One task instance over its tries, retries and clears; the store outlives them all, XCom does not."""

    def __init__(self, mode: Any) -> None:
        self.mode = mode
        self.store = StateStore()
        self.tries = self.max_tries = 0

    def run(self, **options: Any) -> Ended:
        """Make the next try, of itself."""
        self.tries += 1
        return run_task(
            generate(self.mode, **options),
            state_store=self.store,
            try_number=self.tries,
            max_tries=self.max_tries,
        )

    def clear(self) -> None:
        """Let the next try be one after a clear: Airflow then raises the number of tries allowed."""
        self.max_tries = self.tries


def error(ended: Ended, cls: type[BaseException]) -> str:
    assert type(ended.error) is cls, ended.error
    return str(ended.error)


def said(task_log) -> str:
    written = task_log()
    assert KEY not in written
    return written
