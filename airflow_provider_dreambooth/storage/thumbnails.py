# SPDX-License-Identifier: Apache-2.0
"""Small copies of pictures, as text that fits into a page."""

from __future__ import annotations

import io
from base64 import b64encode
from pathlib import Path

from airflow_provider_dreambooth.storage.decoding import taking_turns, too_large

EDGE = 320
"""Pixels of a thumbnail's longer side."""


def thumbnail(path: Path, pixels: int) -> str | None:
    """
    Make a ``data:`` URL of a small WEBP copy; None if the picture cannot be decoded.

    :param path: a whole picture. Of an animation the first frame is shown.
    :param pixels: of one frame; what is too large for Pillow has no thumbnail.
    """
    if too_large(pixels):
        return None
    from PIL import Image  # an extra: only the contact sheet needs it

    try:
        with taking_turns(pixels), Image.open(path) as picture:
            picture.draft("RGB", (EDGE, EDGE))  # a JPEG is then decoded small
            picture.thumbnail((EDGE, EDGE))
            small = io.BytesIO()
            picture.convert("RGBA" if picture.has_transparency_data else "RGB").save(
                small, "WEBP", quality=70
            )
    except Exception:  # noqa: BLE001 - each decoder has its own, and a preview must not cost the picture
        return None
    return f"data:image/webp;base64,{b64encode(small.getvalue()).decode()}"
