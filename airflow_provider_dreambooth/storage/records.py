# SPDX-License-Identifier: Apache-2.0
"""What goes into saving and what comes out of it, as data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Picture:
    """One output link of one request. ``url`` may be signed, so it is not in the repr."""

    request_id: str
    index: int
    url: str = field(repr=False)


@dataclass(frozen=True)
class SavedPicture:
    """A whole picture at the destination; ``width`` and ``height`` in pixels."""

    request_id: str
    index: int
    source_url: str
    uri: str
    bytes: int
    sha256: str
    content_type: str
    width: int
    height: int

    def to_dict(self) -> dict[str, Any]:
        """Make JSON primitives of it: an entry of the manifest."""
        return asdict(self)


@dataclass(frozen=True)
class PictureFailure:
    """A picture that is not at the destination. ``final``: a retry of the task would fail the same way."""

    request_id: str
    index: int
    source_url: str
    reason: str
    final: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Make JSON primitives of it, for XCom."""
        return asdict(self)


@dataclass(frozen=True)
class SaveReport:
    """What became of the pictures, each group in the order in which they were given."""

    saved: tuple[SavedPicture, ...]
    failed: tuple[PictureFailure, ...]
