# SPDX-License-Identifier: Apache-2.0
"""The parameters of a generation: what each may be, checked before anything is sent.

A template gives text where Python has a number, so ``"512"`` and ``"false"`` are read as well. What is
None, or what a template made of None, is not sent: the service then takes its own default.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_dreambooth.api.request_ids import undo_rendering

Check = Callable[[str, object], Any]
"""Takes a parameter's name and value, gives the typed value.

:raises ValueError: naming the parameter, its value and what is accepted.
"""

SCHEDULERS = tuple(
    f"{name}Scheduler"
    for name in (
        "DDPM",
        "DDIM",
        "PNDM",
        "LMSDiscrete",
        "EulerDiscrete",
        "EulerAncestralDiscrete",
        "DPMSolverMultistep",
        "HeunDiscrete",
        "KDPM2Discrete",
        "DPMSolverSinglestep",
        "KDPM2AncestralDiscrete",
        "UniPCMultistep",
        "DDIMInverse",
        "DEISMultistep",
        "IPNDM",
        "KarrasVe",
        "ScoreSdeVe",
        "LCM",
    )
)
_MOST_TEXT = 100


def refuse(name: str, value: object, accepted: str) -> ValueError:
    """Make the error for a value that is not accepted."""
    try:
        shown = repr(value)
    except (ValueError, RecursionError):  # an integer of more digits than Python writes
        shown = f"<{type(value).__name__}>"
    if len(shown) > _MOST_TEXT:
        shown = f"{shown[:_MOST_TEXT]}…"
    return ValueError(f"{name} is {shown}; accepted is {accepted}")


def text(name: str, value: object) -> str:
    """Check a text that says something."""
    if not isinstance(value, str) or value.strip() in ("", "None"):
        raise refuse(name, value, "a text (None and '' come from a template that gave nothing)")
    return value


def any_text(name: str, value: object) -> str:
    """Check a text, which may be empty."""
    if not isinstance(value, str):
        raise refuse(name, value, "a text")
    return value


def link(name: str, value: object) -> str:
    """Check an address that the service can reach, as far as its text tells."""
    try:
        parts = urlsplit(text(name, value).strip())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise refuse(name, value, "an http(s) link that the service can open")
    return str(value).strip()


def secure_link(name: str, value: object) -> str:
    """Check an address that the service posts to."""
    if not link(name, value).startswith("https://"):
        raise refuse(name, value, "an https link")
    return str(value).strip()


def integer(low: int, high: int, multiple_of: int = 1) -> Check:
    """Check a whole number from ``low`` to ``high``."""
    accepted = f"a whole number from {low} to {high}"
    if multiple_of > 1:
        accepted += f" that {multiple_of} divides"

    def check(name: str, value: object) -> int:
        number = _number(value)
        if number is None or number != int(number) or not low <= number <= high or number % multiple_of:
            raise refuse(name, value, accepted)
        return int(number)

    return check


def number(low: float, high: float) -> Check:
    """Check a number from ``low`` to ``high``."""

    def check(name: str, value: object) -> float:
        found = _number(value)
        if found is None or not low <= found <= high:
            raise refuse(name, value, f"a number from {low:g} to {high:g}")
        return float(found)

    return check


def switch(name: str, value: object) -> bool:
    """Check a yes or no."""
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else value
    if word in ("yes", "true", "1", 1):
        return True
    if word in ("no", "false", "0", 0):
        return False
    raise refuse(name, value, "True or False")


def choice(*options: str) -> Check:
    """Check one of several words."""

    def check(name: str, value: object) -> str:
        if value not in options:
            raise refuse(name, value, f"one of {', '.join(options)}")
        return str(value)

    return check


def several(each: Check) -> Check:
    """Check a value, a list of values, or their text with commas between."""

    def check(name: str, value: object) -> tuple[Any, ...]:
        items = _listed(value)
        if items is None:
            raise refuse(name, value, "a value, a list of values, or their text with commas between")
        if not items:
            raise refuse(name, value, "at least one value")
        place = name if len(items) == 1 else name + "[{}]"
        return tuple(each(place.format(index), item) for index, item in enumerate(items))

    return check


def word(name: str, value: object) -> str:
    """Check one name of a model: commas separate several."""
    found = text(name, value).strip()
    if "," in found:
        raise refuse(name, value, "a name without commas")
    return found


def given(value: object) -> bool:
    """Tell whether a parameter was given, or is the None that a template made text of."""
    return value is not None and not (isinstance(value, str) and value.strip() in ("", "None"))


def _number(value: object) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str):
        for read in (int, float):  # a seed would be rounded as a float
            with suppress(ValueError):
                value = read(value)
                break
        else:
            return None
    return value if isinstance(value, int) or math.isfinite(value) else None


def _listed(value: object) -> list[object] | None:
    """Give the values in their order; None if it has no order."""
    value = undo_rendering(value)
    if isinstance(value, str):
        return list(value.split(","))
    if isinstance(value, (Mapping, AbstractSet, bytes)):
        return None
    return list(value) if isinstance(value, Iterable) else [value]
