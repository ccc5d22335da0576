# SPDX-License-Identifier: Apache-2.0
"""How faults are asked for, and in which order they come.

A fault is asked for by its name (``"http_500"``), with its argument (``"delay:0.5"``), several times over
(``"processing*3"``), for ever (``"http_401*"``), or as a dict:
``{"fault": "http_429", "retry_after": 2, "times": 3}``. A dict without ``fault`` is an answer of one's own:
``{"http": 418, "body": "short and stout", "headers": {...}}``.
"""

from __future__ import annotations

import difflib
import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_dreambooth.sandbox.faults import FAULTS, PICTURE_FAULTS, Fault

Spec = str | Mapping[str, Any] | None


@dataclass(frozen=True)
class Plan:
    """One fault with its options, ready to be sent. ``value`` is its argument, ``delay`` is in seconds."""

    fault: Fault
    value: Any = None
    http: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    delay: float = 0.0


class Script:
    """The faults to come, in order: each :meth:`next` uses one up.

    :param specs: see the module; one alone need not be in a list.
    :param times: how often a fault happens that does not say so itself; None for ever.
    :raises ValueError: for an unknown fault or option, or a value of the wrong type.
    """

    def __init__(
        self,
        specs: Spec | Iterable[Spec] = (),
        table: Mapping[str, Fault] = FAULTS,
        *,
        times: int | None = 1,
    ) -> None:
        self._table = table
        self._times = times
        self._steps: deque[tuple[Plan, int | None]] = deque()
        self.extend(specs)

    def extend(self, specs: Spec | Iterable[Spec]) -> None:
        """Append faults; if one of them cannot be read, none is appended and ValueError raised."""
        several = (specs,) if specs is None or isinstance(specs, str | Mapping) else specs
        self._steps.extend([read(spec, self._table, self._times) for spec in several])

    def peek(self) -> Plan | None:
        """The fault that comes next, without using it up."""
        return self._steps[0][0] if self._steps else None

    def next(self) -> Plan | None:
        """The next fault, None when the script is used up."""
        if not self._steps:
            return None
        plan, times = self._steps[0]
        if times is not None:
            self._steps.popleft()
            if times > 1:
                self._steps.appendleft((plan, times - 1))
        return plan


def read(spec: Spec, table: Mapping[str, Fault] = FAULTS, times: int | None = 1) -> tuple[Plan, int | None]:
    """One spec as a plan, and how often it is to happen (None: for ever; ``times`` if it does not say).

    :raises ValueError: for an unknown fault, an unknown option or a value of the wrong type.
    """
    options = _options(spec, table)
    name = options.pop("fault", "raw")
    fault = _fault(name, table)
    times = options.pop("times", times)
    if times is not None and (not isinstance(times, int) or times < 1):
        raise ValueError(f"times of {name!r} is a count from 1, or None for ever, not {times!r}.")
    value = _value(fault, options)
    body = fault.body(value) if callable(fault.body) and fault.manner == "reply" else fault.body
    plan = Plan(
        fault,
        value,
        http=int(options.pop("http", fault.http)),
        headers={key: text.format(value) for key, text in fault.headers.items()} | options.pop("headers", {}),
        body=options.pop("body", body),
        delay=float(options.pop("delay", 0.0)),
    )
    if options:
        raise ValueError(f"Fault {name!r} has no option {', '.join(sorted(options))}.")
    return plan, times


def _fault(name: object, table: Mapping[str, Fault]) -> Fault:
    if not isinstance(name, str) or name not in table:
        near = difflib.get_close_matches(str(name), table, n=3) or sorted(table)
        raise ValueError(f"No fault is named {name!r}; there is {', '.join(near)}.")
    return table[name]


def _options(spec: Spec, table: Mapping[str, Fault]) -> dict[str, Any]:
    """The spec as a dict of options, whichever form it was written in."""
    if spec is None:
        return {"fault": "ok"}
    if not isinstance(spec, str):
        return dict(spec)
    options: dict[str, Any] = {}
    repeated = re.fullmatch(r"(.*)\*(\d*)", spec, re.DOTALL)
    if repeated:
        spec = repeated[1]
        options["times"] = int(repeated[2]) if repeated[2] else None
    options["fault"], colon, argument = spec.partition(":")
    if colon:
        fault = _fault(options["fault"], table)
        if fault.argument is None:
            raise ValueError(f"Fault {fault.name!r} takes no argument.")
        options[fault.argument[0]] = argument
    return options


def _value(fault: Fault, options: dict[str, Any]) -> Any:
    if fault.argument is None:
        return None
    option, default = fault.argument
    given = options.pop(option, default)
    if isinstance(default, str):
        return str(given)
    try:
        number = float(given)
    except (TypeError, ValueError) as err:
        raise ValueError(f"Option {option} of fault {fault.name!r} is a number, not {given!r}.") from err
    return int(number) if number.is_integer() else number


def picture_scripts(specs: Spec | Iterable[Any]) -> tuple[tuple[Script, ...], tuple[str, ...]]:
    """The faults of a request's pictures, and the suffixes of the links ("" for the true one).

    :param specs: one entry a picture. A fault alone stays for every request to that picture; a list of faults
        is used up one by one, then the picture comes. None is no fault.
    :raises ValueError: as :class:`Script`.
    """
    entries = (specs,) if specs is None or isinstance(specs, str | Mapping) else tuple(specs)
    scripts = []
    for entry in entries:
        times = 1 if isinstance(entry, list | tuple) else None
        scripts.append(Script(entry, PICTURE_FAULTS, times=times))
    firsts = [script.peek() for script in scripts]
    suffixes = [plan.value if plan and plan.fault.name == "wrong_suffix" else "" for plan in firsts]
    return tuple(scripts), tuple(suffixes)
