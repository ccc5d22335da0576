# SPDX-License-Identifier: Apache-2.0
"""Pictures decoded by Pillow, for those who ask: it proves more than their structure, and takes its time."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from airflow_provider_dreambooth.exceptions import DreamboothInputError
from airflow_provider_dreambooth.storage.pictures import Incomplete, NotAPicture, PictureInfo, examine


_COMPRESSION = 4
"""Levels of 256 by which a single colour may differ after it was compressed."""


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

    A frame at a time is in memory: up to 8 bytes a pixel.

    :raises Incomplete: if it is not whole, or cannot be decoded.
    :raises NotAPicture: if it is of another kind, or so large that Pillow takes it for an attack.
    """
    return replace(examine(path), blank=_decode(path))


def _decode(path: Path) -> bool:
    from PIL import Image, ImageSequence

    blank = True
    try:
        with Image.open(path) as picture:
            for frame in ImageSequence.Iterator(picture):
                frame.load()
                blank = blank and _is_blank(frame)
    except Image.DecompressionBombError as error:
        raise NotAPicture(f"it is not decoded, as it is too large for that: {error}", final=True) from None
    except Exception as error:  # noqa: BLE001 - each decoder has its own: SyntaxError, struct.error …
        raise Incomplete(f"it is whole by its structure, but cannot be decoded: {error}") from None
    return blank


def _is_blank(frame: object) -> bool:
    extrema = frame.convert("RGBA").getextrema()  # type: ignore[attr-defined]
    return all(high - low <= _COMPRESSION for low, high in extrema) or extrema[3] == (0, 0)
