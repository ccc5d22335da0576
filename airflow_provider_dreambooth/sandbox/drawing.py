# SPDX-License-Identifier: Apache-2.0
"""The pictures of the sandbox: a landscape that follows from the seed, with id and prompt written on it."""

from __future__ import annotations

import colorsys
import io
import random
import textwrap
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]


@lru_cache(maxsize=64)
def draw(
    title: str,
    prompt: str,
    seed: int,
    width: int,
    height: int,
    format: str = "png",  # noqa: A002 - as Pillow calls it
    kind: str = "text2img",
) -> bytes:
    """One picture as a file's bytes; the same arguments give the same bytes.

    :param title: written in the corner (request id, index, kind and seed).
    :param format: ``png``, ``jpeg`` or ``webp``.
    :param kind: of the submit; what was made from a picture has a frame, what was repainted a spot.
    """
    dice = random.Random(seed)  # noqa: S311 - it is to be repeatable
    hue = dice.random()
    image = _sky(width, height, _colour(hue, 0.55, 0.45), _colour(hue + 0.12, 0.45, 0.95))
    pen = ImageDraw.Draw(image)
    _sun(pen, dice, width, height, _colour(hue + 0.16, 0.25, 1.0))
    for layer in range(4):
        _hills(pen, dice, width, height, layer, _colour(hue + 0.5 + 0.03 * layer, 0.45, 0.6 - 0.12 * layer))
    _mark(pen, kind, width, height)
    _caption(pen, title, prompt, width, height)
    return _file(image, format)


def blank(width: int, height: int, format: str = "png") -> bytes:  # noqa: A002
    """What the safety checker puts in a picture's place."""
    return _file(Image.new("RGB", (width, height)), format)


def _file(image: Image.Image, format: str) -> bytes:  # noqa: A002
    file = io.BytesIO()
    image.save(file, format=format)
    return file.getvalue()


def _mark(pen: ImageDraw.ImageDraw, kind: str, width: int, height: int) -> None:
    line = max(1, min(width, height) // 90)
    if kind == "img2img":
        pen.rectangle((0, 0, width - 1, height - 1), outline="white", width=line)
    elif kind == "inpaint":
        spot = (width * 0.35, height * 0.3, width * 0.65, height * 0.6)
        pen.ellipse(spot, fill="white", outline="black", width=line)


def _colour(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue % 1, saturation, value))
    return red, green, blue


def _sky(width: int, height: int, top: Colour, bottom: Colour) -> Image.Image:
    fade = Image.linear_gradient("L").resize((width, height))
    return Image.composite(Image.new("RGB", fade.size, bottom), Image.new("RGB", fade.size, top), fade)


def _sun(pen: ImageDraw.ImageDraw, dice: random.Random, width: int, height: int, colour: Colour) -> None:
    radius = min(width, height) * dice.uniform(0.06, 0.13)
    x, y = width * dice.uniform(0.15, 0.85), height * dice.uniform(0.15, 0.4)
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _hills(
    pen: ImageDraw.ImageDraw, dice: random.Random, width: int, height: int, layer: int, colour: Colour
) -> None:
    peaks = 3 + layer
    level = height * (0.5 + 0.12 * layer)
    ridge = [(width * n / peaks, level + height * dice.uniform(-0.12, 0.08)) for n in range(peaks + 1)]
    pen.polygon([(0, height), *ridge, (width, height)], fill=colour)


def _caption(pen: ImageDraw.ImageDraw, title: str, prompt: str, width: int, height: int) -> None:
    size = max(8, min(width, height) // 20)
    font = ImageFont.load_default(size)
    columns = max(8, int(width / (size * 0.55)))
    lines = textwrap.wrap(prompt, columns, max_lines=6, placeholder=" ...")
    prompt_top = height - size * (1.35 * len(lines) + 0.5)
    for top, text in ((size / 2, title), (prompt_top, "\n".join(lines))):
        pen.multiline_text(
            (size / 2, top), text, "white", font, stroke_width=max(1, size // 10), stroke_fill="black"
        )
