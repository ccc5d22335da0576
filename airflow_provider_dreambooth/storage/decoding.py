# SPDX-License-Identifier: Apache-2.0
"""Pictures decoded by Pillow, for those who ask: it proves more than their structure, and takes its time."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from airflow_provider_dreambooth.exceptions import DreamboothInputError
from airflow_provider_dreambooth.storage.pictures import Incomplete, NotAPicture


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


def decode(path: Path) -> bool:
    """
    Decode every frame of a picture, and tell whether it is blank: one colour in each of them.

    A frame at a time is in memory: 4 bytes a pixel.

    :raises Incomplete: if it cannot be decoded.
    :raises NotAPicture: if it is so large that Pillow takes it for an attack.
    """
    from PIL import Image, ImageSequence

    blank = True
    try:
        with Image.open(path) as picture:
            for frame in ImageSequence.Iterator(picture):
                frame.load()
                blank = blank and _is_blank(frame)
    except Image.DecompressionBombError as error:
        raise NotAPicture(f"it is not decoded, as it is too large for that: {error}", final=True) from None
    except Exception as error:  # noqa: BLE001 - each decoder has its own: SyntaxError, struct.error, ...
        raise Incomplete(f"it cannot be decoded: {error}") from None
    return blank


def _is_blank(frame: object) -> bool:
    extrema = frame.convert("RGBA").getextrema()  # type: ignore[attr-defined]
    return all(low == high for low, high in extrema) or extrema[3] == (0, 0)
