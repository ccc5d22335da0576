# SPDX-License-Identifier: Apache-2.0
"""What goes into saving and what comes out of it, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pendulum

from airflow_provider_dreambooth.storage.provenance import Provenance

_UNKNOWN = Provenance()


@dataclass(frozen=True)
class Picture:
    """One output link of one request. ``url`` may be signed, so it is not in the repr."""

    request_id: str
    index: int
    url: str = field(repr=False)
    provenance: Provenance = _UNKNOWN


@dataclass(frozen=True)
class SavedPicture:
    """
    A whole picture at the destination.

    :param bytes: of the object.
    :param width: in pixels, as is ``height``.
    :param saved_at: when it was saved or last found whole: ISO 8601, UTC.
    :param blank: it shows nothing, or most likely so; else None.
    :param blocked: it is one of those that the user lists; else None.
    :param same_bytes_as: ``request_id`` and ``index`` of up to ten others of this task with these bytes.
    :param thumbnail: a ``data:`` URL of a small copy, if one was asked for.
    :param model: as ``seed`` and ``prompt`` None if not known.
    :param nsfw_content_detected: by the service; None if it did not say.
    """

    request_id: str
    index: int
    source_url: str
    uri: str
    bytes: int
    sha256: str
    content_type: str
    width: int
    height: int
    saved_at: str = field(compare=False)
    model: str | None = None
    seed: int | None = None
    prompt: str | None = field(default=None, repr=False)
    nsfw_content_detected: bool | None = None
    blank: bool | None = None
    blocked: bool | None = None
    same_bytes_as: tuple[Mapping[str, Any], ...] | None = field(default=None, compare=False)
    thumbnail: str | None = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Make JSON primitives of it: an entry of the manifest, with what is known, without the thumbnail."""
        known = {name: value for name, value in asdict(self).items() if value is not None}
        known.pop("thumbnail", None)
        if self.same_bytes_as:
            known["same_bytes_as"] = list(self.same_bytes_as)
        return known


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


def utc_now() -> str:
    """Tell the time as ISO 8601, in UTC, always with as many digits: such times sort as text."""
    return pendulum.now("UTC").format("YYYY-MM-DDTHH:mm:ss.SSSSSS[Z]")
