# SPDX-License-Identifier: Apache-2.0
"""Pictures decoded by Pillow, for those who ask: it proves more than their structure, and takes its time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_dreambooth.exceptions import DreamboothInputError
from airflow_provider_dreambooth.storage.pictures import Incomplete, NotAPicture, PictureInfo, examine

if TYPE_CHECKING:
    from PIL import Image


_COMPRESSION = 8
"""Levels by which a single colour may differ after it was compressed."""
_MOST_PIXELS = 2_000_000_000
"""Of all frames together: an animation of a few kB can hold hours of work."""
_LARGE = 4_000_000
"""Pixels from which on pictures take turns, whatever the number of threads."""
_turn = threading.Lock()
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")


def require_pillow(parameter: str) -> None:
    """
    Check that Pillow is there.

    :param parameter: what needs it.
    :raises DreamboothInputError: if it is not. Nothing was sent.
    """
    if find_spec("PIL") is None:
        raise DreamboothInputError(
            f"{parameter} needs Pillow: pip install 'airflow-provider-dreambooth[pictures]'. "
            f"Nothing was sent."
        )


def examine_decoded(path: Path) -> PictureInfo:
    """
    Tell what a file is after every frame of it was decoded; it is blank if each is of one colour.

    A frame at a time is in memory: up to 4 bytes a pixel.

    :raises Incomplete: if it is not whole, or cannot be decoded.
    :raises NotAPicture: if it is of another kind, or so large that to decode it might take down the worker.
    """
    from PIL import Image

    info = examine(path)
    if too_large(info.width * info.height):
        raise _too_large(f"{info.width} × {info.height} pixels")
    try:
        with taking_turns(info.width * info.height), Image.open(path, formats=_FORMATS) as picture:
            return replace(info, blank=_decode(picture))
    except NotAPicture:
        raise
    except Exception as error:  # noqa: BLE001 - each decoder has its own: SyntaxError, struct.error …
        raise Incomplete(f"it is whole by its structure, but cannot be decoded: {error}") from None


def _decode(picture: Image.Image) -> bool:
    from PIL import ImageSequence

    blank, pixels = True, 0
    for frame in ImageSequence.Iterator(picture):
        pixels += frame.width * frame.height
        if pixels > _MOST_PIXELS:
            raise _too_large(f"more than {_MOST_PIXELS:,} pixels in its frames")
        frame.load()
        blank = blank and _is_blank(frame)
    return blank


@contextmanager
def taking_turns(pixels: int) -> Iterator[None]:
    """Let one large picture be decoded at a time: each pixel takes 4 bytes of memory."""
    with _turn if pixels > _LARGE else nullcontext():
        yield


def too_large(pixels: int) -> bool:
    """Tell whether Pillow takes a picture of so many pixels for an attack."""
    from PIL import Image

    return Image.MAX_IMAGE_PIXELS is not None and pixels > Image.MAX_IMAGE_PIXELS


def _too_large(what: str) -> NotAPicture:
    return NotAPicture(f"it is not decoded, as it is too large for that: {what}", final=True)


def _is_blank(frame: Image.Image) -> bool:
    if "transparency" in frame.info or frame.mode in ("P", "PA"):
        frame = frame.convert("RGBA")
    extrema = frame.getextrema()
    bands = extrema if isinstance(extrema[0], tuple) else (extrema,)
    unseen = frame.mode in ("RGBA", "LA") and bands[-1] == (0, 0)
    return unseen or all(high - low <= _COMPRESSION for low, high in bands)
